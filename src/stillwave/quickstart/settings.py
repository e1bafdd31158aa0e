"""What was asked for, and how long each stage took: both kept in the folder, so that a second call can go on."""

from __future__ import annotations

import json
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
from stillwave.files import write_json

FULL_MINUTES = 8.0
"""What the shipped quickstart recipes are made for."""


@dataclass(frozen=True)
class Settings:
    """One quickstart."""

    output: Path
    audio: Path | None = None
    enhance: Path | None = None
    minutes: float = FULL_MINUTES
    seed: int = 0
    jobs: int | None = None
    train_teacher: bool = False
    """Train a teacher first, instead of taking the one that ships."""
    single_file: bool = False
    """Write the page a second time, as one file that holds sound and pictures."""

    def claim(self) -> None:
        """Make the folder ours, or refuse one that another quickstart or something else lives in.

        Raises StillwaveError that names the setting that differs.
        """
        if not math.isfinite(self.minutes) or self.minutes <= 0:
            raise StillwaveError(f"minutes: {self.minutes} is no time to train in; give a number such as 8")
        if self.output.exists() and not self.output.is_dir():
            raise StillwaveError(f"{self.output}: is a file; the quickstart needs a folder (-o)")
        file = self.output / "quickstart.json"
        mine = self._identity()
        found = read_json(file)
        if found is None:
            others = sorted(p.name for p in self.output.glob("*")) if self.output.exists() else []
            if others:
                raise StillwaveError(
                    f"{self.output}: is no quickstart's folder (it holds '{others[0]}'); give another with -o"
                )
            write_json(file, mine)
            return
        for key, value in mine.items():
            if found.get(key) != value:
                raise StillwaveError(
                    f"{self.output}: holds a quickstart with {key} {found.get(key)}, not {value}; "
                    "give another folder with -o"
                )

    def steps(self, full: int) -> int:
        """Training steps for the time wanted: in proportion, so that they are the same on every machine."""
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
    """Seconds by stage, over all sittings, by the clock and of computing (child processes included); kept in a file."""

    def __init__(self, file: Path) -> None:
        self._file = file
        found = read_json(file) or {}
        self.seconds: dict[str, float] = found.get("seconds") or {}
        self.cpu_seconds: dict[str, float] = found.get("cpu_seconds") or {}

    @contextmanager
    def stage(self, name: str, *, anew: bool = False) -> Iterator[None]:
        """Add what the block takes to a stage, also when it is interrupted; `anew`: it begins from nothing."""
        before = (0.0, 0.0) if anew else (self.seconds.get(name, 0.0), self.cpu_seconds.get(name, 0.0))
        started = (time.perf_counter(), _computed())
        try:
            yield
        finally:
            _end_idle_workers()
            self.seconds[name] = round(before[0] + time.perf_counter() - started[0], 2)
            self.cpu_seconds[name] = round(before[1] + _computed() - started[1], 2)
            write_json(self._file, {"seconds": self.seconds, "cpu_seconds": self.cpu_seconds})


def _computed() -> float:
    """CPU seconds of this process and of its children that have ended."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def _end_idle_workers() -> None:
    """End joblib's idle processes: only children that have ended are counted."""
    if "joblib" in sys.modules:
        from joblib.externals.loky import reusable_executor

        if reusable_executor._executor is not None:
            reusable_executor._executor.shutdown(wait=True)


def read_json(file: Path) -> dict[str, Any] | None:
    """The object in a file; None if there is none that can be read."""
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None
