"""Settings of the quick start and the duration of its stages; both are recorded in its folder to resume it."""

from __future__ import annotations

import math
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stillwave.errors import StillwaveError
from stillwave.files import read_json, write_json

FULL_MINUTES = 8.0
"""The training time that the shipped quick start recipes are designed for."""


@dataclass(frozen=True)
class Settings:
    """The settings of a quick start."""

    output: Path
    audio: Path | None = None
    enhance: Path | None = None
    minutes: float = FULL_MINUTES
    seed: int = 0
    jobs: int | None = None
    train_teacher: bool = False
    """Train a teacher first, instead of using the shipped one."""
    single_file: bool = False
    """Also write the report as one file that contains audio and pictures."""

    def claim(self) -> None:
        """Create the output folder, or check that it holds a quick start with these settings.

        Raises StillwaveError with the setting that differs.
        """
        if not math.isfinite(self.minutes) or self.minutes <= 0:
            raise StillwaveError(f"minutes: {self.minutes} is not a positive number; use e.g. 8")
        if self.output.exists() and not self.output.is_dir():
            raise StillwaveError(f"{self.output}: is a file; expected a folder (-o)")
        file = self.output / "quickstart.json"
        mine = self._identity()
        found = read_json(file)
        if found is None:
            others = sorted(p.name for p in self.output.glob("*")) if self.output.exists() else []
            if others:
                raise StillwaveError(
                    f"{self.output}: contains '{others[0]}' but no quick start; use another folder with -o"
                )
            write_json(file, mine)
            return
        for key, value in mine.items():
            if found.get(key) != value:
                raise StillwaveError(
                    f"{self.output}: already holds a quick start with {key} {found.get(key)}, not {value}; "
                    "use another folder with -o"
                )

    def steps(self, full: int) -> int:
        """Return the training steps for `minutes`: in proportion, so that they are the same on every machine."""
        return max(4, round(full * self.minutes / FULL_MINUTES))

    def _identity(self) -> dict[str, Any]:
        audio = None if self.audio is None else str(self.audio.resolve())
        return {
            "audio": audio,
            "minutes": self.minutes,
            "seed": self.seed,
            "train_teacher": self.train_teacher,
        }


class Stopwatch:
    """Wall-clock and CPU seconds by stage (child processes included), summed over sessions and kept in a file."""

    def __init__(self, file: Path) -> None:
        self._file = file
        found = read_json(file) or {}
        self.seconds: dict[str, float] = found.get("seconds") or {}
        self.cpu_seconds: dict[str, float] = found.get("cpu_seconds") or {}

    @contextmanager
    def stage(self, name: str, *, restart: bool = False) -> Iterator[None]:
        """Add the duration of the block to a stage, also if it is interrupted; `restart` discards earlier sessions."""
        before = (0.0, 0.0) if restart else (self.seconds.get(name, 0.0), self.cpu_seconds.get(name, 0.0))
        started = (time.perf_counter(), _computed())
        try:
            yield
        finally:
            _end_idle_workers()
            self.seconds[name] = round(before[0] + time.perf_counter() - started[0], 2)
            self.cpu_seconds[name] = round(before[1] + _computed() - started[1], 2)
            write_json(self._file, {"seconds": self.seconds, "cpu_seconds": self.cpu_seconds})


def _computed() -> float:
    """Return the CPU seconds of this process and of its children that have ended."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def _end_idle_workers() -> None:
    """End the idle workers of joblib: the CPU time of running children is not counted."""
    if "joblib" in sys.modules:
        from joblib.externals.loky import reusable_executor

        if reusable_executor._executor is not None:
            reusable_executor._executor.shutdown(wait=True)
