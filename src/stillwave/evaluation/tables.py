"""A summary as tables: Markdown, LaTeX (booktabs) and plain data. Values are scaled and rounded as METRICS says."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from stillwave.evaluation.corpus import Words
from stillwave.evaluation.metrics import METRICS
from stillwave.evaluation.statistics import Interval, Summary, TableCell
from stillwave.schema import SAMPLE_RATE

REASONS = 8
"""Reasons that a report lists for each system; scores.csv has all."""


def heading(metric: str) -> str:
    """A metric's name with its unit, and an arrow where lower is better."""
    entry = METRICS[metric]
    return " ".join(part for part in (entry.name, entry.unit, "↓" * entry.lower_is_better) if part)


def number(value: float, metric: str, *, signed: bool = False) -> str:
    """A value as tables show it.

    Examples:
        >>> number(0.7587, "stoi"), number(0.0312, "pesq_wb", signed=True)
        ('75.87', '+0.031')

    """
    entry = METRICS[metric]
    return f"{value * entry.factor:{'+' if signed else ''}.{entry.decimals}f}"


def with_interval(interval: Interval | None, metric: str, *, signed: bool = False) -> str:
    """`mean [low, high]`, `mean` alone where there is no interval, or `–` where there is no value."""
    if interval is None:
        return "–"
    mean = number(interval.mean, metric, signed=signed)
    if math.isnan(interval.low):
        return mean
    low, high = (number(end, metric, signed=signed) for end in (interval.low, interval.high))
    return f"{mean} [{low}, {high}]"


def _cell(cell: TableCell, metric: str) -> str:
    shown = with_interval(cell.interval, metric)
    return shown if not cell.failed else f"{shown} ({cell.failed} without)"


def markdown(summary: Summary) -> str:
    """The whole report."""
    return "\n".join(_sections(summary)) + "\n"


def _sections(summary: Summary) -> Iterator[str]:
    metrics = summary.metrics
    yield f"# Scores of {summary.recordings} recordings\n"
    yield f"Means with bootstrap 95 % intervals over recordings (seed {summary.seed}).\n"
    rows = [[s, *(_cell(summary.means[s][m], m) for m in metrics)] for s in summary.systems]
    yield from table(["system", *map(heading, metrics)], rows)
    if summary.differences:
        yield f"\n## Difference from {summary.baseline}, paired by recording\n"
        rows = [
            [s, *(_difference(cells[m], m, summary.recordings) for m in metrics)]
            for s, cells in summary.differences.items()
        ]
        yield from table(["system", *map(heading, metrics)], rows)
    if summary.by_snr:
        yield "\n## By SNR\n"
        rows = [
            [label, system, *(_mean(cells[m], m) for m in metrics)]
            for label, systems in summary.by_snr.items()
            for system, cells in systems.items()
        ]
        yield from table(["SNR", "system", *map(heading, metrics)], rows)
    if summary.words:
        yield f"\n## Word errors, summed over recordings\n\n{_told(summary.words)}\n"
        yield from _corpus_table(summary, summary.words)
    lines = notes(summary)
    if lines:
        yield "\n## Not scored, or to look at\n"
        yield from (f"- {line}" for line in lines)


def _told(words: Words) -> str:
    compared = {
        "clean": "compared with what it hears in the clean target",
        "texts": "compared with what was said",
    }[words.references]
    clipped = "A recording's WER (above) is clipped to 100 %, this one is not."
    return f"Recogniser: {words.recogniser}; {compared}. {clipped}"


def _corpus_table(summary: Summary, words: Words) -> Iterator[str]:
    rows = [
        [
            system,
            with_interval(c.rate, "wer"),
            with_interval(words.differences.get(system), "wer", signed=True),
            *map(str, (c.words, c.substitutions, c.deletions, c.insertions, c.recordings, c.nothing_heard)),
        ]
        for system, c in words.corpus.items()
    ]
    change = f"difference from {summary.baseline}" if summary.baseline else "difference"
    counted = ("words", "substituted", "deleted", "inserted", "recordings", "nothing heard")
    yield from table(["system", "corpus WER % ↓", change, *counted], rows)


def warnings(summary: Summary) -> list[str]:
    """Systems by which words are lost against the noisy input, one line each."""
    raised = summary.words.raised if summary.words else {}
    return [
        f"{system}: {_how_sure(mean, corpus)}: mean {with_interval(mean, 'wer', signed=True)}, corpus "
        f"{with_interval(corpus, 'wer', signed=True)} points over the noisy input's"
        for system, (mean, corpus) in raised.items()
    ]


