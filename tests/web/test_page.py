"""The page in Chromium, its downloads compared with the Python runtime.

The tests of `packages/stillwave-web/test-page` click; here their downloads are compared. They need node, Chromium and
`npm ci` in `packages/stillwave-web`, and for the in-browser mode `make web-assets`.
"""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import soundfile
from voices import noisy, voice
from web_client import MODEL, running

import stillwave
from stillwave.audio import Samples, resample

PACKAGE = Path(__file__).parents[2] / "packages" / "stillwave-web"
VENDOR = Path(stillwave.__file__).parent / "web" / "static" / "vendor"
CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
MISSING = [
    what
    for what, there in {
        "node": shutil.which("node"),
        "Chromium": CHROMIUM,
        "`make web-assets`": (PACKAGE / "node_modules").is_dir() and VENDOR.is_dir(),
    }.items()
    if not there
]
pytestmark = [
    pytest.mark.slow,
    pytest.mark.browser,
    pytest.mark.skipif(bool(MISSING), reason=f"needs {', '.join(MISSING)}"),
]
TOLERANCE = 1e-4


def speech(seconds: float, rate: int, seed: int = 0) -> Samples:
    """A voice-like sum of harmonics in words, in noise, `[samples]`."""
    rng = np.random.default_rng(seed)
    time = np.arange(round(seconds * rate)) / rate
    pitch = 2 * np.pi * np.cumsum(140 + 30 * np.sin(3 * time)) / rate
    voice = sum(np.sin(k * pitch) / k for k in range(1, 12)) * (np.sin(5 * time) > 0)
    return (0.1 * voice + 0.03 * rng.standard_normal(len(time))).astype(np.float32)


