"""The quickstart from end to end. Every stage is skipped where its result is there, so that a second call goes on."""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from stillwave import __version__
from stillwave.console import duration
from stillwave.errors import MissingExtraError
from stillwave.files import write_json
from stillwave.quickstart import commands, data, examples, page, pictures, runs, scoring, verdict
from stillwave.quickstart.data import QuickstartData
from stillwave.quickstart.examples import ExampleSignals
from stillwave.quickstart.page import Example, ReportFacts, ReportSystem
from stillwave.quickstart.scoring import Scored
from stillwave.quickstart.settings import Settings, Stopwatch
from stillwave.schema import SAMPLE_RATE

_NEEDED = {"torch": "train", "safetensors": "train", "matplotlib": "train", "jinja2": "train"}
_NEEDED |= {"pesq": "eval", "pystoi": "eval", "joblib": "eval"}


@dataclass(frozen=True)
class QuickstartResult:
    """What a quickstart comes to."""

    page: Path
    figures: dict[str, Any]
    line: str


def run(settings: Settings) -> QuickstartResult:
    """Do what is left to do and write the page.

    Raises StillwaveError: a missing extra (before anything is computed), a folder of something else, recordings
    that cannot be used; and `train.Stopped` after Ctrl-C in a training, which the same call resumes.
    """
    _check(settings)
    settings.claim()
    out = settings.output
    watch = Stopwatch(out / "times.json")
    with watch.stage("Recordings"):
        found = _material(settings)
    for key in runs.trained(settings):
        with watch.stage(f"Training: {runs.NAMES[key].lower()}"):
            _train(settings, key, found)
    with watch.stage("Enhancing and scoring"):
        checkpoints = {key: runs.network(settings, key) for key in runs.RECIPES}
        scored = scoring.score(found.test, checkpoints, out / "scores", settings.jobs)
    with watch.stage("Examples and pictures", anew=True):
        systems = _systems(settings, watch)
        shown = _examples(settings, found, scored, systems)
        curves = _curves(settings)
    facts = _facts(settings, found, scored, systems, shown, curves, watch)
    where = page.write(out, facts)
    portable = page.write(out, facts, portable=True) if settings.single_file else None
    figures = _figures(facts, where)
    write_json(out / "results.json", figures)
    took = duration(sum(watch.seconds.values()))
    files = f"{where}" if portable is None else f"{where}; as one file: {portable}"
    return QuickstartResult(where, figures, f"{figures['verdict']} ({took}; look and listen: {files})")


def _check(settings: Settings) -> None:
    """Find out before minutes of training, not after."""
    for package, extra in _NEEDED.items():
        if importlib.util.find_spec(package) is None:
            raise MissingExtraError("the quickstart", extra)
    if settings.enhance is not None:
        from stillwave.audio import probe

        probe(settings.enhance)
    runs.network(settings, "teacher")


def _material(settings: Settings) -> QuickstartData:
    if settings.audio is None:
        return data.demo(settings.output / "corpus", settings.seed, settings.jobs)
    return data.own(settings.audio, settings.output / "data")


def _train(settings: Settings, key: str, found: QuickstartData) -> None:
    from stillwave.training import train

    train(runs.recipe(settings, key, found), runs.folder(settings, key))


def _systems(settings: Settings, watch: Stopwatch) -> dict[str, ReportSystem]:
    plain = {
        "noisy": ReportSystem("noisy", runs.NAMES["noisy"], "nothing done"),
        "clean": ReportSystem("clean", runs.NAMES["clean"], "the reference"),
        "shipped": ReportSystem("shipped", runs.NAMES["shipped"], "trained for hours on real speech"),
    }
    seconds = {key: watch.seconds.get(f"Training: {runs.NAMES[key].lower()}") for key in runs.RECIPES}
    return plain | {key: runs.describe(settings, key, seconds[key]) for key in runs.RECIPES}


def _examples(
    settings: Settings, found: QuickstartData, scored: Scored, systems: Mapping[str, ReportSystem]
) -> list[Example]:
    from stillwave.data.pair_sets import read_pairs

    heard = []
    for pair in examples.choose(read_pairs(found.test), examples.SHOWN):
        files = {"noisy": pair.noisy, "clean": pair.clean}
        audio = settings.output / "scores" / "audio"
        files |= {key: audio / key / f"{pair.id}.wav" for key in runs.RECIPES}
        signals = {key: _mono(file) for key, file in files.items() if file.exists()}
        if {"alone", "distilled"} <= signals.keys():
            heard.append(
                ExampleSignals(
                    pair.id, examples.title(pair), examples.note(pair), signals, scored.of(pair.id)
                )
            )
    if settings.enhance is not None:
        heard.insert(0, _own_recording(settings, settings.enhance))
    return [examples.make(settings.output, one, systems) for one in heard]


