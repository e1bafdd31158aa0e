"""Which networks are trained, with which seeds, and how: run folders, one thread each, teacher before students."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from stillwave import recipe as recipes
from stillwave.errors import StillwaveError

from .material import Corpora

HERE = Path(__file__).parents[1] / "multichannel"
THREADS = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
W = ("model.microphones=1", "model.output=mask")
MASK = ("model.output=mask",)


@dataclass(frozen=True)
class System:
    """A network of the table: its recipe, what is set in it, its seeds; `method`: by what it is taught."""

    name: str
    display: str
    seeds: tuple[int, ...]
    sets: tuple[str, ...] = ()
    method: str = ""
    scenes: str = "train360"
    recipe: str = "student"

    def folder(self, place: Path, seed: int) -> Path:
        """Its run folder."""
        return place / self.name / f"seed-{seed}"


TEACHER = System("teacher", "teacher, filters", (0,), recipe="teacher")
STUDENTS = (
    System("filters", "filters", (0, 1)),
    System("single", "one channel (W), mask", (0, 1), W),
    System("mask", "mask", (0, 1), MASK),
    System("i2srf_tfckd", "filters, by I²SRF-TFCKD", (0, 1), method="i2srf_tfckd"),
    System("cosine", "filters, by latent-cosine-style", (0,), method="cosine"),
    System("filters-600", "filters, 600 scenes", (0,), scenes="train100"),
    System("mask-600", "mask, 600 scenes", (0,), MASK, scenes="train100"),
)
SYSTEMS: Mapping[str, System] = {system.name: system for system in (TEACHER, *STUDENTS)}


def finished(system: System, seed: int, place: Path) -> bool:
    """Whether a run has come to the end of its budget."""
    folder = system.folder(place, seed)
    if not (folder / "recipe.yaml").exists():
        return False
    steps = recipes.load(folder / "recipe.yaml").train.steps
    return (folder / "checkpoints" / f"step_{steps:08d}").exists()


def runs(place: Path) -> Iterator[tuple[System, int]]:
    """All that are finished."""
    for system in SYSTEMS.values():
        yield from ((system, seed) for seed in system.seeds if finished(system, seed, place))


def train(place: Path, corpora: Corpora, jobs: int) -> None:
    """Train what is not finished, `jobs` runs at once, seed by seed. Raises StillwaveError where one failed."""
    with ThreadPoolExecutor(jobs) as pool:
        teacher = pool.submit(run, TEACHER, 0, place, corpora, None)
        rest = [
            pool.submit(run, system, seed, place, corpora, teacher if system.method else None)
            for seed in sorted({seed for system in STUDENTS for seed in system.seeds})
            for taught in (False, True)  # those that wait for the teacher come last
            for system in STUDENTS
            if seed in system.seeds and bool(system.method) is taught
        ]
        faults = [fault for future in (teacher, *rest) if (fault := future.result())]
    if faults:
        raise StillwaveError("; ".join(faults))


def run(system: System, seed: int, place: Path, corpora: Corpora, teacher: Future[str] | None) -> str:
    """One run, once its teacher is there; what went wrong, or nothing."""
    if finished(system, seed, place):
        return ""
    if teacher is not None and teacher.result():
        return f"{system.name}, seed {seed}: has no teacher"
    folder = system.folder(place, seed)
    words = [sys.executable, "-m", "stillwave", *command(system, seed, place, corpora)]
    code = subprocess.run(words, check=False, env={**os.environ, **THREADS}).returncode
    return f"{folder}: not finished (exit code {code})" if code else ""


def command(system: System, seed: int, place: Path, corpora: Corpora) -> list[str]:
    """The verb and its arguments; the same command resumes."""
    sets = [
        f"data.train.pairs={corpora.manifest(system.scenes)}",
        f"data.development={corpora.manifest('dev')}",
        f"seed={seed}",
        *system.sets,
    ]
    if system.method:
        verb = ["distill", "--teacher", str(TEACHER.folder(place, 0))]
        sets.append(f"distill.method={system.method}")
    else:
        verb = ["train"]
        sets += ["distill=null"] if system.recipe == "student" else []
    named = [verb[0], str(HERE / f"{system.recipe}.yaml"), *verb[1:]]
    folder = str(system.folder(place, seed))
    return [*named, "-o", folder, "-q", *(part for key in sets for part in ("--set", key))]
