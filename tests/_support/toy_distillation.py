"""A small distillation for tests of training."""

from pathlib import Path

from toy import train_toy

from stillwave import checkpoint

SMALL = "{name: i2srf_tfckd, fusion_channels: 8}"


def distil(run: Path, teacher: str, method: str = SMALL, *overrides: str) -> dict:
    """Train, and give all that a checkpoint holds: weights, optimiser, averages, λ."""
    section = f"distill={{teacher: {teacher}, balance_steps: 3, rho: 0.7, method: {method}}}"
    train_toy(run, section, "train.steps=4", *overrides)
    last = checkpoint.numbered(run / "checkpoints", "step")[-1]
    return {file.name: file.read_bytes() for file in last.iterdir() if file.suffix == ".safetensors"}
