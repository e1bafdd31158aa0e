"""Latency results as tables, notes and Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from stillwave.profiling.latency import WARMUP, Latency, LatencyRow, machine
from stillwave.profiling.latency_backends import TITLES

SHARED = 0.97
"""Below this share of the core, a note warns that other programs ran there."""


@dataclass(frozen=True)
class Table:
    """A title, the column heads, and lines of cells. The first two columns are model and backend."""

    title: str
    heads: tuple[str, ...]
    lines: list[tuple[str, ...]]


def tables(found: Latency) -> list[Table]:
    """Return all tables; that of several streams only if they were measured."""
    return [times(found), costs(found), *([loads(found)] if any(row.streams for row in found.rows) else [])]


def times(found: Latency) -> Table:
    """Return the table of times per frame."""
    heads = ("model", "backend", "median", "mean", "p95", "p99", "max", "> hop")
    lines = []
    for row in found.rows:
        t = row.frame
        values = (_ms(value) for value in (t.median, t.mean, t.p95, t.p99, t.max))
        lines.append((*_names(row), *values, f"{100 * row.over_hop:.1f} %"))
    return Table("Time per frame in ms", heads, lines)


def costs(found: Latency) -> Table:
    """Return the table of real-time factor, memory, sizes and complexity."""
    heads = ("model", "backend", "RTF", "MB", "state kB", "file kB", "MMAC/s")
    lines = []
    for row in found.rows:
        macs = f"{row.macs_per_second / 1e6:.1f}" if row.macs_per_second else "–"
        memory = "–" if row.memory_bytes is None else f"{row.memory_bytes / 1e6:.1f}"
        sizes = (f"{row.state_bytes / 1e3:.1f}", f"{row.file_bytes / 1e3:.0f}")
        lines.append((*_names(row), f"{row.real_time_factor:.3f}", memory, *sizes, macs))
    return Table("Resources", heads, lines)


def loads(found: Latency) -> Table:
    """Return the table of real-time factors of several streams in one batch."""
    counts = sorted({count for row in found.rows for count in row.streams})
    lines = []
    for row in found.rows:
        cells = (f"{row.streams[count]:.2f}" if count in row.streams else "" for count in counts)
        lines.append((*_names(row), *cells, str(row.full_at or 0)))
    heads = ("model", "backend", *(str(count) for count in counts), "in real time")
    return Table("Real-time factor by number of streams in one batch", heads, lines)


def notes(found: Latency) -> list[str]:
    """Return remarks on the measurement and the machine."""
    hops = sorted({f"{1000 * row.hop_seconds:g} ms" for row in found.rows})
    delays = sorted({f"{1000 * row.delay_seconds:g} ms" for row in found.rows})
    pinned = "pinned to one core" if found.pinned else "not pinned to a core"
    facts = machine()
    where = f"{facts['processor']}, {facts['cores']} cores, load {facts.get('load', '?')}; "
    where += ", ".join(f"{name} {version}" for name, version in facts["versions"].items())
    lines = [
        f"Algorithmic delay {', '.join(delays)} (one window) on any machine; a frame must take less than the hop of "
        f"{', '.join(hops)}.",
        f"{found.frames} frames per backend in {found.rounds} turns, the first {WARMUP} of each turn excluded; one "
        f"thread, one process per backend, {pinned}. A frame is analysis, network and synthesis; frames follow one "
        "another without a pause. RTF is the mean time per frame over the hop, MB the peak memory above the bare "
        "interpreter.",
        where + ".",
    ]
    shared = min(row.core_share for row in found.rows)
    if found.processor_time:
        lines.append(
            f"Times are processor time; a backend had the core for at least {100 * shared:.0f} % of the time."
        )
    elif shared < SHARED:
        lines.append(
            f"Other programs used the core: a backend had it for {100 * shared:.0f} % of the time, so the "
            "times are too long. Repeat the measurement without other programs."
        )
    return lines + [
        f"Skipped: {model}, {TITLES[backend]}: {reason}." for model, backend, reason in found.skipped
    ]


def markdown(found: Latency, picture: str | None = None) -> str:
    """Return notes and tables as Markdown, with a link to the picture if given."""
    parts = ["\n".join(f"- {line}" for line in notes(found))]
    if picture:
        parts.append(f"![Time per frame, and real-time factor of several streams]({picture})")
    for table in tables(found):
        parts.append(f"**{table.title}**\n\n{_markdown(table)}")
    return "\n\n".join(parts) + "\n"


def _markdown(table: Table) -> str:
    rule = ["---", "---", *("---:" for _ in table.heads[2:])]
    return "\n".join("| " + " | ".join(line) + " |" for line in (table.heads, rule, *table.lines))


def _names(row: LatencyRow) -> Sequence[str]:
    return row.model, TITLES[row.backend]


def _ms(seconds: float) -> str:
    value = 1000 * seconds
    return f"{value:.2f}" if value < 9.995 else f"{value:.1f}"
