"""docs/multichannel.md, from the scores."""

from __future__ import annotations

import datetime
import math
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import torch

from comparison import processor  # type: ignore[import-not-found]
from stillwave import checkpoint
from stillwave.data.pair_sets import read_pairs
from stillwave.errors import StillwaveError
from stillwave.files import write_text
from stillwave.reports.formatting import heading, number
from stillwave.stats.bootstrap import Interval
from stillwave.stats.crossed import Estimate, estimate
from stillwave.training.run_log import read

from .material import SETS, Corpora
from .results import METRICS, Scored, clean_against_texts, collect, corpus_rate, difference
from .scoring import BASELINES
from .steps import here, real
from .training import HERE, SYSTEMS

HEAD = """# Results with several microphones

Two first-order ambisonic microphones in simulated rooms: eight channels against one, filters against a mask, and
distillation against training alone. How to train on your data or on L3DAS23:
[Use several microphones](how-to/multichannel.md).

- **Scenes.** {train} for training ({hours:.1f} hours; {speakers} speakers of speechocean762, noise from ESC-50), in
  the layout of the L3DAS23 challenge: one to three noises, −5 … 15 dB, RT60 0.15 … 0.5 s. Scored on {test} scenes of
  other speakers, noises and rooms, which were not used for training, tuning or early stopping; {dev} others selected
  the checkpoint of each run.
  The target is the direct sound, so networks must also remove reflections.
- **Students.** DPDCRN with 16 channels and 1 block, {steps} updates of {batch} × {seconds:g} s: {budget:.1f} hours of
  segments, the same for all students of a seed. The input is eight channels, or channel W of microphone A alone.
- **Teacher.** DPDCRN with 32 channels and 2 blocks, eight channels, the same budget.
- **Budget.** {cost},
  of processor time. This is far from convergence: the results show what helps early in training.
- **Machine.** {machine}, torch {torch}, one thread per run, {day}.

`python benchmarks/multichannel.py --audio AUDIO`
"""
COMPARED = (  # ours, theirs
    ("filters", "single"),
    ("mask", "single"),
    ("filters", "mask"),
    ("filters-600", "mask-600"),
    ("filters", "filters-600"),
    ("mask", "mask-600"),
    ("i2srf_tfckd", "filters"),
    ("cosine", "filters"),
    ("teacher", "filters"),
    ("single", "w"),
    ("filters", "w"),
    ("filters", "cardioid"),
    ("filters", "mvdr"),
)
ORDER = (
    *BASELINES,
    "single",
    "mask",
    "filters",
    "i2srf_tfckd",
    "cosine",
    "teacher",
    "mask-600",
    "filters-600",
)


def write(place: Path, corpora: Corpora, file: Path) -> None:
    """The page. Raises StillwaveError where nothing is scored."""
    pairs = read_pairs(corpora.manifest("test"))
    found = collect(place, pairs)
    if not found:
        raise StillwaveError(f"{place}: nothing is scored yet")
    parts = [
        head(place, corpora),
        (HERE / "discussion.md").read_text(encoding="utf-8").strip() + "\n",
        "## Scores\n",
        *scores(place, found),
        "\nMeans with 95 % intervals over scenes, and over seeds where there are several. WER and T1 as defined "
        "by the challenge, with pocketsphinx, against its transcripts of the targets. The cardioid is steered to the "
        "true position of the talker.\n",
        "## Differences\n",
        *differences(found),
        "\nPaired by scene and seed.\n",
        "## Word error rate of the corpus\n",
        *words(found),
        "\nErrors summed over scenes (and seeds), divided by the number of words in the transcripts of the targets. "
        f"{_texts(clean_against_texts(place, pairs))}\n",
        "## The recipes for the real set\n",
        real(place),
    ]
    write_text(file, "\n".join(parts) + "\n")


