"""Scores as Markdown tables. Intervals are of 95 %, over recordings and seeds (`stillwave.stats.crossed`)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from stillwave.data.pair_sets import Pair
from stillwave.evaluation import METRICS
from stillwave.evaluation.summary import snr_groups
from stillwave.stats.crossed import Array, estimate

from .levels import Mask
from .scoring import Scored
from .systems import NOISY

QUALITY = ("pesq_wb", "pesq_nb", "stoi", "si_sdr")
OTHERS = ("dnsmos_sig", "dnsmos_bak", "dnsmos_ovrl", "wer")
GROUPED = ("pesq_wb", "stoi", "si_sdr")
GTCRN = {"pesq_wb": 1.895, "pesq_nb": 2.407, "stoi": 0.8194, "si_sdr": 10.80}
"""Means over the same 40 mixtures with the weights that its authors trained on DNS3, run offline (Rong et al.,
ICASSP 2024). Measured once, beside the recordings; no recording's own score was kept, so there is no interval."""
GTCRN_COSTS = ("GTCRN", "48.2 k", "33", "–", "32 ms", "–")
WORSE = 0.1
"""PESQ-WB by which a recording counts as made worse."""

Systems = Mapping[str, Scored]


def row(*cells: str) -> str:
    """A line of a table."""
    return f"| {' | '.join(cells)} |"


def head(*cells: str) -> Iterator[str]:
    """Its first two."""
    yield row(*cells)
    yield row(*["---"] * len(cells))


def with_interval(metric: str, values: Array, sign: str = "") -> str:
    """Mean and interval in the metric's own unit."""
    found = estimate(values)
    if found is None:
        return "–"
    scale = METRICS[metric]
    mean, low, high = (
        f"{v * scale.factor:{sign}.{scale.decimals}f}" for v in (found.mean, found.low, found.high)
    )
    return f"{mean} [{low}, {high}]"


def mean(metric: str, value: float, sign: str = "") -> str:
    """One number in the metric's own unit."""
    return f"{value * METRICS[metric].factor:{sign}.{METRICS[metric].decimals}f}"


def titles(metrics: Sequence[str], before: str = "") -> list[str]:
    """Names of metrics, with their units."""
    return [f"{before}{METRICS[m].name}{f' ({METRICS[m].unit})' if METRICS[m].unit else ''}" for m in metrics]


def quality(systems: Systems) -> Iterator[str]:
    """What a reference tells."""
    yield from head("system", *titles(QUALITY), "seeds")
    for name, scored in systems.items():
        seeds = str(len(scored.system.runs)) if scored.system.is_network else "–"
        yield row(name, *(with_interval(m, scored.values[m]) for m in QUALITY), seeds)
    yield row("GTCRN, published weights", *(mean(m, GTCRN[m]) for m in QUALITY), "–")


def others(systems: Systems) -> Iterator[str]:
    """What a network rates, and what a recogniser hears."""
    yield from head("system", *titles(OTHERS))
    for name, scored in systems.items():
        yield row(name, *(with_interval(m, scored.values[m]) for m in OTHERS))


def gains(systems: Systems) -> Iterator[str]:
    """Each network against the input, and how often it does harm."""
    noisy = systems[NOISY]
    yield from head("against the input", *titles(QUALITY, "Δ "), f"PESQ-WB lower by {WORSE} or more")
    for name, scored in systems.items():
        if name != NOISY:
            change = scored.minus(noisy, "pesq_wb")
            known = change[:, ~np.isnan(change).all(0)]  # no run of the others has a score
            lost = (np.nanmean(known, 0) <= -WORSE).sum()
            changes = (with_interval(m, scored.minus(noisy, m), "+") for m in QUALITY)
            yield row(name, *changes, f"{lost} of {known.shape[1]}")


def differences(systems: Systems) -> Iterator[str]:
    """Pairs that were named."""
    yield from head("difference", *titles((*QUALITY, "wer"), "Δ "), "seeds")
    for name, scored in systems.items():
        other = systems.get(scored.system.against or "")
        if other:
            changes = [scored.minus(other, m) for m in (*QUALITY, "wer")]
            shown = (
                with_interval(m, change, "+") for m, change in zip((*QUALITY, "wer"), changes, strict=True)
            )
            yield row(f"{name} − {other.system.name}", *shown, str(len(changes[0])))


def against_gtcrn(default: Scored) -> str:
    """A sentence: differences of means. The recordings are the same, but its score of each is not known, so nothing
    can be paired, and an interval of the default's own mean would be far too wide to speak of the difference.
    """
    found = {m: float(np.nanmean(default.values[m])) - GTCRN[m] for m in QUALITY}
    parts = (f"{METRICS[m].name} {mean(m, value, '+')}" for m, value in found.items())
    above = sum(value > 0 for value in found.values())
    return (
        f"`{default.system.name}` − GTCRN: {', '.join(parts)}; higher in {above} of {len(found)} metrics "
        "on this set. These are differences of means over the same recordings; for other speech see [The "
        "default on two sets](#the-default-on-two-sets)."
    )


def groups(pairs: Sequence[Pair]) -> dict[str, Mask]:
    """Label → which recordings."""
    by_snr = snr_groups({pair.id: pair.snr_db for pair in pairs})
    found = {label: np.array([pair.id in ids for pair in pairs]) for label, ids in by_snr.items()}
    dry = np.array([not pair.rir for pair in pairs])
    found |= {"dry": dry, "reverberant": ~dry}
    return {label: mask for label, mask in found.items() if mask.any()}


def grouped(systems: Systems, pairs: Sequence[Pair], metric: str) -> Iterator[str]:
    """Means by SNR, and of the dry and the reverberant mixtures."""
    found = groups(pairs)
    yield from head(METRICS[metric].name, *(f"{label} ({mask.sum()})" for label, mask in found.items()))
    for name, scored in systems.items():
        values = scored.values[metric]
        yield row(name, *(mean(metric, float(np.nanmean(values[:, mask]))) for mask in found.values()))


def costs(rows: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """Of one set of weights each."""
    yield from head("system", "parameters", "MMAC/s", "file", "delay", "time / real time, one thread")
    for name, found in rows.items():
        yield row(
            name,
            _or_dash(found.get("parameters"), lambda n: f"{n / 1e3:,.1f} k"),
            _or_dash(found.get("macs"), lambda n: f"{n / 1e6:,.0f}"),
            _or_dash(found.get("file_bytes"), lambda n: f"{n / 1024:,.0f} KiB"),
            _or_dash(found.get("delay_ms"), lambda n: f"{n:.0f} ms", "the whole recording"),
            f"{found['factor']:.3f}",
        )
    yield row(*GTCRN_COSTS)


def _or_dash(value: float | None, show: Any, absent: str = "–") -> str:
    return absent if value is None else str(show(value))


def missing(systems: Systems) -> Iterator[str]:
    """What has no score."""
    for name, scored in systems.items():
        for metric, values in scored.values.items():
            if count := int(np.isnan(values).sum()):
                yield f"- {name}: {count} of {values.size} values of {METRICS[metric].name} are missing."
