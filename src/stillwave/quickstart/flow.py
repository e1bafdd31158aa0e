"""Run the quick start from recordings to report. Finished stages are skipped, so that the same call resumes."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from stillwave.audio import Samples
from stillwave.console import duration
from stillwave.errors import MissingExtraError
from stillwave.files import write_json
from stillwave.quickstart import commands, data, examples, page, pictures, runs, scoring, verdict
from stillwave.quickstart.data import QuickstartData
from stillwave.quickstart.examples import ExampleSignals
from stillwave.quickstart.page import Example, ReportFacts, ReportSystem
from stillwave.quickstart.scoring import Scored
from stillwave.quickstart.settings import Settings, Stopwatch
from stillwave.reports.markup import json_values
from stillwave.schema import SAMPLE_RATE

_NEEDED = {"torch": "train", "safetensors": "train", "matplotlib": "train", "jinja2": "train"}
_NEEDED |= {"pesq": "eval", "pystoi": "eval", "joblib": "eval"}


@dataclass(frozen=True)
class QuickstartResult:
    """The result of a quick start: its page, all figures as JSON values, and one line for the terminal."""

    page: Path
    figures: dict[str, Any]
    line: str


def run(settings: Settings) -> QuickstartResult:
    """Run the unfinished stages and write the report.

    Raises StillwaveError for a missing extra (before anything is computed), another folder, or unusable recordings.
    Raises Stopped after Ctrl-C during training; the same call resumes.
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
    with watch.stage("Examples and pictures", restart=True):
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
    return QuickstartResult(where, figures, f"{figures['verdict']} ({took}; report: {files})")


def _check(settings: Settings) -> None:
    """Raise errors before training, not after."""
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
        "noisy": ReportSystem("noisy", runs.NAMES["noisy"], "unprocessed"),
        "clean": ReportSystem("clean", runs.NAMES["clean"], "reference"),
        "shipped": ReportSystem("shipped", runs.NAMES["shipped"], "trained for hours on real speech"),
    }
    seconds = {key: watch.seconds.get(f"Training: {runs.NAMES[key].lower()}") for key in runs.RECIPES}
    return plain | {key: runs.describe(settings, key, seconds[key]) for key in runs.RECIPES}


def _examples(
    settings: Settings, found: QuickstartData, scored: Scored, systems: Mapping[str, ReportSystem]
) -> list[Example]:
    from stillwave.data.pair_sets import read_pairs

    chosen = []
    for pair in examples.choose(read_pairs(found.test), examples.SHOWN):
        files = {"noisy": pair.noisy, "clean": pair.clean}
        audio = settings.output / "scores" / "audio"
        files |= {key: audio / key / f"{pair.id}.wav" for key in runs.RECIPES}
        signals = {key: _mono(file) for key, file in files.items() if file.exists()}
        if {"alone", "distilled"} <= signals.keys():
            chosen.append(
                ExampleSignals(
                    pair.id, examples.title(pair), examples.note(pair), signals, scored.of(pair.id)
                )
            )
    if settings.enhance is not None:
        chosen.insert(0, _own_recording(settings, settings.enhance))
    return [examples.make(settings.output, one, systems) for one in chosen]


def _own_recording(settings: Settings, source: Path) -> ExampleSignals:
    """Enhance the user's file with every system and the default model; the page shows its beginning."""
    from stillwave.inference import load

    signals = {"noisy": _mono(source, examples.OWN_SECONDS)}
    networks = {key: runs.network(settings, key) for key in runs.RECIPES} | {"shipped": None}
    for key, network in networks.items():
        target = settings.output / "enhanced" / f"{source.stem}_{key}.wav"
        load(network).enhance_file(source, target, overwrite=True)
        signals[key] = _mono(target, examples.OWN_SECONDS)
    note = "Your recording: without a clean reference, so no scores. The full files are in enhanced/."
    return ExampleSignals(f"own_{source.stem}", source.name, note, signals, {})


def _mono(file: Path, seconds: int | None = None) -> Samples:
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
        left_out=scored.left_out(),
    )


def _noisy_file(settings: Settings, found: QuickstartData, shown: Sequence[Example]) -> Path:
    """Return a noisy recording for the commands of the page."""
    from stillwave.data.pair_sets import read_pairs

    return settings.output / shown[0].tracks[0].audio if shown else read_pairs(found.test)[0].noisy


def _figures(facts: ReportFacts, where: Path) -> dict[str, Any]:
    """Return all results as JSON values; missing bounds are null."""
    return {
        "page": str(where),
        "verdict": page.headline(facts),
        "against_alone": verdict.against_alone(facts.paired),
        "gain_kept": {metric: verdict.kept(facts.gains, metric) for metric in facts.metrics},
        "synthetic": facts.synthetic,
        "mixtures": facts.mixtures,
        "systems": {s.key: json_values(s) for s in facts.systems},
        "scores": json_values(facts.scores),
        "distilled_minus_alone": json_values(facts.paired),
        "seconds": {stage: seconds for stage, seconds, _ in facts.times},
        "cpu_seconds": {stage: computed for stage, _, computed in facts.times},
        "left_out": list(facts.left_out),
    }
