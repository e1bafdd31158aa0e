"""The page that the quickstart leaves: facts in, one HTML file out, beside the audio and pictures it has."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

from stillwave.errors import MissingExtraError
from stillwave.files import write_text
from stillwave.quickstart.pictures import PLOT

FILE = "index.html"


@dataclass(frozen=True)
class Interval:
    """A mean with the ends of its 95 % interval."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class Metric:
    """A measure: its key in the figures, its name, its unit and how many decimals it deserves."""

    key: str
    name: str
    unit: str = ""
    decimals: int = 2


METRICS = (
    Metric("pesq_wb", "PESQ-WB"),
    Metric("pesq_nb", "PESQ-NB"),
    Metric("stoi", "STOI", "×100", 1),
    Metric("si_sdr", "SI-SDR", "dB"),
)


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
    scores: dict[str, dict[str, Interval]]
    """By system, then metric."""
    paired: dict[str, Interval]
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
    environment.filters.update(size=size, seconds=duration, url=quote, signed=signed)
    text = environment.get_template("page.html").render(
        facts=facts,
        metrics=METRICS,
        verdict=verdict(facts.paired),
        best=_best(facts),
        total=sum(seconds for _, seconds in facts.times),
        plot=PLOT,
    )
    write_text(folder / FILE, text)
    return folder / FILE


def verdict(paired: dict[str, Interval]) -> str:
    """What the paired differences allow to be said, and no more.

    >>> verdict({"si_sdr": Interval(0.4, 0.1, 0.7)})
    'Distillation helped: by SI-SDR +0.40 dB (95 % interval +0.10 to +0.70).'
    """
    known = [(metric, paired[metric.key]) for metric in METRICS if metric.key in paired]
    better = [_difference(m, d) for m, d in known if d.low > 0]
    worse = [_difference(m, d) for m, d in known if d.high < 0]
    if not known:
        return "No mixture could be scored for both students, so nothing can be said of distillation."
    if better and worse:
        return f"Distillation helped in part: {'; '.join(better)}. It made worse: {'; '.join(worse)}."
    if better:
        return f"Distillation helped: by {'; '.join(better)}."
    if worse:
        return f"Distillation did not help here, it made things worse: {'; '.join(worse)}."
    shown = "; ".join(_difference(m, d) for m, d in known)
    return f"No difference that this test could tell from chance: {shown}. Every interval includes zero."


def size(value: float | None) -> str:
    """A count in three digits or so: 595494 → '595 k', 2.42e9 → '2.42 G'.

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


def duration(seconds: float | None) -> str:
    """Seconds as people say them.

    >>> duration(7.4), duration(200), duration(None)
    ('7.4 s', '3 min 20 s', '–')
    """
    if seconds is None:
        return "–"
    if seconds < 60:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    return f"{whole // 60} min {whole % 60:02d} s"


def signed(value: float, decimals: int) -> str:
    """With its sign, and a true minus.

    >>> signed(-0.254, 2), signed(0.1, 2)
    ('−0.25', '+0.10')
    """
    return f"{value:+.{decimals}f}".replace("-", "−")


def _difference(metric: Metric, found: Interval) -> str:
    mean, low, high = (signed(v, metric.decimals) for v in (found.mean, found.low, found.high))
    unit = f" {metric.unit}" if metric.unit else ""
    return f"{metric.name} {mean}{unit} (95 % interval {low} to {high})"


def _best(facts: Facts) -> dict[str, str]:
    """The system with the highest mean of each metric."""
    found: dict[str, str] = {}
    for metric in METRICS:
        means = {key: scores[metric.key].mean for key, scores in facts.scores.items() if metric.key in scores}
        if means:
            found[metric.key] = max(means, key=lambda key: means[key])
    return found
