"""The page of an arena: scores, differences, costs, and players."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from stillwave.arena.blind import FILE as BLIND
from stillwave.arena.clips import CLEAN, Clip
from stillwave.arena.costs import HEADER, known_cells
from stillwave.evaluation import METRICS, NOISY, Summary
from stillwave.reports import formatting
from stillwave.reports.html import write_page
from stillwave.reports.listening import write_clip
from stillwave.reports.score_tables import notes
from stillwave.stats.bootstrap import Interval

if TYPE_CHECKING:
    from stillwave.arena.flow import ArenaResult

FILE = "index.html"
COLOURS = ("#8b929c", "#2f9e68", "#2f7fe0", "#dd7f1f", "#8f6bd9", "#c2498f", "#c94f6d", "#3a9fb0")
"""By version: noisy, clean, then the systems; repeated if there are more."""


def write(output: Path, result: ArenaResult, clips: Sequence[Clip], blind: bool) -> Path:
    """Write the page and its audio into `output` and return its path."""
    summary = result.summary
    others = [system for system in summary.systems if system != NOISY]
    order = [NOISY, CLEAN, *others]
    context = {
        "summary": summary,
        "costs": result.costs,
        "others": others,
        "best": best(summary),
        "notes": notes(summary),
        "groups": {"SNR": summary.by_snr, **summary.by},
        "clips": [(clip, _written(output, number, clip)) for number, clip in enumerate(clips)],
        "colour": {name: COLOURS[i % len(COLOURS)] for i, name in enumerate(order)},
        "blind": BLIND if blind else "",
        "cost_header": HEADER,
        "cost_cells": known_cells(result.costs),
    }
    filters: dict[str, Callable[..., str]] = {
        "heading": formatting.heading,
        "mean": formatting.mean,
        "bounds": formatting.bounds,
        "number": formatting.number,
        "verdict": verdict,
        "file": quote,
    }
    return write_page(output / FILE, "stillwave.arena", context, filters)


def best(summary: Summary) -> dict[str, str]:
    """Return the system with the best mean, by metric; the noisy input does not count."""
    found: dict[str, str] = {}
    for metric in summary.metrics:
        means = {
            system: interval.mean
            for system in summary.systems
            if system != NOISY and (interval := summary.means[system][metric].interval)
        }
        if means:
            found[metric] = max(means, key=lambda system: METRICS[metric].gain(means[system]))
    return found


def verdict(found: Interval | None, metric: str) -> str:
    """Return `better` or `worse` if the interval of a difference excludes 0, otherwise an empty text."""
    if found is None or not (found.low > 0 or found.high < 0):
        return ""
    return "better" if METRICS[metric].gain(found.mean) > 0 else "worse"


def _written(output: Path, number: int, clip: Clip) -> dict[str, str]:
    """Write the versions of a clip and return their paths by version."""
    files = {}
    for name, samples in clip.versions.items():
        safe = re.sub(r"[^A-Za-z0-9._-]+", "_", name)
        files[name] = f"listen/{number:02d}-{safe}.wav"
        write_clip(output / files[name], samples, clip.rate)
    return files
