"""Runs the cases, keeps their figures, and tells them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from stillwave.console import track
from stillwave.files import write_json

from .bench import Bench, Figures
from .cases import CASES, Case
from .place import KEY, Network, Place, read_kept
from .tables import head, row

VERSION = 1
"""Of the cases: raise it when a signal or a figure changes, so that what was kept is measured again."""
ABOUT = """Signals that differ from the training mixtures. "Worse" counts recordings whose PESQ decreases by 0.1
or more; "similarity" is the energy of the expected output over that of the difference. The expected results were
fixed before the shipped networks were measured
(`benchmarks/evaluate_pretrained/cases.py`), except "one scene at length", which examines the failure of "at length"."""


def measure(network: Network, place: Place) -> list[Mapping[str, Any]]:
    """Figures of every case, in their order. Each case is kept as soon as it is done."""
    file = place.work / "robustness" / f"{network.fingerprint[:KEY]}.json"
    key = {"test": place.test, "version": VERSION}
    kept = read_kept(file, key) or {**key, "cases": {}}
    bench = Bench(network, place)
    todo = [case for case in CASES if case.name not in kept["cases"]]
    for case in track(todo, f"robustness of {network.name}") if todo else ():
        kept["cases"][case.name] = _plain(case.measure(bench))
        write_json(file, kept)
    return [{"case": case.name, "figures": kept["cases"][case.name]} for case in CASES]


def _plain(figures: Figures) -> dict[str, float | None]:
    """JSON has no infinity: two equal signals are 999 dB alike."""
    finite = {name: min(value, 999.0) for name, value in figures.items()}
    return {name: None if math.isnan(value) else value for name, value in finite.items()}


def table(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """One line a case."""
    yield from head("case", "input", "expected output", "measured", "met")
    cases = {case.name: case for case in CASES}
    for found in rows:
        case = cases[found["case"]]
        figures = {name: math.nan if value is None else value for name, value in found["figures"].items()}
        yield row(case.name, case.given, case.wanted, "; ".join(facts(figures)), verdict(case, figures))


def verdict(case: Case, figures: Figures) -> str:
    """Yes, no, a dash where nothing is promised, or that the mean meets what single recordings do not."""
    if case.met is None:
        return "–"
    if not case.met(figures):
        return "**no**"
    return "in the mean" if figures.get("below") else "yes"


def facts(f: Mapping[str, float]) -> Iterator[str]:
    """The figures that there are, in words."""
    if "pesq_in" in f:
        yield f"PESQ {f['pesq_in']:.2f} → {f['pesq_out']:.2f}"
        yield f"SI-SDR {f['si_sdr_in']:.1f} → {f['si_sdr_out']:.1f} dB"
        yield f"worse: {f['worse']:.0f} of {f['of']:.0f}"
        return
    if "pesq_usual" in f:
        yield f"PESQ-WB {f['pesq_out']:.3f}, reference {f['pesq_usual']:.3f}"
    elif "pesq_out" in f:
        yield f"PESQ-WB {f['pesq_out']:.2f}" + _least(f, "pesq_least", "")
    if "si_sdr_out" in f:
        yield f"SI-SDR to the input {f['si_sdr_out']:.1f} dB" + _least(f, "si_sdr_least", " dB")
    if "alike_db" in f:
        yield f"{f['alike_db']:.0f} dB similarity"
    if "first" in f:
        yield f"talkers {f['first']:+.1f} and {f['second']:+.1f} dB"
    if "lowered" in f:
        span = f" ({f['least']:.1f} … {f['most']:.1f})" if f.get("most", 0.0) != f.get("least", 0.0) else ""
        yield f"attenuated by {f['lowered']:.1f} dB{span}"
    if "below" in f:
        yield f"{f['below']:.0f} of {f['of']:.0f} below either limit"
    if "peak" in f:
        yield "zeros" if f["peak"] == 0 else f"a peak of {f['peak']:.1e}"


def _least(f: Mapping[str, float], name: str, unit: str) -> str:
    return f" (lowest {f[name]:.1f}{unit})" if name in f else ""
