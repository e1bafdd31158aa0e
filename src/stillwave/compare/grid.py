"""A grid: recipe, teacher, test set and cells, and its folder.

GRID/grid.json                             the description of the grid; the folder of another grid is refused
GRID/teacher/                              a copy of the teacher's checkpoint
GRID/references/noisy|teacher/             their scores
GRID/runs/STUDENT/METHOD/seed-N/           a run folder for each cell, with its scores
GRID/logs/                                 the output of each cell's process
GRID/report/                               page, tables, figures, results
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from stillwave import recipe as recipes
from stillwave.errors import RecipeError, StillwaveError
from stillwave.files import atomic_folder, write_json
from stillwave.output_paths import make_folder
from stillwave.recipe_faults import explain
from stillwave.schema import ModelConfig, Recipe

FORMAT = 1
FILE = "grid.json"
FREE = ("seed", "model", "distill.method", "distill.teacher")
REFERENCES = ("noisy", "teacher")


@dataclass(frozen=True)
class Cell:
    """One run of the grid."""

    student: str
    method: str
    seed: int

    def folder(self, grid: Path) -> Path:
        """Return its run folder."""
        return grid / "runs" / self.student / self.method / f"seed-{self.seed}"

    def log(self, grid: Path) -> Path:
        """Return the file with the output of its process."""
        return grid / "logs" / f"{self.student}-{self.method}-seed-{self.seed}.txt"

    def failure(self, grid: Path) -> Path:
        """Return the file with the reason of its failure; outside its folder, which may not be a run folder yet."""
        return self.log(grid).with_suffix(".failed.json")

    def __str__(self) -> str:
        return f"{self.student} {self.method} seed {self.seed}"


@dataclass(frozen=True)
class TestSet:
    """A folder of fixed mixtures, identified by a hash of its files."""

    __test__ = False  # not a test class of pytest
    folder: str
    sha256: str
    recordings: int


@dataclass(frozen=True)
class Grid:
    """The common settings of all cells, and what they differ in."""

    folder: Path
    recipe: Recipe
    """A recipe with a teacher; its seed, network and method are replaced in each cell."""
    teacher: str
    """The SHA-256 of its weights."""
    test: TestSet
    metrics: tuple[str, ...]
    methods: Mapping[str, dict[str, Any]]
    """Name → keys of the `distill` section."""
    seeds: tuple[int, ...]
    students: Mapping[str, ModelConfig]

    def cells(self) -> Iterator[Cell]:
        """Yield the cells seed by seed, so that an unfinished grid compares all methods."""
        for seed in self.seeds:
            for student in self.students:
                for method in self.methods:
                    yield Cell(student, method, seed)

    def recipe_of(self, cell: Cell) -> Recipe:
        """Return the recipe of a cell. Raises RecipeError."""
        plain = self.recipe.model_dump(mode="json")
        plain["seed"] = cell.seed
        plain["model"] = self.students[cell.student].model_dump()
        plain["distill"] = {
            **plain["distill"],
            "teacher": str(self.folder.resolve() / "teacher"),
            **self.methods[cell.method],
        }
        try:
            return Recipe.model_validate(plain)
        except ValidationError as error:
            raise RecipeError(f"--methods {cell.method}: {next(explain(error, plain))}") from None

    def describe(self) -> dict[str, Any]:
        """Return the content of grid.json."""
        return {
            "format": FORMAT,
            "recipe": self.recipe.model_dump(mode="json"),
            "teacher": self.teacher,
            "test": {
                "folder": self.test.folder,
                "sha256": self.test.sha256,
                "recordings": self.test.recordings,
            },
            "metrics": list(self.metrics),
            "methods": dict(self.methods),
            "seeds": list(self.seeds),
            "students": {name: model.model_dump() for name, model in self.students.items()},
        }


def open_grid(grid: Grid, teacher: Path | str) -> Grid:
    """Create the folder of a grid, or add cells to an existing one.

    `teacher`: the teacher's checkpoint, which is copied into the folder. Raises StillwaveError if the folder belongs to
    a grid with another recipe, teacher or test set, or is not a grid.
    """
    for cell in grid.cells():
        grid.recipe_of(cell)  # invalid options of a method are reported before anything is written
    _make(grid.folder)
    found = read(grid.folder)
    if found is not None:
        _same(grid, found)
        grid = _united(grid, found)
    _keep_teacher(grid, Path(teacher))
    write_json(grid.folder / FILE, grid.describe())
    return grid


def read(folder: Path) -> Grid | None:
    """Return the grid of a folder; None if there is none. Raises StillwaveError if it cannot be read."""
    file = folder / FILE
    if not file.exists():
        return None
    try:
        plain = json.loads(file.read_text(encoding="utf-8"))
        return Grid(
            folder=folder,
            recipe=Recipe.model_validate(plain["recipe"]),
            teacher=plain["teacher"],
            test=TestSet(**plain["test"]),
            metrics=tuple(plain["metrics"]),
            methods=plain["methods"],
            seeds=tuple(plain["seeds"]),
            students={n: ModelConfig.model_validate(m) for n, m in plain["students"].items()},
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StillwaveError(f"{file}: cannot be read ({str(error).splitlines()[0]})") from None


def _make(folder: Path) -> None:
    make_folder(folder)
    others = sorted(p.name for p in folder.iterdir() if not p.name.startswith("."))
    if others and not (folder / FILE).exists():
        raise StillwaveError(f"{folder}: contains '{others[0]}' but no grid; use a new or empty folder")


def _same(grid: Grid, found: Grid) -> None:
    """Raise StillwaveError if the cells of two grids cannot be compared."""
    where = f"{grid.folder}: already holds a grid with a different"
    if found.teacher != grid.teacher:
        raise StillwaveError(
            f"{where} teacher (weights {found.teacher[:12]}…, not {grid.teacher[:12]}…); use another folder"
        )
    keys = [key for key in recipes.differences(found.recipe, grid.recipe) if not key.startswith(FREE)]
    if keys:
        more = f" (and {len(keys) - 1} more)" if len(keys) > 1 else ""
        raise StillwaveError(
            f"{where} recipe: {keys[0]} differs{more}; use another folder or the same recipe"
        )
    if found.test.sha256 != grid.test.sha256:
        raise StillwaveError(f"{where} test set ({found.test.folder} at that time); use another folder")
    for name, section in grid.methods.items():
        if found.methods.get(name, section) != section:
            raise StillwaveError(
                f"{grid.folder}: already has '{name}' with other options ({found.methods[name]}); "
                "give the new options another name with --variant"
            )


def _united(grid: Grid, found: Grid) -> Grid:
    """Return a grid with the cells of both, those of the folder first."""
    return Grid(
        folder=grid.folder,
        recipe=found.recipe,
        teacher=grid.teacher,
        test=grid.test,
        metrics=grid.metrics,
        methods={**found.methods, **grid.methods},
        seeds=tuple(sorted({*found.seeds, *grid.seeds})),
        students={**found.students, **grid.students},
    )


def _keep_teacher(grid: Grid, teacher: Path) -> None:
    """Copy the teacher's checkpoint: the original may be changed, moved or deleted."""
    from stillwave import checkpoint

    place = grid.folder / "teacher"
    if not place.exists():
        with atomic_folder(place) as temporary:
            for name in (checkpoint.WEIGHTS, checkpoint.CARD):
                shutil.copyfile(checkpoint.resolve(teacher) / name, temporary / name)
    checkpoint.load(place)


def examine_test(folder: Path | str) -> TestSet:
    """Return a test set, identified by ids, SNR and audio files. Raises StillwaveError if it has no pairs."""
    from stillwave.data.pair_sets import read_pairs

    pairs = read_pairs(folder)
    digest = hashlib.sha256()
    for pair in pairs:
        digest.update(f"{pair.id}\0{pair.snr_db}\0".encode())
        for file in (pair.noisy, pair.clean):
            digest.update(hashlib.sha256(file.read_bytes()).digest())
    return TestSet(str(Path(folder).resolve()), digest.hexdigest(), len(pairs))
