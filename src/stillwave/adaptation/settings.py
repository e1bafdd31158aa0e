"""Settings and result of an adaptation, recorded in its folder so that it can be resumed."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from stillwave.adaptation.no_reference import Change
from stillwave.errors import StillwaveError
from stillwave.files import LOCK, read_json, write_json
from stillwave.stats.bootstrap import Interval

RECORD, WORK = "adaptation.json", "work"
ROUND = "round-{}"
"""Folder of a round of training within `WORK`."""


@dataclass(frozen=True)
class Adapted:
    """The result of an adaptation."""

    checkpoint: Path
    verdict: str
    """Whether it helped, as far as measures without a reference tell, in one sentence."""
    changes: dict[str, Change]
    """Measures on the held-out recordings before and after (`no_reference`)."""
    seconds: float
    """Duration of the recordings that were trained on."""
    held_out_seconds: float
    unusable: tuple[str, ...]
    """A sentence for each recording that could not be used."""
    left_out: dict[str, int]
    """Number of pieces that gave no speech, or no noise, by reason."""

    def figures(self) -> dict[str, Any]:
        """Return the result as JSON values; bounds of intervals that do not exist are null."""
        found = {**asdict(self), "checkpoint": str(self.checkpoint)}
        for change in found["changes"].values():
            interval = change["difference"]
            change["difference"] = {
                key: None if math.isnan(value) else value for key, value in interval.items()
            }
        return found

    @classmethod
    def from_figures(cls, found: dict[str, Any]) -> Adapted:
        """Return the result from `figures`."""

        def interval(values: dict[str, Any]) -> Interval:
            low, high = (math.nan if values[key] is None else values[key] for key in ("low", "high"))
            return Interval(values["mean"], low, high, values["count"])

        changes = {
            name: Change(change["before"], change["after"], interval(change["difference"]))
            for name, change in found["changes"].items()
        }
        read = {
            "checkpoint": Path(found["checkpoint"]),
            "changes": changes,
            "unusable": tuple(found["unusable"]),
        }
        return cls(**{**found, **read})


@dataclass(frozen=True)
class Settings:
    """What an adaptation depends on."""

    recordings: Path
    output: Path
    model: str = "bsrnn-xs"
    """Name of a shipped model, or a checkpoint or run folder."""
    teacher: str | None = None
    """`self`, or as in `separation.open_teacher`; by default the shipped teacher."""
    data: str | None = None
    """A recipe whose training examples are mixed in,"""
    share: float = 0.5
    """and their share."""
    remixed: float = 0.0
    """Share of the other examples that are remixes; the rest are the recordings themselves."""
    steps: int = 300
    learning_rate: float = 1e-3
    rounds: int = 3
    """With the teacher `self`: rounds of training, between which the teacher follows."""
    decay: float = 0.5
    """γ of the teacher's moving average over rounds: θ_T ← γ θ_T + (1 − γ) θ_S."""
    strength: float = 0.25
    """Share of the way from the weights of the model to the trained ones that is taken."""
    seed: int = 0

    def check(self) -> bool:
        """Return whether the output folder is free for these settings; False if it holds their adaptation.

        Before training has begun there, settings may change.
        Raises StillwaveError with the setting that differs, or if the folder holds something else.
        """
        if self.output.exists() and not self.output.is_dir():
            raise StillwaveError(f"{self.output}: is a file; give a folder")
        found = read_json(self.output / RECORD)
        if found is None:
            others = sorted(p.name for p in self.output.glob("*") if p.name != LOCK)
            if others:
                raise StillwaveError(
                    f"{self.output}: contains '{others[0]}' but no adaptation; give a new or empty folder"
                )
            return True
        before = found.get("settings", {})
        if found.get("result") is None and not any((self.output / WORK).glob(ROUND.format("*"))):
            return True
        for key, value in self._identity().items():
            if before.get(key) != value:
                raise StillwaveError(
                    f"{self.output}: holds an adaptation with {key} {_shown(before.get(key))}, "
                    f"not {_shown(value)}; give another folder"
                )
        return False

    def claim(self) -> None:
        """Record these settings in the output folder, which the caller has locked. Raises as `check`."""
        if self.check():
            self._write(None)

    def record(self, result: Adapted) -> None:
        """Write the result into the output folder."""
        self._write(result.figures())

    def finished(self) -> Adapted | None:
        """Return the recorded result; None before the end of the adaptation."""
        found = (read_json(self.output / RECORD) or {}).get("result")
        if found is None:
            return None
        result = Adapted.from_figures(found)
        return replace(result, checkpoint=self.output / "checkpoints" / result.checkpoint.name)

    def _write(self, result: dict[str, Any] | None) -> None:
        write_json(self.output / RECORD, {"settings": self._identity(), "result": result})

    def _identity(self) -> dict[str, Any]:
        found = {**asdict(self), "recordings": str(self.recordings.resolve())}
        del found["output"]
        return found


def _shown(value: Any) -> Any:
    return "unset" if value is None else value
