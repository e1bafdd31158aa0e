"""Locate the checkpoints of the shipped models and of their teacher, which training starts from.

A wheel contains them (3.4 MB) in `stillwave/pretrained/checkpoints`, a checkout in `weights`.
"""

from __future__ import annotations

from pathlib import Path

from stillwave.errors import CheckpointError

TEACHER = "denoiser-teacher"
"""The non-causal network that the shipped models were distilled from."""
NAMES = ("bsrnn-m", "bsrnn-s", "bsrnn-xs", TEACHER)


def teacher() -> Path:
    """Return the checkpoint folder of the shipped teacher. Raises CheckpointError if it is missing."""
    return find(TEACHER)


def find(name: str) -> Path:
    """Return the checkpoint folder of a shipped model or of the teacher. Raises CheckpointError if it is missing."""
    here = Path(__file__).resolve()
    folders = [
        here.parent / "pretrained" / "checkpoints",
        here.parents[2] / "weights",
    ]  # in a wheel; in a checkout
    for folder in folders:
        if (folder / name / "card.json").is_file():
            return folder / name
    what = "the shipped teacher" if name == TEACHER else f"the checkpoint of {name}"
    raise CheckpointError(f"{what} is missing ({folders[0] / name} does not exist); install stillwave again")
