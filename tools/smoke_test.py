"""Check an installed stillwave from outside: the command line and Python, with nothing but the base install.

Run it by the Python of the environment to check, which must not be a checkout: `clean/bin/python tools/smoke_test.py`.
It needs what the base install brings and nothing else, and writes into a temporary folder alone.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import tempfile
from importlib import metadata
from pathlib import Path

import numpy as np
import soundfile

import stillwave

RATE = 44_100
BLOCK = 480


def command(*arguments: str, given: bytes = b"") -> bytes:
    """Run the installed command and return what it prints on standard output."""
    program = Path(sys.executable).with_name("stillwave.exe" if os.name == "nt" else "stillwave")
    run = subprocess.run([program, *arguments], input=given, capture_output=True, timeout=300, check=False)
    if run.returncode:
        sys.exit(f"stillwave {' '.join(arguments)}: exit code {run.returncode}\n{run.stderr.decode()}")
    return run.stdout


def expect(holds: bool, what: str) -> None:
    """End with a sentence where something is not as it should be."""
    if not holds:
        sys.exit(f"smoke test: {what}")
    print(f"ok: {what}")


def check_install() -> None:
    """The version, the place, and no PyTorch."""
    version = metadata.version("stillwave")
    expect(command("--version").decode().split() == ["stillwave", version], f"--version is {version}")
    expect("site-packages" in Path(stillwave.__file__).parts, "the package is an installed one")
    expect(importlib.util.find_spec("torch") is None, "PyTorch is absent")
    expect(len(json.loads(command("models", "--json"))) > 0, "models are shipped")
    expect(b"small-teacher" in command("recipes", "ls"), "recipes are shipped")


def check_files(folder: Path, noisy: np.ndarray) -> None:
    """One file and a folder of two, in different formats."""
    soundfile.write(folder / "noisy.wav", noisy.T, RATE)
    command("enhance", str(folder / "noisy.wav"))
    clean, rate = soundfile.read(folder / "noisy-enhanced.wav", always_2d=True)
    expect(rate == RATE and clean.shape == noisy.T.shape, "enhance keeps rate, channels and length")
    expect(bool(np.isfinite(clean).all() and 0 < np.std(clean) < np.std(noisy)), "enhance reduces noise")
    (folder / "in").mkdir()
    for name in ("a.flac", "b.ogg"):
        soundfile.write(folder / "in" / name, noisy.T, RATE)
    command("enhance", str(folder / "in"), "-o", str(folder / "out"))
    expect({p.name for p in (folder / "out").iterdir()} == {"a.flac", "b.ogg"}, "enhance takes folders")


def check_streams(noisy: np.ndarray) -> None:
    """Raw samples through a pipe, and blocks in Python."""
    mono = np.ascontiguousarray(noisy[0])
    pcm = (mono * 32_767).astype("<i2").tobytes()
    expect(len(command("stream", "--rate", str(RATE), given=pcm)) == len(pcm), "stream keeps the length")
    stream = stillwave.load().open(rate=RATE)
    blocks = [stream.process(mono[at : at + BLOCK]) for at in range(0, mono.size, BLOCK)]
    expect(sum(block.shape[-1] for block in blocks) == mono.size, "blocks of a stream keep their length")


def main() -> None:
    """Run all checks; the first that fails ends with exit code 1."""
    noisy = 0.1 * np.random.default_rng(0).standard_normal((2, RATE)).clip(-3, 3).astype(np.float32)
    check_install()
    with tempfile.TemporaryDirectory() as folder:
        check_files(Path(folder), noisy)
    check_streams(noisy)


if __name__ == "__main__":
    main()