def _own_recording(settings: Settings, source: Path) -> ExampleSignals:
    """Enhance the user's file as a whole, by every system and the model that ships; its beginning is for the page."""
    from stillwave.inference import load

    signals = {"noisy": _mono(source, examples.OWN_SECONDS)}
    networks = {key: runs.network(settings, key) for key in runs.RECIPES} | {"shipped": None}
    for key, network in networks.items():
        target = settings.output / "enhanced" / f"{source.stem}_{key}.wav"
        load(network).enhance_file(source, target, overwrite=True)
        signals[key] = _mono(target, examples.OWN_SECONDS)
    note = "Your own recording: no clean reference, so no scores. The whole of it is in enhanced/."
    return ExampleSignals(f"own_{source.stem}", source.name, note, signals, {})


def _mono(file: Path, seconds: int | None = None) -> examples.Samples:
    from stillwave.audio import probe, read

    frames = -1 if seconds is None else seconds * probe(file).sample_rate
    return np.ascontiguousarray(read(file, sample_rate=SAMPLE_RATE, frames=frames)[0][0])


def _curves(settings: Settings) -> dict[str, str]:
    losses, scores = runs.curves(settings)
    drawn = {
        "Enhancement loss on the training mixtures, as a running mean": ("loss.png", losses, "loss"),
        "SI-SDR on the development mixtures": ("development.png", scores, "dB"),
    }
    found = {}
    for caption, (name, curves, label) in drawn.items():
        if curves:
            pictures.draw_curves(settings.output / "pictures" / name, curves, label, smooth=label == "loss")
            found[caption] = f"pictures/{name}"
    return found


def _facts(
    settings: Settings,
    found: QuickstartData,
    scored: Scored,
    systems: Mapping[str, ReportSystem],
    shown: Sequence[Example],
    curves: dict[str, str],
    watch: Stopwatch,
) -> ReportFacts:
    from stillwave import provenance

    summary = scored.summary
    machine = provenance.machine()
    recording = settings.enhance or _noisy_file(settings, found, shown)
    return ReportFacts(
        synthetic=found.synthetic,
        corpus=found.sentence,
        mixtures=summary.recordings,
        systems=list(systems.values()),
        metrics=summary.metrics,
        scores={s: {m: cell.interval for m, cell in cells.items()} for s, cells in summary.means.items()},
        gains=scored.gains(),
        paired=summary.differences["distilled"],
        examples=shown,
        curves=curves,
        times=[(stage, s, watch.cpu_seconds.get(stage)) for stage, s in watch.seconds.items()],
        commands=commands.commands(settings, recording),
        for_own=commands.with_shipped_model(settings, recording),
        folder=str(Path.cwd()),
        teacher_trained=settings.train_teacher,
        machine=f"{machine['cores']} cores",
        version=__version__,
        left_out=scored.left_out(),
    )


def _noisy_file(settings: Settings, found: QuickstartData, shown: Sequence[Example]) -> Path:
    """A noisy recording for the page's commands."""
    from stillwave.data.pair_sets import read_pairs

    return settings.output / shown[0].tracks[0].audio if shown else read_pairs(found.test)[0].noisy


def _figures(facts: ReportFacts, where: Path) -> dict[str, Any]:
    """All figures as JSON values; an end that does not exist is null."""
    return {
        "page": str(where),
        "verdict": page.headline(facts),
        "against_alone": verdict.against_alone(facts.paired),
        "gain_kept": {metric: verdict.kept(facts.gains, metric) for metric in facts.metrics},
        "synthetic": facts.synthetic,
        "mixtures": facts.mixtures,
        "systems": {s.key: asdict(s) for s in facts.systems},
        "scores": {s: {m: _interval(i) for m, i in cells.items()} for s, cells in facts.scores.items()},
        "distilled_minus_alone": {metric: _interval(found) for metric, found in facts.paired.items()},
        "seconds": {stage: seconds for stage, seconds, _ in facts.times},
        "cpu_seconds": {stage: computed for stage, _, computed in facts.times},
        "left_out": list(facts.left_out),
    }


def _interval(found: Any) -> dict[str, float | None] | None:
    if found is None:
        return None
    return {k: None if isinstance(v, float) and math.isnan(v) else v for k, v in asdict(found).items()}
