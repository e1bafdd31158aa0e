"""The HTML report of the quick start, beside its audio and pictures."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

from stillwave.console import duration
from stillwave.evaluation import METRICS
from stillwave.quickstart import pictures, verdict
from stillwave.quickstart.commands import CommandLine
from stillwave.reports import formatting
from stillwave.reports.figures import RANGE_DB
from stillwave.reports.html import data_url, write_page
from stillwave.stats.bootstrap import Interval

FILE = "index.html"
PORTABLE = "stillwave-quickstart.html"


@dataclass(frozen=True)
class ReportSystem:
    """A system of the report; `key` names its colour and audio files. Signals have no parameters."""

    key: str
    name: str
    note: str
    parameters: int | None = None
    macs_per_second: float | None = None
    steps: int | None = None
    seconds: float | None = None
    """The duration of its training."""


@dataclass(frozen=True)
class Track:
    """One version of an example: system, audio and spectrogram (paths relative to the folder)."""

    system: ReportSystem
    audio: str
    picture: str
    gain_db: float = 0.0
    """The gain that gives its speech the same level as in the other versions."""
    scores: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Example:
    """A recording in the versions of all systems."""

    title: str
    note: str
    seconds: float
    tracks: Sequence[Track]
    levels: str
    """The path of the figure of the levels."""
    level_systems: Sequence[str]
    """The systems of that figure."""
    difference: str
    """The path of the picture of distilled − alone."""


@dataclass(frozen=True)
class ReportFacts:
    """The content of the page."""

    synthetic: bool
    corpus: str
    """One sentence about the data."""
    mixtures: int
    systems: Sequence[ReportSystem]
    metrics: Sequence[str]
    scores: Mapping[str, Mapping[str, Interval | None]]
    """By system, then metric."""
    gains: Mapping[str, Mapping[str, Interval | None]]
    """Paired differences from the noisy input, by system and metric."""
    paired: Mapping[str, Interval | None]
    """Paired differences distilled − alone, by metric."""
    examples: Sequence[Example]
    curves: dict[str, str]
    """Caption → path of the figure."""
    times: Sequence[tuple[str, float, float | None]]
    """By stage, wall-clock seconds and CPU seconds."""
    commands: Sequence[CommandLine]
    for_own: CommandLine
    """The command that denoises with the default model."""
    folder: str
    """The folder in which the commands run."""
    teacher_trained: bool
    """Whether the teacher was trained here instead of shipped."""
    machine: str
    left_out: Sequence[str] = ()
    """Missing scores, with the reason."""


def write(folder: Path, facts: ReportFacts, *, portable: bool = False) -> Path:
    """Write the page into `folder` and return its path; a `portable` page contains the audio and pictures."""
    filters = {
        "count": formatting.count,
        "seconds": duration,
        "file": (lambda name: data_url(folder / name)) if portable else quote,
        "heading": formatting.heading,
        "number": formatting.number,
        "bounds": formatting.bounds,
        "percent": formatting.percent,
    }
    context = {
        "facts": facts,
        "names": {metric: METRICS[metric].name for metric in facts.metrics},
        "headline": headline(facts),
        "against_alone": verdict.against_alone(facts.paired),
        "warning": verdict.below_noisy(facts.gains),
        "kept": {metric: verdict.kept(facts.gains, metric) for metric in facts.metrics},
        "teacher": _system(facts, "teacher"),
        "student": _system(facts, "distilled"),
        "cheaper": cheaper(facts),
        "best": _best(facts),
        "total": sum(seconds for _, seconds, _ in facts.times),
        "computed": sum(computed or 0.0 for _, _, computed in facts.times),
        "ticks": pictures.ticks,
        "range_db": f"{RANGE_DB:g}",
        "difference_db": f"{pictures.DIFFERENCE_DB:g}",
        "gradient": pictures.gradient(),
        "difference_gradient": pictures.gradient(difference=True),
    }
    return write_page(folder / (PORTABLE if portable else FILE), "stillwave.quickstart", context, filters)


def headline(facts: ReportFacts) -> str:
    """Return the headline of the page and of the command's output."""
    return verdict.headline(smaller(facts), facts.gains)


def smaller(facts: ReportFacts) -> float | None:
    """Return the ratio of the parameters of teacher and student."""
    return _ratio(facts, lambda system: system.parameters)


def cheaper(facts: ReportFacts) -> float | None:
    """Return the ratio of the operations of teacher and student."""
    return _ratio(facts, lambda system: system.macs_per_second)


def _ratio(facts: ReportFacts, of: Callable[[ReportSystem], float | None]) -> float | None:
    teacher, student = (
        of(system) if (system := _system(facts, key)) else None for key in ("teacher", "distilled")
    )
    return teacher / student if teacher and student else None


def _system(facts: ReportFacts, key: str) -> ReportSystem | None:
    return next((system for system in facts.systems if system.key == key), None)


def _best(facts: ReportFacts) -> dict[str, str]:
    """Return the system with the best mean, by metric."""
    best: dict[str, str] = {}
    for metric in facts.metrics:
        means = {key: found.mean for key, cells in facts.scores.items() if (found := cells.get(metric))}
        if means:
            best[metric] = max(means, key=lambda key: METRICS[metric].gain(means[key]))
    return best
