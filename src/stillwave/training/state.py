"""The files of a training state, which with the recipe determine the rest of a run.

A step checkpoint holds weights and card, `training.safetensors` (raw weights, moments of the optimiser, connectors of
the method, random state) and `training.json` (step, best score, λ, SHA-256 of `training.safetensors`).
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from stillwave import checkpoint
from stillwave.console import note
from stillwave.errors import CheckpointError, StillwaveError
from stillwave.files import atomic_folder, sha256
from stillwave.training.distributed import World

TENSORS, FACTS = "training.safetensors", "training.json"
KEPT = 2


@dataclass
class Progress:
    """The progress of a run, as JSON values."""

    step: int = 0
    best_step: int | None = None
    best_score: float | None = None
    stale: int = 0
    """Validations since the best."""
    bad_batches: int = 0
    bad_files: list[str] = field(default_factory=list)
    """Recordings that could not be used."""
    steps: int = 0
    """`train.steps` when this was written."""
    pending: bool = False
    """Whether validation after this step, and the check for the end of the run, are still to be done."""
    finished: str = ""
    """Why the run is finished; empty while it is not."""
    teacher: str | None = None
    """SHA-256 of the teacher's weights."""
    weight: dict[str, Any] = field(default_factory=dict)
    """State of λ."""
    scaler: dict[str, Any] = field(default_factory=dict)
    """State of the fp16 loss scaling."""

    def scores(self) -> tuple[int | None, float | None, int]:
        """Return best step, best score, and validations since."""
        return self.best_step, self.best_score, self.stale

    def reopen_if_longer(self, steps: int) -> None:
        """Continue a finished run whose `train.steps` has grown."""
        complete = self.finished.startswith("all ")
        before = self.steps or (self.step if complete else steps)  # an earlier version did not write `steps`
        if self.finished and steps > before:
            self.finished, self.stale = "", self.stale if complete else 0


def save(
    folder: Path,
    weights: Mapping[str, Tensor],
    card: checkpoint.Card,
    tensors: Mapping[str, Tensor],
    progress: Progress,
) -> None:
    """Write `folder/step_…` atomically and remove older ones. Raise StillwaveError if the disk is full."""

    def write() -> None:
        with atomic_folder(folder / f"step_{progress.step:08d}") as temporary:
            checkpoint.write(temporary, weights, card)
            checkpoint.write_tensors(temporary / TENSORS, tensors)
            facts = {**asdict(progress), "sha256": sha256(temporary / TENSORS)}
            text = json.dumps(facts, indent=2, allow_nan=False, ensure_ascii=True)
            (temporary / FACTS).write_text(text + "\n", encoding="utf-8")

    _make_room_for(write, folder)
    _prune(folder, progress)


def save_best(folder: Path, weights: Mapping[str, Tensor], card: checkpoint.Card) -> None:
    """Write `folder/best_…`. The previous best is removed with the next step checkpoint."""

    def write() -> None:
        with atomic_folder(folder / f"best_{card.step:08d}") as temporary:
            checkpoint.write(temporary, weights, card)

    _make_room_for(write, folder)


def _make_room_for(write: Callable[[], None], folder: Path) -> None:
    """Write; if that fails, remove all step checkpoints but the last and try again. Raise StillwaveError."""
    older = checkpoint.numbered(folder, "step")[:-1]
    try:
        try:
            write()
        except OSError:
            if not older:
                raise
            for place in older:
                _remove(place)
            write()
    except OSError as error:
        raise StillwaveError(
            f"{folder}: cannot write a checkpoint ({error.strerror or error}); the earlier ones are intact: "
            "free some space and give the same command to continue"
        ) from error


def newest(folder: Path) -> tuple[Progress, dict[str, Tensor]] | None:
    """Return the newest complete training state of a run; a damaged one is skipped with a warning.

    Raises CheckpointError if all are damaged, because starting again would remove the weights beside them.
    """
    fault: CheckpointError | None = None
    for place in reversed(checkpoint.numbered(folder, "step")):
        try:
            progress, tensors = _read(place)
        except CheckpointError as error:
            fault = error
            note(f"{error}; trying the checkpoint before it")
            continue
        if progress.best_step is not None and not (folder / f"best_{progress.best_step:08d}").is_dir():
            progress.best_step = progress.best_score = None
        return progress, tensors
    if fault is not None:
        raise CheckpointError(
            f"{fault}; no checkpoint in {folder} can be resumed: restore one, or start a run in another folder with "
            f"train.start_from={folder.parent}"
        )
    return None


def _read(place: Path) -> tuple[Progress, dict[str, Tensor]]:
    file = place / FACTS
    try:
        facts = json.loads(file.read_text(encoding="utf-8"))
        digest = facts.pop("sha256")
        progress = Progress(**facts)
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{file}: cannot be read ({error})") from None
    except (KeyError, TypeError, AttributeError):
        raise CheckpointError(f"{file}: is not a training state") from None
    tensors = checkpoint.read_tensors(place / TENSORS)
    if sha256(place / TENSORS) != digest:
        raise CheckpointError(f"{place / TENSORS}: is not the file that {FACTS} describes")
    return progress, tensors


def _prune(folder: Path, progress: Progress) -> None:
    old = checkpoint.numbered(folder, "step")[:-KEPT]
    best = [p for p in checkpoint.numbered(folder, "best") if p.name != f"best_{progress.best_step or 0:08d}"]
    for place in [*old, *best]:
        _remove(place)


def _remove(place: Path) -> None:
    """Rename a checkpoint before deleting it, so that no incomplete one has its name."""
    doomed = place.with_name(f".{place.name}.old")
    place.rename(doomed)
    shutil.rmtree(doomed, ignore_errors=True)


# --- tensors ----------------------------------------------------------------------------------------------


def with_prefix(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return tensors with `prefix.` before their names."""
    return {f"{prefix}.{name}": tensor for name, tensor in tensors.items()}


def without_prefix(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors whose names start with `prefix.`, without it."""
    start = f"{prefix}."
    return {name.removeprefix(start): tensor for name, tensor in tensors.items() if name.startswith(start)}


def optimiser_tensors(optimiser: Optimizer) -> dict[str, Tensor]:
    """Return moments and step counts as `parameter.quantity`."""
    states = optimiser.state_dict()["state"]
    return {
        f"{index}.{name}": torch.as_tensor(value)
        for index, entries in states.items()
        for name, value in entries.items()
    }


def load_optimiser(optimiser: Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """Restore `optimiser_tensors`."""
    states: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        index, _, name = key.partition(".")
        states.setdefault(int(index), {})[name] = value
    optimiser.load_state_dict({"state": states, "param_groups": optimiser.state_dict()["param_groups"]})


def random_states(world: World) -> dict[str, Tensor]:
    """Return the states of the random generators that a pass may use."""
    states = {"cpu": torch.get_rng_state()}
    if world.device.type == "cuda":
        states["cuda"] = torch.cuda.get_rng_state(world.device)
    return states


def set_random_states(states: Mapping[str, Tensor], world: World) -> None:
    """Restore `random_states`."""
    torch.set_rng_state(states["cpu"])
    if "cuda" in states and world.device.type == "cuda":
        torch.cuda.set_rng_state(states["cuda"], world.device)
