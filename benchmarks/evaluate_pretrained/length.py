"""What many minutes in one go do to a network: scenes that change, and one that stays."""

from __future__ import annotations

import numpy as np

from .bench import Bench, Figures, floored, mean

TIMES = 20


def at_length(bench: Bench) -> Figures:
    """All mixtures joined, in one go, and cut again."""
    made = bench.enhance(np.concatenate(bench.noisy))
    edges = np.cumsum([len(samples) for samples in bench.noisy])[:-1]
    return bench.like_usual(np.split(made, edges))


def repeated(bench: Bench) -> Figures:
    """Every fourth mixture twenty times over, in one go; the last time beside the first."""
    first, last = [], []
    for samples in bench.noisy[::4]:
        made = np.split(bench.enhance(np.tile(samples, TIMES)), TIMES)
        first.append(made[0])
        last.append(made[-1])
    usual, after = (
        floored(bench.score(bench.clean[::4], made, ("pesq_wb",))["pesq_wb"]) for made in (first, last)
    )
    alike = bench.score(first, last, ("si_sdr",))["si_sdr"]
    return {"pesq_out": mean(after), "pesq_usual": mean(usual), "alike_db": mean(alike)}
