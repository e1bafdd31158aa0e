"""Level meters and counters of `stillwave live`."""

from __future__ import annotations

import math

from rich.progress_bar import ProgressBar
from rich.table import Table

from stillwave.live.processor import LiveProcessor, LiveStatistics

_LOWEST_DB = -60.0


def decibels(peak: float) -> float:
    """Return the level of a peak in dBFS, at least −60."""
    return max(_LOWEST_DB, 20 * math.log10(max(peak, 1e-9)))


def output_state(processor: LiveProcessor) -> str:
    """Describe which signal is played."""
    if processor.bypass:
        return "bypassed"
    return "clean" if processor.statistics.clean else "dry: processing is too slow"


def counts(statistics: LiveStatistics) -> str:
    """Describe how many deadlines were missed."""
    return (
        f"{statistics.late} of {statistics.blocks} blocks late, {statistics.fallbacks} fallbacks to dry, "
        f"{statistics.skipped} skipped, {statistics.device_faults} device faults"
    )


def table(processor: LiveProcessor) -> Table:
    """Return meters and counters as a table, to be redrawn continuously."""
    statistics = processor.statistics
    shown = Table.grid(padding=(0, 1))
    for name, peak in (("in", statistics.peak_in), ("out", statistics.peak_out)):
        level = decibels(peak)
        style = "red" if peak >= 1 else "green"
        bar = ProgressBar(
            total=-_LOWEST_DB,
            completed=level - _LOWEST_DB,
            width=40,
            complete_style=style,
            finished_style=style,
        )
        shown.add_row(name, bar, f"{level:.0f} dB")
    shown.add_row(
        "load", f"{100 * statistics.load:.0f} % of real time, longest {statistics.slowest_ms:.1f} ms", ""
    )
    shown.add_row("output", output_state(processor), "")
    shown.add_row("missed", counts(statistics), "")
    shown.add_row("keys", "b: bypass, q: quit", "")
    return shown