@dataclass
class Bench:
    """A running service, recordings for the page, and a folder for its downloads."""

    page: str
    audio: Path
    out: Path

    def run(self, name: str) -> str:
        """Run the page's tests in one file; return their output."""
        environment = {
            **os.environ,
            "STILLWAVE_PAGE": self.page,
            "STILLWAVE_AUDIO": str(self.audio),
            "STILLWAVE_OUT": str(self.out),
            "CHROMIUM": str(CHROMIUM),
        }
        command = ["node", "--test", "--test-reporter", "spec", f"test-page/{name}.test.mjs"]
        result = subprocess.run(command, cwd=PACKAGE, env=environment, capture_output=True, text=True)
        assert result.returncode == 0, result.stdout + result.stderr
        return result.stdout

    def read(self, name: str) -> tuple[Samples, int]:
        samples, rate = soundfile.read(self.out / name, dtype="float32", always_2d=True)
        return samples.T, rate


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    audio, out, temporary = (tmp_path_factory.mktemp(name) for name in ("audio", "out", "temporary"))
    talk = speech(6, 16_000)
    soundfile.write(audio / "talk.wav", talk, 16_000, subtype="FLOAT")
    soundfile.write(audio / "talk48.wav", speech(3, 48_000), 48_000, subtype="FLOAT")
    soundfile.write(
        audio / "clean.wav",
        np.concatenate([voice(3), noisy(voice(3), 15), voice(3)]),
        16_000,
        subtype="FLOAT",
    )
    soundfile.write(
        audio / "microphone.wav", resample(voice(30, syllables=8)[None], 16_000, 48_000)[0], 48_000
    )
    soundfile.write(audio / "stereo.flac", np.stack([talk[:32_000], talk[32_000:64_000]], 1), 16_000)
    soundfile.write(audio / "long.wav", speech(300, 48_000), 48_000)
    (audio / "broken.mp3").write_bytes(b"\xff\xfb" + bytes(range(256)) * 40)
    faulty = talk.copy()
    faulty[50_000] = np.nan
    soundfile.write(audio / "nan.wav", faulty, 16_000, subtype="FLOAT")
    soundfile.write(audio / "silent.wav", np.zeros(16_000), 16_000)
    soundfile.write(audio / "short.wav", talk[:1], 16_000)
    for name, whole in (("cut.wav", "talk.wav"), ("cut.flac", "stereo.flac")):
        content = (audio / whole).read_bytes()
        (audio / name).write_bytes(content[: len(content) // 2])
    (audio / "text.wav").write_text("no recording, but text\n" * 99)
    (audio / "empty.wav").write_bytes(b"")
    with running(temporary) as service:
        yield Bench(service.address, audio, out)


def best_correlation(signal: Samples, piece: Samples) -> float:
    """Return the greatest correlation of `piece` with any part of `signal`."""
    size = 2 ** int(np.ceil(np.log2(len(signal) + len(piece))))
    products = np.fft.irfft(np.fft.rfft(signal, size) * np.fft.rfft(piece, size).conj())
    at = int(products[: len(signal) - len(piece)].argmax())
    return float(np.corrcoef(signal[at : at + len(piece)], piece)[0, 1])


def enhanced(samples: Samples, rate: int, limit_db: float | None = None, keep_clean: bool = False) -> Samples:
    return stillwave.load(MODEL, keep_clean=keep_clean).enhance(samples, rate, limit_db=limit_db)


def test_files(bench: Bench) -> None:
    bench.run("files")
    talk, _ = soundfile.read(bench.audio / "talk.wav", dtype="float32")
    mix = enhanced(talk, 16_000, limit_db=6)
    for name, step in {"mix.wav": 0, "same.wav": 0, "mix-16.wav": 2**-16, "mix.flac": 2**-16}.items():
        samples, rate = bench.read(name)
        assert rate == 16_000
        assert samples.shape == (1, len(talk))
        assert np.abs(samples[0] - mix).max() <= 1e-6 + step, name

    with zipfile.ZipFile(bench.out / "all.zip") as archive:
        assert archive.testzip() is None
        assert archive.namelist() == ["talk-enhanced.wav", "stereo-enhanced.wav"]
        stereo, _ = soundfile.read(io.BytesIO(archive.read("stereo-enhanced.wav")), dtype="float32")
        assert stereo.shape == (32_000, 2)

    for name in ("talk48.wav", "stereo.flac"):
        samples, rate = soundfile.read(bench.audio / name, dtype="float32", always_2d=True)
        found, found_rate = bench.read(f"browser-{Path(name).stem}.wav")
        assert (found.shape, found_rate) == (samples.T.shape, rate)
        assert np.abs(found - enhanced(samples.T, rate)).max() < TOLERANCE, name

    clean, _ = soundfile.read(bench.audio / "clean.wav", dtype="float32")
    for name, limit_db in {"server": None, "browser": None, "same": 12}.items():
        found, _ = bench.read(f"kept-{name}.wav")
        expected = enhanced(clean, 16_000, limit_db, keep_clean=True)
        assert np.abs(found[0] - expected).max() < TOLERANCE, name
        assert np.abs(found[0] - enhanced(clean, 16_000, limit_db)).max() > 10 * TOLERANCE, name


def test_microphone(bench: Bench) -> None:
    print(bench.run("microphone"))
    captured, rate = soundfile.read(bench.audio / "microphone.wav", dtype="float32")
    for name in ("mic-browser", "mic-server", "mic-browser-kept", "mic-server-kept"):
        before, found_rate = bench.read(f"{name}-before.wav")
        after, _ = bench.read(f"{name}-after.wav")
        assert before.shape == after.shape
        # The estimate of the samples at the end needs samples that were not recorded.
        last = before.shape[1] - found_rate // 10
        kept = name.endswith("-kept")
        expected, other = (enhanced(before[0], found_rate, keep_clean=clean) for clean in (kept, not kept))
        assert np.abs(after[0] - expected)[:last].max() < TOLERANCE, name
        assert np.abs(after[0] - other)[:last].max() > 2 * TOLERANCE, name  # a busy machine records little
        reference = resample(captured[None], rate, found_rate)[0]
        assert best_correlation(reference, before[0, last // 2 :][: found_rate // 5]) > 0.9, name


def test_accessibility(bench: Bench) -> None:
    bench.run("access")
