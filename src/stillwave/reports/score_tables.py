"""The summary of an evaluation as Markdown and LaTeX tables, and as warnings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from stillwave.evaluation.metrics import METRICS
from stillwave.evaluation.summary import Summary, TableCell, WordErrors
from stillwave.reports.formatting import bounds, heading, mean, with_interval
from stillwave.reports.markup import escape_latex, latex_table, markdown_table
from stillwave.schema import SAMPLE_RATE
from stillwave.stats.bootstrap import Interval

_PESQ = ("pesq_wb", "pesq_nb")
REASONS = 8
"""The most reasons that are listed for a system; scores.csv has all."""


def markdown(summary: Summary) -> str:
    """Return the report of an evaluation as Markdown."""
    return "\n".join(_sections(summary)) + "\n"


def _sections(summary: Summary) -> Iterator[str]:
    metrics = summary.metrics
    header = ["system", *map(heading, metrics)]
    yield f"# Scores of {summary.recordings} recordings\n"
    yield f"Means with bootstrap 95 % intervals over recordings (seed {summary.seed}).\n"
    rows = [[s, *(_cell(summary.means[s][m], m) for m in metrics)] for s in summary.systems]
    yield from markdown_table(header, rows)
    if summary.differences:
        yield f"\n## Difference from {summary.baseline}, paired by recording\n"
        rows = [
            [s, *(_difference(cells[m], m, summary.recordings) for m in metrics)]
            for s, cells in summary.differences.items()
        ]
        yield from markdown_table(header, rows)
    for column, groups in {"SNR": summary.by_snr, **summary.by}.items():
        if groups:
            yield f"\n## By {column}\n"
            rows = [
                [label, system, *(_missing(mean(cells[m].interval, m), cells[m]) for m in metrics)]
                for label, systems in groups.items()
                for system, cells in systems.items()
            ]
            yield from markdown_table([column, *header], rows)
    if summary.words:
        yield f"\n## Word errors, summed over recordings\n\n{_recogniser(summary.words)}\n"
        yield from _corpus_table(summary, summary.words)
    lines = notes(summary)
    if lines:
        yield "\n## Missing scores and warnings\n"
        yield from (f"- {line}" for line in lines)


def _cell(cell: TableCell, metric: str) -> str:
    return _missing(with_interval(cell.interval, metric), cell)


def _missing(text: str, cell: TableCell) -> str:
    return f"{text} ({cell.failed} missing)" if cell.failed else text


def _difference(interval: Interval | None, metric: str, recordings: int) -> str:
    text = with_interval(interval, metric, signed=True)
    return text if interval is None or interval.count == recordings else f"{text} (over {interval.count})"


def _recogniser(words: WordErrors) -> str:
    compared = {
        "clean": "the reference is its transcript of the clean recording",
        "texts": "the reference is the known text",
    }[words.references]
    return (
        f"Recogniser: {words.recogniser}; {compared}. The WER of a recording (above) is clipped to 100 %, "
        "this one is not."
    )


def _corpus_table(summary: Summary, words: WordErrors) -> Iterator[str]:
    rows = [
        [
            system,
            with_interval(c.rate, "wer"),
            with_interval(words.differences.get(system), "wer", signed=True),
            *map(str, (c.words, c.substitutions, c.deletions, c.insertions, c.recordings)),
            str(c.empty_transcripts),
        ]
        for system, c in words.corpus.items()
    ]
    change = f"difference from {summary.baseline}" if summary.baseline else "difference"
    counted = ("words", "substituted", "deleted", "inserted", "recordings", "empty transcripts")
    yield from markdown_table(["system", "corpus WER % ↓", change, *counted], rows)


def warnings(summary: Summary) -> list[str]:
    """Return a line for each system with a higher word error rate than the noisy input, or a PESQ that misleads."""
    return [*_raised_errors(summary), *_misleading_pesq(summary)]


def _misleading_pesq(summary: Summary) -> list[str]:
    """Return a line for each system whose PESQ rises while most other metrics that changed fall.

    Only differences from the baseline whose interval excludes 0 count.
    """
    lines = []
    for system, cells in summary.differences.items():
        clear = {m: c for m, c in cells.items() if c and (c.low > 0 or c.high < 0)}
        better = {m for m, c in clear.items() if METRICS[m].gain(c.mean) > 0}
        worse = [m for m in clear if m not in better and m not in _PESQ]
        others = [m for m in better if m not in _PESQ]
        if better.intersection(_PESQ) and len(worse) > len(others):
            pesq = next(m for m in _PESQ if m in better)
            lines.append(
                f"{system}: {_change(pesq, clear)}, but relative to {summary.baseline} "
                f"{' and '.join(_change(m, clear) for m in worse)}: do not rely on PESQ alone"
            )
    return lines


def _change(metric: str, found: Mapping[str, Interval]) -> str:
    verb = "rises" if METRICS[metric].gain(found[metric].mean) > 0 else "worsens"
    return f"{METRICS[metric].name} {verb} ({with_interval(found[metric], metric, signed=True)})"


def _raised_errors(summary: Summary) -> list[str]:
    raised = summary.words.raised if summary.words else {}
    return [
        f"{system}: {_significance(mean, corpus)}: mean {with_interval(mean, 'wer', signed=True)}, corpus "
        f"{with_interval(corpus, 'wer', signed=True)} percentage points relative to the noisy input"
        for system, (mean, corpus) in raised.items()
    ]


def _significance(mean: Interval, corpus: Interval) -> str:
    if mean.low > 0 or corpus.low > 0:
        return "raises the WER"
    which = "corpus " if mean.mean <= 0 else "mean " if corpus.mean <= 0 else ""
    return f"has a higher {which}WER, not statistically significant"


def notes(summary: Summary) -> list[str]:
    """Return the warnings of a summary: word errors, polarity, lag, and missing scores with their reasons."""
    lines = warnings(summary)
    lines += [
        f"{system}: {count} of {summary.recordings} estimates have inverted polarity"
        for system, count in summary.inverted.items()
        if count
    ]
    lines += [
        f"{system}: {_lag(lags)} of {summary.recordings} estimates; the scores count this as distortion: align them"
        for system, lags in summary.lags.items()
        if lags
    ]
    for system in summary.systems:
        lines += _without_score(system, summary)
    return lines


def _without_score(system: str, summary: Summary) -> list[str]:
    """Return a line for each reason of missing scores, with the recordings that have it."""
    found: dict[tuple[str, str], list[str]] = {}
    for metric in summary.metrics:
        cell = summary.means[system][metric]
        for reason, count in cell.reasons.items():
            others = f" and {count - 1} more" if count > 1 else ""
            found.setdefault((reason, f"{cell.examples[reason]}{others}"), []).append(METRICS[metric].name)
    lines = [
        f"{system}: {recordings} without {_names(names, summary)}: {reason}"
        for (reason, recordings), names in list(found.items())[:REASONS]
    ]
    if len(found) > REASONS:
        lines.append(f"{system}: {len(found) - REASONS} further reasons; with --output, scores.csv has all")
    return lines


def _lag(lags: Sequence[int]) -> str:
    """Return e.g. "late by 40 samples (2.5 ms at 16 kHz): 3"; `lags` are sorted."""
    direction = "late" if lags[0] > 0 else "early" if lags[-1] < 0 else "late or early"
    most = max(abs(lags[0]), abs(lags[-1]))
    up_to = "" if lags[0] == lags[-1] else "up to "
    return f"{direction} by {up_to}{most} samples ({1000 * most / SAMPLE_RATE:.1f} ms at 16 kHz): {len(lags)}"


def _names(names: Sequence[str], summary: Summary) -> str:
    return "any score" if len(names) == len(summary.metrics) else ", ".join(names)


def latex(summary: Summary) -> str:
    """Return the means as a booktabs table, with the intervals in a second line of small type."""
    header = ["System", *(escape_latex(heading(m)) for m in summary.metrics)]
    rows = []
    for system in summary.systems:
        found = {m: summary.means[system][m].interval for m in summary.metrics}
        rows.append([escape_latex(system), *(mean(i, m).replace("–", "--") for m, i in found.items())])
        intervals = [rf"{{\scriptsize {text}}}" if (text := bounds(i, m)) else "" for m, i in found.items()]
        if any(intervals):
            rows.append(["", *intervals])
    return "\n".join(latex_table("l" + "c" * len(summary.metrics), header, rows)) + "\n"
