"""What the base install weighs and how long its import takes, in a fresh virtual environment.

    python benchmarks/base_install.py

Installs this checkout without extras (from the package index, so it needs one) and counts what lies in site-packages.
"""

from __future__ import annotations

import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
IMPORTS = ("stillwave", "stillwave.inference")
RUNS = 9


def main() -> None:
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        subprocess.run([sys.executable, "-m", "venv", str(folder / "venv")], check=True)
        python = folder / "venv" / "bin" / "python"
        install = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", str(ROOT)]
        subprocess.run(install, check=True)
        listed = subprocess.run([*install[:3], "list"], check=True, capture_output=True, text=True).stdout
        packages = listed.splitlines()[2:]
        if any(line.split()[0].lower() == "torch" for line in packages):
            sys.exit("torch came with the base install")
        print(
            f"Python {platform.python_version()}, {platform.system()}; {len(packages)} packages, no PyTorch.\n"
        )
        print("| | |\n| --- | --- |")
        print(f"| the complete environment, including pip | {size(folder / 'venv') / 1e6:.0f} MB |")
        print(
            f"| stillwave itself | {size(next(folder.glob('venv/lib/*/site-packages/stillwave'))) / 1e6:.1f} MB |"
        )
        for code in ("pass", *(f"import {name}" for name in IMPORTS)):
            seconds = sorted(timed(python, code) for _ in range(RUNS))
            middle = statistics.median(seconds)
            print(
                f"| a process that executes `{code}` | {middle:.2f} s ({seconds[0]:.2f} … {seconds[-1]:.2f}) |"
            )
        print(f"\nTimes: medians of {RUNS} processes, with the fastest and the slowest.")


def size(folder: Path) -> int:
    """Bytes of all files below, links left out."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file() and not file.is_symlink())


def timed(python: Path, code: str) -> float:
    """Seconds of a process."""
    start = time.perf_counter()
    subprocess.run([str(python), "-c", code], check=True)
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
