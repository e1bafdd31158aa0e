"""What `stillwave live` shows: levels, whether the clean signal is heard, and what was missed."""

from __future__ import annotations

import math

from rich.progress_bar import ProgressBar
from rich.table import Table

from stillwave.live.processor import LiveProcessor, LiveStatistics

_LOWEST_DB = -60.0


def decibels(peak: float) -> float:
    """Level relative to full scale in dB, at least −60."""
    return max(_LOWEST_DB, 20 * math.log10(max(peak, 1e-9)))


def heard(lane: LiveProcessor) -> str:
    """Which signal goes out, and why."""
    if lane.bypass:
        return "bypassed"
    return "clean" if lane.figures.clean else "dry: the machine is too slow just now"


def counts(figures: LiveStatistics) -> str:
    """What was missed, in words."""
    return (
        f"{figures.late} of {figures.blocks} blocks late, {figures.fallbacks} times dry, {figures.skipped} skipped, "
        f"{figures.device_faults} device faults"
    )


def table(lane: LiveProcessor) -> Table:
    """All of it, to be drawn again and again."""
    figures = lane.figures
    shown = Table.grid(padding=(0, 1))
    for name, peak in (("in", figures.peak_in), ("out", figures.peak_out)):
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
        "load", f"{100 * figures.load:.0f} % of the time there is, longest {figures.slowest_ms:.1f} ms", ""
    )
    shown.add_row("sound", heard(lane), "")
    shown.add_row("missed", counts(figures), "")
    shown.add_row("keys", "b: bypass, q: quit", "")
    return shown
