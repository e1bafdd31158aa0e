"""What an update takes on one core: of the runs here, and of the recipes for the real set. Measured once, then kept."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import median

import torch

from stillwave import recipe as recipes
from stillwave.files import write_json
from stillwave.models import build
from stillwave.profiling.complexity import count_macs
from stillwave.schema import SAMPLE_RATE

from .training import HERE, W

REAL = ("l3das23-teacher", "l3das23-student")
RECIPES: Mapping[str, tuple[str, tuple[str, ...]]] = {  # name → recipe, what is set in it
    **{name: (name, ()) for name in REAL},
    "student": (str(HERE / "student.yaml"), ()),
    "single": (str(HERE / "student.yaml"), W),
    "teacher": (str(HERE / "teacher.yaml"), ()),
}
EXAMPLES, REPEATS = 2, 3
PASSES = 3
"""A forward and a backward pass, in forward passes."""


def measured(place: Path) -> dict[str, dict[str, float]]:
    """Recipe → parameters, MACs of a second, and processor seconds of a whole batch: `forward` and `step`."""
    file = place / "steps.json"
    if file.exists():
        return dict(json.loads(file.read_text(encoding="utf-8")))
    torch.set_num_threads(1)
    found = {name: measure(name) for name in RECIPES}
    write_json(file, found)
    return found


def measure(name: str) -> dict[str, float]:
    """On `EXAMPLES` of the batch's segments; the time grows with their number."""
    recipe = recipes.load(*RECIPES[name])
    model = build(recipe.model)
    seconds, batch = recipe.data.segment_seconds, recipe.train.batch_size
    noisy = 0.1 * torch.randn(EXAMPLES, recipe.model.microphones, int(seconds * SAMPLE_RATE)).squeeze(1)

    def forward() -> None:
        with torch.no_grad():
            model(noisy)

    def step() -> None:
        model(noisy).square().mean().backward()

    return {
        "parameters": sum(p.numel() for p in model.parameters()),
        "macs": sum(count_macs(build(recipe.model).eval(), SAMPLE_RATE).values()),
        "forward": batch / EXAMPLES * timed(forward),
        "step": batch / EXAMPLES * timed(step),
        "steps": recipe.train.steps,
        "operations": 2 * PASSES * recipe.train.steps * batch * seconds,
    }


def timed(work: Callable[[], None]) -> float:
    """Median processor time: what others do on the machine counts less than on the clock."""
    times = []
    for _ in range(REPEATS):
        started = time.process_time()
        work()
        times.append(time.process_time() - started)
    return median(times)


def here(place: Path) -> str:
    """Of the runs, for the page."""
    shown = {"single": "a student of one channel", "student": "one of eight", "teacher": "the teacher"}
    found = measured(place)
    told = ", ".join(f"{found[name]['step']:.1f} s for {words}" for name, words in shown.items())
    return f"An update takes one core {told}"


def real(place: Path) -> str:
    """Of the recipes for the real set, for the page."""
    found = measured(place)
    teacher, student = (found[name] for name in REAL)
    day = 24 * 3600
    taught = student["step"] + teacher["forward"]
    days = (teacher["step"] * teacher["steps"] / day, taught * student["steps"] / day)
    operations = (f"{each['macs'] * each['operations'] / 1e18:.1f} · 10¹⁸" for each in (teacher, student))
    return (
        f"An update of 16 × 4 s takes one core {teacher['step']:.0f} s of processor time for the teacher and "
        f"{student['step']:.0f} s for the student, or {taught:.0f} s with the teacher's forward pass but without the "
        f"distillation method. The {student['steps']:,.0f} updates of the recipes would take {days[0]:,.0f} and "
        f"{days[1]:,.0f} days. "
        f"They are meant for a GPU, **on which nothing was measured**; "
        f"the forward and backward passes are {' and '.join(operations)} operations, without the "
        "teacher's forward pass."
    )
