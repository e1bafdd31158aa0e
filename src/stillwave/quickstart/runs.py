"""The three trainings: a teacher, a student alone, and the same student taught."""

from __future__ import annotations

from pathlib import Path

from stillwave.quickstart.material import Material
from stillwave.quickstart.page import System
from stillwave.quickstart.pictures import Curve
from stillwave.quickstart.settings import Settings
from stillwave.schema import Recipe

RECIPES = {
    "teacher": "quickstart-teacher",
    "alone": "quickstart-student-alone",
    "distilled": "quickstart-student",
}
NAMES = {"noisy": "Noisy", "clean": "Clean", "teacher": "Teacher", "alone": "Student alone"}
NAMES["distilled"] = "Distilled"


def folder(settings: Settings, key: str) -> Path:
    """The run folder of a system."""
    return settings.output / "runs" / key


def recipe(settings: Settings, key: str, material: Material) -> Recipe:
    """A shipped quickstart recipe, for these recordings, seed and time."""
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
            "validate_every": max(1, -(-steps // 8)),
            "checkpoint_every": min(base.train.checkpoint_every, max(1, steps // 4)),
            "tensorboard": False,
        }
    )
    warmup = min(base.optimiser.warmup_steps, steps // 5)
    distill = base.distill
    if distill is not None:
        balance = min(distill.balance_steps, max(1, steps // 8))
        teacher = str(folder(settings, "teacher").resolve())
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
    """From the runs' logs: the enhancement loss by step, and the development score by step."""
    from stillwave.train.journal import read

    losses: dict[str, Curve] = {}
    scores: dict[str, Curve] = {}
    for key in RECIPES:
        events = read(folder(settings, key))
        loss = [(e["step"], _enhancement(e["loss"])) for e in events if e["kind"] == "train"]
        score = [(e["step"], e["si_sdr"]) for e in events if e["kind"] == "validation"]
        losses[key] = loss
        scores[key] = [(step, value) for step, value in score if value is not None]
    return {k: c for k, c in losses.items() if c}, {k: c for k, c in scores.items() if c}


def describe(settings: Settings, key: str, seconds: float | None) -> System:
    """Size, cost and training of a system."""
    from stillwave import checkpoint
    from stillwave.deploy.complexity import count_macs
    from stillwave.train.journal import read

    model, card = checkpoint.load(folder(settings, key))
    macs = count_macs(model, model.sample_rate)
    blocks = f"{card.model.blocks} block{'s' if card.model.blocks > 1 else ''}"
    note = f"{card.model.channels} channels, {blocks}" + (", I²SRF-TFCKD" if key == "distilled" else "")
    events = read(folder(settings, key))
    return System(
        key=key,
        name=NAMES[key],
        note=note,
        parameters=card.parameters,
        macs_per_second=float(sum(macs.values())),
        steps=max((event["step"] for event in events), default=None),
        seconds=seconds,
    )


def _enhancement(loss: dict[str, float]) -> float:
    """The part of the loss that all three runs have."""
    return float(loss["enhancement"])