def head(place: Path, corpora: Corpora) -> str:
    from stillwave import recipe as recipes

    recipe = recipes.load(HERE / "student.yaml")
    train = recipe.train
    scenes = read_pairs(corpora.manifest("train360"))
    return HEAD.format(
        train=f"{SETS['train360'][0]:,}",
        dev=SETS["dev"][0],
        test=SETS["test"][0],
        hours=sum(scene.seconds or 0 for scene in scenes) / 3600,
        speakers=len({scene.speaker for scene in scenes}),
        steps=train.steps,
        batch=train.batch_size,
        seconds=recipe.data.segment_seconds,
        budget=train.steps * train.batch_size * recipe.data.segment_seconds / 3600,
        cost=here(place),
        machine=f"{os.cpu_count()} cores of {processor()}",
        torch=torch.__version__,
        day=datetime.date.today().isoformat(),
    )


def scores(place: Path, found: Mapping[str, Scored]) -> Iterator[str]:
    yield row("system", "parameters", *map(heading, METRICS), "development SI-SDR dB", "seeds")
    yield row(*["---"] * (len(METRICS) + 4))
    for name in ORDER:
        if name in found:
            system = found[name]
            means = (told(metric, estimate(system.of(metric)[1])) for metric in METRICS)
            yield row(display(name), parameters(place, name), *means, chosen(place, system), counted(system))


def chosen(place: Path, system: Scored) -> str:
    """Of the checkpoints, in the mean over seeds: what choices were made by."""
    if not system.seeds:
        return "–"
    logs = [read(SYSTEMS[system.name].folder(place, seed)) for seed in system.seeds]
    best = [max(entry["si_sdr"] for entry in log if entry["kind"] == "validation") for log in logs]
    return number(math.fsum(best) / len(best), "si_sdr").replace("-", "−")


def counted(system: Scored) -> str:
    """Seeds, and of how many of them words were heard where that is not all."""
    heard = len(system.of("wer")[0])
    all_of_them = len(system.seeds)
    return f"{all_of_them or '–'}" if heard in (0, all_of_them) else f"{all_of_them} (words: {heard})"


def differences(found: Mapping[str, Scored]) -> Iterator[str]:
    yield row("", *(f"Δ {heading(m)}" for m in METRICS), "seeds")
    yield row(*["---"] * (len(METRICS) + 2))
    for ours, theirs in COMPARED:
        if ours in found and theirs in found:
            changes = [difference(found[ours], found[theirs], metric) for metric in METRICS]
            if changes[0][0] is None:  # no seed in common
                continue
            shown = (
                told(metric, change, signed=True)
                for metric, (change, _) in zip(METRICS, changes, strict=True)
            )
            yield row(f"{display(ours)} − {display(theirs)}", *shown, str(changes[0][1]))


def words(found: Mapping[str, Scored]) -> Iterator[str]:
    yield row("system", "corpus WER %")
    yield row("---", "---")
    for name in ORDER:
        rate = corpus_rate(found[name]) if name in found else None
        if rate is not None:
            yield row(display(name), percent(rate))


def display(name: str) -> str:
    return BASELINES[name] if name in BASELINES else SYSTEMS[name].display


def parameters(place: Path, name: str) -> str:
    if name in BASELINES:
        return "–"
    card = checkpoint.read_card(checkpoint.resolve(SYSTEMS[name].folder(place, SYSTEMS[name].seeds[0])))
    return f"{card.parameters / 1e3:.1f} k"


def told(metric: str, found: Estimate | None, *, signed: bool = False) -> str:
    if found is None:
        return "–"
    mean, low, high = (number(value, metric, signed=signed) for value in (found.mean, found.low, found.high))
    return f"{mean} [{low}, {high}]".replace("-", "−")


def percent(rate: Interval) -> str:
    return f"{100 * rate.mean:.0f} [{100 * rate.low:.0f}, {100 * rate.high:.0f}]"


def _texts(rate: Interval | None) -> str:
    return (
        ""
        if rate is None
        else f"Against the known texts, the transcripts of the targets have a WER of {percent(rate)} %."
    )


def row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"
