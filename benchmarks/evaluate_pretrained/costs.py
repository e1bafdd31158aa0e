"""What each system costs: parameters, multiplications, delay, and time beside real time on one thread."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from stillwave.audio import Samples
from stillwave.files import write_json
from stillwave.profiling import latency
from stillwave.schema import SAMPLE_RATE, ModelConfig

from .scoring import KEY, Place, read_kept
from .signals import white
from .systems import Run, System, card_of

FRAMES = 600
PASS_SECONDS = 4.0
WINDOW_MS = {"wiener": 32.0, "gating": None}
"""Delay of the peers; None: the whole recording."""


def measure(systems: Sequence[System], place: Place) -> dict[str, Any]:
    """`rows`: system → figures, from its first run; `machine`. Kept for these very weights.

    Networks that stream are timed frame by frame in one go, in turns (`stillwave latency`); others by whole passes.
    """
    chosen = [system.runs[0] for system in systems if system.name != "noisy"]
    file = place.work / "costs.json"
    key = {"runs": {run.system: run.fingerprint[:KEY] for run in chosen}}
    kept = read_kept(file, key)
    if kept is None:
        place.compute("costs")
        facts = {run.system: _facts(run) for run in chosen}
        streaming = [run for run in chosen if facts[run.system]["streams"]]
        times = _frames([run.path for run in streaming if run.path is not None])
        for run, row in zip(streaming, times.rows, strict=True):
            facts[run.system] |= {
                "delay_ms": 1e3 * row.delay_seconds,
                "factor": row.real_time_factor,
                "file_bytes": row.file_bytes,
                "frame_ms": [1e3 * row.frame.median, 1e3 * row.frame.p99],
                "core_share": row.core_share,
            }
        for run in chosen:
            if run not in streaming:
                facts[run.system] |= {"factor": whole_factor(run), "delay_ms": WINDOW_MS.get(run.system)}
        kept = {**key, "rows": facts, "machine": latency.machine()}
        write_json(file, kept)
    return kept


def _frames(paths: Sequence[Path]) -> latency.Latency:
    """One engine a network: a checkpoint as float32 ONNX, a file as it is."""
    return latency.measure([str(path) for path in paths], backends=("onnx",), frames=FRAMES, streams=0)


def _facts(run: Run) -> dict[str, Any]:
    if run.path is None:
        return {"streams": False, "parameters": None, "macs": None}
    from stillwave.models import build
    from stillwave.profiling.complexity import count_macs

    model = build(ModelConfig.model_validate(card_of(run.path)[0]["model"])).eval()
    return {
        "streams": model.causal,
        "parameters": sum(p.numel() for p in model.parameters()),
        "macs": sum(count_macs(model, SAMPLE_RATE).values()),
    }


def whole_factor(run: Run, repeats: int = 3) -> float:
    """Time of a pass over its length, the median of some, on one thread."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        enhance, samples = run.open(), white(PASS_SECONDS, -30)[None]
        enhance(samples, SAMPLE_RATE)
        return float(np.median([_seconds(enhance, samples) for _ in range(repeats)])) / PASS_SECONDS
    finally:
        torch.set_num_threads(before)


def _seconds(enhance: Any, samples: Samples) -> float:
    start = time.perf_counter()
    enhance(samples, SAMPLE_RATE)
    return time.perf_counter() - start