def _how_sure(*differences: Interval) -> str:
    sure = any(difference.low > 0 for difference in differences)
    return "raises the WER" if sure else "has a higher WER, which may be chance"


def notes(summary: Summary) -> list[str]:
    """What was not scored and why, a line a system and reason, and what a reader should look at."""
    lines = warnings(summary)
    lines += [
        f"{system}: {count} of {summary.recordings} estimates have inverted polarity"
        for system, count in summary.inverted.items()
        if count
    ]
    lines += [
        f"{system}: {_how_late(lags)} of {summary.recordings} estimates; scores take that for distortion, so align them"
        for system, lags in summary.lags.items()
        if lags
    ]
    for system in summary.systems:
        found: dict[tuple[str, int], list[str]] = {}
        for metric in summary.metrics:
            for reason, count in summary.means[system][metric].reasons.items():
                found.setdefault((reason, count), []).append(METRICS[metric].name)
        lines += [
            f"{system}: {count} without {_names(names, summary)}: {reason}"
            for (reason, count), names in list(found.items())[:REASONS]
        ]
        if len(found) > REASONS:
            lines.append(f"{system}: {len(found) - REASONS} further reasons (all are in scores.csv)")
    return lines


def _how_late(lags: Sequence[int]) -> str:
    """Such as "3 estimates are late by 40 samples (2.5 ms at 16 kHz)"; `lags` are sorted."""
    where = "late" if lags[0] > 0 else "early" if lags[-1] < 0 else "late or early"
    most = max(abs(lags[0]), abs(lags[-1]))
    up_to = "" if lags[0] == lags[-1] else "up to "
    return f"{where} by {up_to}{most} samples ({1000 * most / SAMPLE_RATE:.1f} ms at 16 kHz): {len(lags)}"


def _names(names: Sequence[str], summary: Summary) -> str:
    return "any score" if len(names) == len(summary.metrics) else ", ".join(names)


def _mean(cell: TableCell, metric: str) -> str:
    shown = "–" if cell.interval is None else number(cell.interval.mean, metric)
    return shown if not cell.failed else f"{shown} ({cell.failed} without)"


def _difference(interval: Interval | None, metric: str, recordings: int) -> str:
    shown = with_interval(interval, metric, signed=True)
    return shown if interval is None or interval.count == recordings else f"{shown} (over {interval.count})"


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Markdown lines of a table; a bar in a cell is escaped."""
    for line in (header, ["---"] * len(header), *rows):
        yield "| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |"


def latex(summary: Summary) -> str:
    """The means as a booktabs table, intervals as a second line in small type."""
    lines = [
        r"\begin{tabular}{l" + "c" * len(summary.metrics) + "}",
        r"\toprule",
        " & ".join(["System", *(tex(heading(m)) for m in summary.metrics)]) + r" \\",
        r"\midrule",
    ]
    for system in summary.systems:
        cells = [summary.means[system][m].interval for m in summary.metrics]
        shown = [
            "--" if c is None else number(c.mean, m) for c, m in zip(cells, summary.metrics, strict=True)
        ]
        lines.append(" & ".join([tex(system), *shown]) + r" \\")
        ends = [_ends(c, m) for c, m in zip(cells, summary.metrics, strict=True)]
        if any(ends):
            lines.append(" & ".join(["", *ends]) + r" \\")
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}"]) + "\n"


def _ends(interval: Interval | None, metric: str) -> str:
    if interval is None or math.isnan(interval.low):
        return ""
    low, high = number(interval.low, metric), number(interval.high, metric)
    return rf"{{\scriptsize [{low}, {high}]}}"


def tex(text: str) -> str:
    """Text with what LaTeX would read as commands escaped."""
    special = {c: rf"\{c}" for c in "&%$#_{}"} | {"~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
    special |= {"\\": r"\textbackslash{}", "×": r"$\times$", "↓": r"$\downarrow$"}
    return "".join(special.get(character, character) for character in text)


def plain(summary: Summary) -> dict[str, Any]:
    """The summary for JSON: exact, unscaled values; NaN ends become null."""

    def clean(value: Any) -> Any:
        if isinstance(value, Mapping):
            return {key: clean(entry) for key, entry in value.items()}
        if isinstance(value, (list, tuple)):
            return [clean(entry) for entry in value]
        return None if isinstance(value, float) and math.isnan(value) else value

    result: dict[str, Any] = clean(asdict(summary))
    return result
