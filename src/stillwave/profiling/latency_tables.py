"""The figures of `latency.py` as tables, in words and in Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from stillwave.profiling.latency import WARMUP, Latency, LatencyRow, machine
from stillwave.profiling.latency_backends import TITLES

SHARED = 0.97
"""Below this share of the core, the times say more about its other users."""


@dataclass(frozen=True)
class Table:
    """A title, the heads of columns, and lines of cells. The first two columns are words."""

    title: str
    heads: tuple[str, ...]
    lines: list[tuple[str, ...]]


def tables(found: Latency) -> list[Table]:
    """All tables of a run; that of several streams only if they were tried."""
    return [times(found), costs(found), *([loads(found)] if any(row.streams for row in found.rows) else [])]


def times(found: Latency) -> Table:
    """What one frame of one stream takes."""
    heads = ("model", "engine", "median", "of turns", "mean", "p95", "p99", "max", "> hop")
    lines = []
    for row in found.rows:
        t = row.frame
        low, high = (_ms(value) for value in t.spread)
        figures = [_ms(value) for value in (t.mean, t.p95, t.p99, t.max)]
        over = f"{100 * row.over_hop:.1f} %"
        lines.append((*_names(row), _ms(t.median), f"{low}–{high}", *figures, over))
    return Table("One frame, in ms", heads, lines)


def costs(found: Latency) -> Table:
    """What the engine needs, and how much of the core it makes use of."""
    heads = ("model", "engine", "net ms", "RTF", "MB", "state kB", "file kB", "MMAC/s", "GMAC/s", "peak")
    lines = []
    for row in found.rows:
        macs = f"{row.macs_per_second / 1e6:.1f}" if row.macs_per_second else "–"
        reached = f"{row.achieved / 1e9:.2f}" if row.achieved else "–"
        dry_mix = f"{100 * row.achieved / found.peak:.1f} %" if row.achieved else "–"
        memory = "–" if row.memory_bytes is None else f"{row.memory_bytes / 1e6:.1f}"
        sizes = (f"{row.state_bytes / 1e3:.1f}", f"{row.file_bytes / 1e3:.0f}")
        factors = (_ms(row.network.median), f"{row.real_time_factor:.3f}")
        lines.append((*_names(row), *factors, memory, *sizes, macs, reached, dry_mix))
    return Table("What it costs", heads, lines)


def loads(found: Latency) -> Table:
    """Real-time factors of several streams in one batch."""
    counts = sorted({count for row in found.rows for count in row.streams})
    lines = []
    for row in found.rows:
        cells = (f"{row.streams[count]:.2f}" if count in row.streams else "" for count in counts)
        lines.append((*_names(row), *cells, str(row.full_at or 0)))
    heads = ("model", "engine", *(str(count) for count in counts), "in real time")
    return Table("Real-time factor of several streams on the core, by their number", heads, lines)


def notes(found: Latency) -> list[str]:
    """What was measured, on what, and what to make of it."""
    low, high = (value / 1e9 for value in found.peak_spread)
    hops = sorted({f"{1000 * row.hop_seconds:g} ms" for row in found.rows})
    delays = sorted({f"{1000 * row.delay_seconds:g} ms" for row in found.rows})
    pinned = "pinned to one core" if found.pinned else "not pinned to a core"
    facts = machine()
    where = f"{facts['processor']}, {facts['cores']} cores, load {facts.get('load', '?')}; "
    where += ", ".join(f"{name} {version}" for name, version in facts["versions"].items())
    lines = [
        f"Algorithmic delay {', '.join(delays)} (one window), whatever the machine; a frame must take less than the "
        f"hop of {', '.join(hops)}.",
        f"{found.frames} frames an engine in {found.rounds} turns, the first {WARMUP} of each turn not counted; one "
        f"thread, a process for each engine, {pinned}. A frame is analysis, network and synthesis; frames follow one "
        "another without a pause. MB is the peak of memory above the bare interpreter.",
        f"The core's peak: {found.peak / 1e9:.1f} GMAC/s ({low:.1f}–{high:.1f}), a float32 matrix product in the same "
        "run. GMAC/s are the network's MACs over its own median time (net ms), peak their share of that. RTF, the "
        "real-time factor, is the mean frame over the hop.",
        where + ".",
    ]
    shared = min(row.core_share for row in found.rows)
    if shared < SHARED:
        lines.append(
            f"The core was shared: an engine had it for {100 * shared:.0f} % of its time, so the times "
            "hold the other programs' as well. Measure again where nothing else runs."
        )
    return lines + [
        f"Left out: {model}, {TITLES[backend]}: {reason}." for model, backend, reason in found.skipped
    ]


def markdown(found: Latency, picture: str | None = None) -> str:
    """The page: notes, tables, and the picture's name if there is one."""
    parts = ["\n".join(f"- {line}" for line in notes(found))]
    if picture:
        parts.append(f"![Time of a frame, and real-time factor of several streams]({picture})")
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
