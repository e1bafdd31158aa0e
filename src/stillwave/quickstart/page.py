"""The page that the quickstart leaves: facts in, one HTML file out, beside the audio and pictures it has."""

from __future__ import annotations

import base64
import functools
import math
import mimetypes
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

from stillwave.console import duration
from stillwave.errors import MissingExtraError
from stillwave.evaluation import METRICS, Interval
from stillwave.evaluation.tables import heading, number
from stillwave.files import write_text
from stillwave.quickstart import pictures, verdict
from stillwave.quickstart.commands import CommandLine

FILE = "index.html"
PORTABLE = "stillwave-quickstart.html"


@dataclass(frozen=True)
class ReportSystem:
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

    system: ReportSystem
    audio: str
    picture: str
    gain_db: float = 0.0
    """What it was turned up by, so that its speech is as loud as in the other versions."""
    scores: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Example:
    """A mixture heard through every system."""

    title: str
    note: str
    seconds: float
    tracks: Sequence[Track]
    levels: str
    """Path of the picture of the levels, and below which systems it shows."""
    levelled: Sequence[str]
    difference: str
    """Path of the picture of distilled minus alone."""


@dataclass(frozen=True)
class ReportFacts:
    """All that the page says."""

    synthetic: bool
    corpus: str
    """One sentence on the data."""
    mixtures: int
    systems: Sequence[ReportSystem]
    metrics: Sequence[str]
    scores: Mapping[str, Mapping[str, Interval | None]]
    """By system, then metric."""
    gains: Mapping[str, Mapping[str, Interval | None]]
    """Less the noisy input, file by file, by system and metric."""
    paired: Mapping[str, Interval | None]
    """Distilled minus alone, file by file, by metric."""
    examples: Sequence[Example]
    curves: dict[str, str]
    """Caption → picture."""
    times: Sequence[tuple[str, float, float | None]]
    """Stage, its seconds by the clock, and its seconds of computing on all cores together."""
    commands: Sequence[CommandLine]
    for_own: CommandLine
    """With the model that ships, on recordings of the user's own."""
    folder: str
    """Where the commands run as they are written."""
    teacher_trained: bool
    """Here, and not the one that ships."""
    machine: str
    version: str
    left_out: Sequence[str] = ()
    """Files that could not be scored, with the reason."""


def write(folder: Path, facts: ReportFacts, *, portable: bool = False) -> Path:
    """Render the page into `folder`; returns its path. File names and texts are escaped.

    A `portable` page holds the audio and pictures, so that the one file can be passed on.
    """
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
        size=size,
        seconds=duration,
        file=functools.partial(_inlined, folder) if portable else quote,
        heading=heading,
        number=number,
        ends=ends,
    )
    text = environment.get_template("page.html").render(
        facts=facts,
        names={metric: METRICS[metric].name for metric in facts.metrics},
        headline=headline(facts),
        against_alone=verdict.against_alone(facts.paired),
        warning=verdict.below_noisy(facts.gains),
        kept={metric: verdict.kept(facts.gains, metric) for metric in facts.metrics},
        teacher=_system(facts, "teacher"),
        student=_system(facts, "distilled"),
        cheaper=cheaper(facts),
        best=_best(facts),
        total=sum(seconds for _, seconds, _ in facts.times),
        computed=sum(computed or 0.0 for _, _, computed in facts.times),
        ticks=pictures.ticks,
        range_db=f"{pictures.RANGE_DB:g}",
        difference_db=f"{pictures.DIFFERENCE_DB:g}",
        gradient=pictures.gradient(),
        difference_gradient=pictures.gradient(difference=True),
    )
    target = folder / (PORTABLE if portable else FILE)
    write_text(target, text)
    return target


def _inlined(folder: Path, name: str) -> str:
    """A file of the page as a data URL."""
    kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
    kind = "audio/wav" if kind == "audio/x-wav" else kind
    return f"data:{kind};base64,{base64.b64encode((folder / name).read_bytes()).decode('ascii')}"


def headline(facts: ReportFacts) -> str:
    """The page's first sentence, and that of the command line."""
    return verdict.headline(smaller(facts), facts.gains)


def smaller(facts: ReportFacts) -> float | None:
    """How often the student's parameters go into the teacher's."""
    return _ratio(facts, lambda system: system.parameters)


def cheaper(facts: ReportFacts) -> float | None:
    """How often the student's operations go into the teacher's."""
    return _ratio(facts, lambda system: system.macs_per_second)


def _ratio(facts: ReportFacts, of: Callable[[ReportSystem], float | None]) -> float | None:
    teacher, student = (
        of(system) if (system := _system(facts, key)) else None for key in ("teacher", "distilled")
    )
    return teacher / student if teacher and student else None


def _system(facts: ReportFacts, key: str) -> ReportSystem | None:
    return next((system for system in facts.systems if system.key == key), None)


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


def _best(facts: ReportFacts) -> dict[str, str]:
    """The system with the best mean of each metric."""
    best: dict[str, str] = {}
    for metric in facts.metrics:
        means = {key: found.mean for key, cells in facts.scores.items() if (found := cells.get(metric))}
        if means:
            best[metric] = max(means, key=lambda key: METRICS[metric].gain(means[key]))
    return best
