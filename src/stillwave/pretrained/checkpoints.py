"""Locate the shipped teacher.

The wheel contains the checkpoint of the teacher (1.7 MB) in `stillwave/pretrained/checkpoints`; a checkout contains
the checkpoints of all shipped models in `weights`.
"""

from __future__ import annotations

from pathlib import Path

from stillwave.errors import CheckpointError

TEACHER = "denoiser-teacher"
"""The non-causal network that the shipped models were distilled from."""


def teacher() -> Path:
    """Return the checkpoint folder of the shipped teacher. Raises CheckpointError if it is missing."""
    here = Path(__file__).resolve()
    folders = [here.parent / "checkpoints", here.parents[3] / "weights"]  # in a wheel; in a checkout
    for folder in folders:
        if (folder / TEACHER / "card.json").is_file():
            return folder / TEACHER
    raise CheckpointError(
        f"the shipped teacher is missing ({folders[0] / TEACHER} does not exist); install stillwave again"
    )
