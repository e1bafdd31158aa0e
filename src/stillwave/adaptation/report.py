"""The result of an adaptation as lines of text."""

from __future__ import annotations

import math

from stillwave.adaptation.no_reference import PAUSES, RATINGS, Change
from stillwave.adaptation.settings import Adapted

NAMES = {
    **{name: f"{what} (DNSMOS, 1 to 5)" for name, what in RATINGS.items()},
    PAUSES: "noise in pauses (dB, output over recording)",
}


def lines(result: Adapted) -> list[str]:
    """Return the change of each measure with its interval, the verdict, and the folder of the checkpoint."""
    minutes = result.held_out_seconds / 60
    shown = [_line(NAMES[name], change) for name, change in result.changes.items()]
    missing = (
        [] if set(RATINGS) <= set(result.changes) else ["without all ratings, which need the extra 'eval'"]
    )
    return [
        f"on {minutes:.1f} min of held-out recordings, before → after:",
        *shown,
        *missing,
        result.verdict,
        str(result.checkpoint),
    ]


def _line(name: str, change: Change) -> str:
    difference = change.difference
    interval = (
        "no interval from one recording"
        if math.isnan(difference.low)
        else f"95 % interval {difference.low:+.2f} to {difference.high:+.2f}, {difference.count} recordings"
    )
    return f"  {name}: {change.before:.2f} → {change.after:.2f} ({difference.mean:+.2f}; {interval})"
