"""Checkpoints that ship: networks to distil from, or to train further. They need the `train` extra to be used.

The wheel holds the teacher alone (1.7 MB), in `stillwave/pretrained/checkpoints`; a checkout holds those of all models
that ship, in `weights`. Nothing here needs PyTorch.
"""

from __future__ import annotations

from pathlib import Path

from stillwave.errors import CheckpointError

TEACHER = "denoiser-teacher"
"""The two-way network that taught the models that ship."""


def teacher() -> Path:
    """The folder of the teacher that ships. Raises CheckpointError where this copy of stillwave lacks it."""
    here = Path(__file__).resolve()
    folders = [here.parent / "checkpoints", here.parents[3] / "weights"]  # in a wheel; in a checkout
    for folder in folders:
        if (folder / TEACHER / "card.json").is_file():
            return folder / TEACHER
    raise CheckpointError(
        f"this copy of stillwave has no teacher ({folders[0] / TEACHER} does not exist); install stillwave again"
    )
