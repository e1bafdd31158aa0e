"""Training costs of a cell: time of a step, peak memory, and parameters that are dropped after training."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from stillwave.schema import SAMPLE_RATE, Recipe

TRIM = 0.02
"""The share of the slowest, and of the fastest, steps that the mean excludes."""


def of_log(run: Path, recipe: Recipe) -> dict[str, Any]:
    """Return updates, seconds per step, skipped batches and λ from the log of a run."""
    from stillwave.training.run_log import read

    events = read(run)
    rates = [e["audio_per_second"] for e in events if e["kind"] == "train" and e.get("audio_per_second")]
    audio = recipe.train.batch_size * recipe.train.accumulate * recipe.data.segment_seconds
    return {
        "steps": max((e["step"] for e in events), default=0),
        "step_seconds": trimmed_mean([audio / rate for rate in rates]),
        "bad_batches": sum(e["kind"] == "bad_batch" for e in events),
        "lambda": last_weight(events),
    }


def last_weight(events: Sequence[Mapping[str, Any]]) -> float | None:
    """Return the last λ of a run."""
    known = [e["lambda"] for e in events if e["kind"] == "train" and e.get("lambda")]
    return float(known[-1]) if known else None


def trimmed_mean(values: list[float]) -> float | None:
    """Return the trimmed mean, None without values. Not the median: a two-step schedule has two kinds of steps.

    Examples:
        >>> trimmed_mean([1.0, 2.0, 3.0])
        2.0

    """
    if not values:
        return None
    cut = int(TRIM * len(values))
    return float(np.sort(values)[cut : len(values) - cut].mean())


def peak_memory(device: str) -> int | None:
    """Return the peak memory in bytes: allocated on the GPU, or the resident set of this process on the CPU."""
    import torch

    if device != "cpu" and torch.cuda.is_available():
        return int(torch.cuda.max_memory_allocated())
    try:
        import resource
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(peak if sys.platform == "darwin" else peak * 1024)


def connectors(recipe: Recipe) -> int:
    """Return the number of parameters of the method's connectors."""
    import torch

    from stillwave.training.networks import build_networks

    samples = round(recipe.data.segment_seconds * SAMPLE_RATE)
    distiller = build_networks(recipe, torch.zeros(recipe.train.batch_size, samples)).distiller
    return 0 if distiller is None else sum(parameter.numel() for parameter in distiller.connectors())
