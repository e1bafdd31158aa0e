"""The training runs: a student alone, the same student distilled, and optionally a teacher."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from stillwave import shipped_checkpoints as weights
from stillwave.quickstart.data import QuickstartData
from stillwave.quickstart.page import ReportSystem
from stillwave.quickstart.pictures import Curve
from stillwave.quickstart.settings import Settings
from stillwave.schema import ModelConfig, Recipe

RECIPES = {
    "teacher": "quickstart-teacher",
    "alone": "quickstart-student-alone",
    "distilled": "quickstart-student",
}
NAMES = {
    **{"noisy": "Noisy", "clean": "Clean", "teacher": "Teacher", "alone": "Student alone"},
    **{"distilled": "Distilled", "shipped": "Shipped model"},
}


def trained(settings: Settings) -> list[str]:
    """Return the systems that this quick start trains, in order."""
    return [key for key in RECIPES if key != "teacher" or settings.train_teacher]


def folder(settings: Settings, key: str) -> Path:
    """Return the run folder of a trained system."""
    return settings.output / "runs" / key


def network(settings: Settings, key: str) -> Path:
    """Return the run folder or checkpoint of a system."""
    return folder(settings, key) if key in trained(settings) else weights.teacher()


def recipe(settings: Settings, key: str, material: QuickstartData) -> Recipe:
    """Return a shipped quick start recipe with these recordings, seed and training time."""
    from stillwave.recipe import load

    base = load(RECIPES[key])
    steps = settings.steps(base.train.steps)
    mixing = base.data.mixing if material.babble else base.data.mixing.model_copy(update={"babble": 0.0})
    data = base.data.model_copy(
        update={
            "mixing": mixing,
            "train": material.train,
            "development": material.development,
            "cache": str((settings.output / "cache").resolve()),
        }
    )
    train = base.train.model_copy(
        update={
            "steps": steps,
            "validate_every": max(1, -(-steps // 6)),
            "checkpoint_every": min(base.train.checkpoint_every, max(1, steps // 4)),
            "tensorboard": False,
        }
    )
    warmup = min(base.optimiser.warmup_steps, steps // 5)
    distill = base.distill
    if distill is not None:
        balance = min(distill.balance_steps, max(1, steps // 8))
        teacher = str(network(settings, "teacher").resolve())
        distill = distill.model_copy(update={"teacher": teacher, "balance_steps": balance})
    return base.model_copy(
        update={
            "name": NAMES[key].lower(),
            "seed": settings.seed,
            "data": data,
            "train": train,
            "optimiser": base.optimiser.model_copy(update={"warmup_steps": warmup}),
            "distill": distill,
        }
    )


def curves(settings: Settings) -> tuple[dict[str, Curve], dict[str, Curve]]:
    """Return the enhancement loss and the development score by step, from the logs of the runs."""
    from stillwave.training.run_log import read

    losses: dict[str, Curve] = {}
    scores: dict[str, Curve] = {}
    for key in trained(settings):
        events = read(folder(settings, key))
        loss = [(e["step"], _enhancement(e["loss"])) for e in events if e["kind"] == "train"]
        score = [(e["step"], e["si_sdr"]) for e in events if e["kind"] == "validation"]
        losses[key] = loss
        scores[key] = [(step, value) for step, value in score if value is not None]
    return {k: c for k, c in losses.items() if c}, {k: c for k, c in scores.items() if c}


def describe(settings: Settings, key: str, seconds: float | None) -> ReportSystem:
    """Return the size, complexity and training of a system."""
    from stillwave import checkpoint
    from stillwave.training.run_log import read

    card = checkpoint.read_card(checkpoint.resolve(network(settings, key)))
    is_trained_here = key in trained(settings)
    events = read(folder(settings, key)) if is_trained_here else []
    return ReportSystem(
        key=key,
        name=NAMES[key],
        note=_NOTES[key] if is_trained_here else "shipped with stillwave",
        parameters=card.parameters,
        macs_per_second=_macs_per_second(card.model),
        steps=max((event["step"] for event in events), default=None),
        seconds=seconds,
    )


@cache
def _macs_per_second(config: ModelConfig) -> float:
    """Return the multiply-accumulate operations for one second of audio."""
    import torch

    from stillwave.models import build
    from stillwave.profiling.complexity import count_macs

    with torch.random.fork_rng(devices=[]):
        model = build(config)
    return float(sum(count_macs(model.eval(), model.sample_rate).values()))


_NOTES = {
    "teacher": "trained here, non-causal",
    "alone": "trained here without a teacher",
    "distilled": "trained here with the teacher",
}


def _enhancement(loss: dict[str, float]) -> float:
    """Return the loss term that all runs have."""
    return float(loss["enhancement"])
