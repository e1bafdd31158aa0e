"""The page that the quickstart leaves: facts in, one HTML file out, beside the audio and pictures it has."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

from stillwave.console import duration
from stillwave.errors import MissingExtraError
from stillwave.evaluate import METRICS, Interval
from stillwave.evaluate.tables import heading, number, with_interval
from stillwave.files import write_text
from stillwave.quickstart.pictures import DIFFERENCE_DB, PLOT

FILE = "index.html"


@dataclass(frozen=True)
class System:
    """What was compared: `key` is its colour's and audio's name; sizes are None for plain signals."""

    key: str
    name: str
    note: str
    parameters: int | None = None
    macs_per_second: float | None = None
    steps: int | None = None
    seconds: float | None = None
    """How long its training took."""


@dataclass(frozen=True)
class Track:
    """One version of an example: its system, its audio and its spectrogram (paths within the folder)."""

    system: System
    audio: str
    picture: str
    scores: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Example:
    """A mixture heard through every system."""

    title: str
    note: str
    tracks: Sequence[Track]
    levels: str
    """Path of the picture of the levels, and below which systems it shows."""
    levelled: Sequence[str]
    difference: str
    """Path of the picture of distilled minus alone."""


@dataclass(frozen=True)
class Facts:
    """All that the page says."""

    synthetic: bool
    corpus: str
    """One sentence on the data."""
    mixtures: int
    systems: Sequence[System]
    metrics: Sequence[str]
    scores: Mapping[str, Mapping[str, Interval | None]]
    """By system, then metric."""
    paired: Mapping[str, Interval | None]
    """Distilled minus alone, file by file, by metric."""
    examples: Sequence[Example]
    curves: dict[str, str]
    """Caption → picture."""
    times: Sequence[tuple[str, float]]
    """Stage and seconds."""
    commands: Sequence[tuple[str, str]]
    """What it does, and the command line."""
    machine: str
    version: str
    left_out: Sequence[str] = ()
    """Files that could not be scored, with the reason."""


def write(folder: Path, facts: Facts) -> Path:
    """Render the page into `folder`; returns its path. File names and texts are escaped."""
    try:
        from jinja2 import Environment, PackageLoader, StrictUndefined
    except ImportError:
        raise MissingExtraError("the quickstart's page", "train") from None
    environment = Environment(
        loader=PackageLoader("stillwave.quickstart"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        size=size, seconds=duration, url=quote, heading=heading, number=number, ends=ends
    )
    text = environment.get_template("page.html").render(
        facts=facts,
        names={metric: METRICS[metric].name for metric in facts.metrics},
        verdict=verdict(facts.paired),
        warning=warning(facts),
        best=_best(facts),
        total=sum(seconds for _, seconds in facts.times),
        plot=PLOT,
        difference_db=f"{DIFFERENCE_DB:g}",
    )
    write_text(folder / FILE, text)
    return folder / FILE


def verdict(paired: Mapping[str, Interval | None]) -> str:
    """What the paired differences allow to be said, and no more: with 95 % intervals, and all of them.

    >>> verdict({"si_sdr": Interval(0.4, 0.1, 0.7, 36), "stoi": Interval(0.0, -0.01, 0.01, 36)})
    'Distillation helped: SI-SDR dB +0.40 [+0.10, +0.70]. It may be chance: STOI ×100 +0.00 [-1.00, +1.00].'
    """
    known = {metric: found for metric, found in paired.items() if found is not None}
    better = {m: found for m, found in known.items() if min(_gains(m, found)) > 0}
    worse = {m: found for m, found in known.items() if max(_gains(m, found)) < 0}
    open_ = {metric: found for metric, found in known.items() if metric not in better | worse}
    if not known:
        return "No mixture could be scored for both students, so nothing can be said of distillation."
    if not better and not worse:
        return f"This test cannot tell the distilled student from the one trained alone: {_told(open_)}."
    parts = {
        "Distillation helped" if not worse else "Distillation helped in part": better,
        "It did harm" if better else "Distillation did not help here, it did harm": worse,
        "It may be chance": open_,
    }
    return " ".join(f"{what}: {_told(found)}." for what, found in parts.items() if found)


def _gains(metric: str, found: Interval) -> tuple[float, float]:
    return METRICS[metric].gain(found.low), METRICS[metric].gain(found.high)


def warning(facts: Facts) -> str:
    """Where the distilled student's mean does not reach that of the noisy input; empty if nowhere."""
    below = [
        METRICS[metric].name
        for metric, found in facts.scores.get("distilled", {}).items()
        if found
        and (noisy := facts.scores.get("noisy", {}).get(metric))
        and METRICS[metric].gain(found.mean - noisy.mean) < 0
    ]
    if not below:
        return ""
    *some, last = below
    names = f"{', '.join(some)} and {last}" if some else last
    return (
        f"By {names} the distilled student does not reach the noisy input yet: it was trained for too few "
        "steps, or these mixtures are not like those that it was trained on."
    )


def ends(found: Interval, metric: str, signed: bool = False) -> str:
    """The ends of an interval; nothing where one recording alone gave it.

    Examples:
        >>> ends(Interval(0.4, 0.1, 0.75, 36), "si_sdr")
        '0.10 … 0.75'

    """
    if math.isnan(found.low):
        return ""
    return " … ".join(number(end, metric, signed=signed) for end in (found.low, found.high))


def size(value: float | None) -> str:
    """A count in three digits or so: 595494 → '595 k', 2.42e9 → '2.42 G'.

    Examples:
        >>> size(595494), size(13.26e9), size(12), size(None)
        ('595 k', '13.3 G', '12', '–')

    """
    if value is None:
        return "–"
    for unit, scale in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if value >= scale:
            number = value / scale
            return f"{number:.{0 if number >= 100 else 1 if number >= 10 else 2}f} {unit}"
    return f"{value:.0f}"


def _told(found: Mapping[str, Interval]) -> str:
    return "; ".join(f"{heading(m)} {with_interval(i, m, signed=True)}" for m, i in found.items())


def _best(facts: Facts) -> dict[str, str]:
    """The system with the best mean of each metric."""
    best: dict[str, str] = {}
    for metric in facts.metrics:
        means = {key: found.mean for key, cells in facts.scores.items() if (found := cells.get(metric))}
        if means:
            best[metric] = max(means, key=lambda key: METRICS[metric].gain(means[key]))
    return best
