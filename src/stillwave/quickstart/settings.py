"""What was asked for, and how long each stage took: both kept in the folder, so that a second call can go on."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stillwave.errors import StillwaveError
from stillwave.files import write_json

FULL_MINUTES = 12.0
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

    def claim(self) -> None:
        """Make the folder ours, or refuse one that another quickstart or something else lives in.

        Raises StillwaveError that names the setting that differs.
        """
        if not math.isfinite(self.minutes) or self.minutes <= 0:
            raise StillwaveError(f"minutes: {self.minutes} is no time to train in; give a number such as 12")
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
        return {"audio": audio, "minutes": self.minutes, "seed": self.seed}


class Stopwatch:
    """Seconds by stage, over all sittings; kept in a file."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self.seconds: dict[str, float] = read_json(file) or {}

    @contextmanager
    def stage(self, name: str, *, anew: bool = False) -> Iterator[None]:
        """Add what the block takes to a stage, also when it is interrupted; `anew`: it begins from nothing."""
        before = 0.0 if anew else self.seconds.get(name, 0.0)
        started = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = round(before + time.perf_counter() - started, 2)
            write_json(self._file, self.seconds)


def read_json(file: Path) -> dict[str, Any] | None:
    """The object in a file; None if there is none that can be read."""
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None
