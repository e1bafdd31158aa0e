"""What a grid is: which recipe, teacher and test set, which cells; and the folder that says so.

GRID/grid.json                             what the grid is; a folder of another one is refused
GRID/teacher/                              the teacher's checkpoint, copied: it cannot change under way
GRID/references/noisy|teacher/             their scores
GRID/runs/STUDENT/METHOD/seed-N/           a run folder each, with its scores
GRID/logs/                                 what each cell's process said
GRID/report/                               tables, pictures, results
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
        """Its run folder."""
        return grid / "runs" / self.student / self.method / f"seed-{self.seed}"

    def log(self, grid: Path) -> Path:
        """What its process said."""
        return grid / "logs" / f"{self.student}-{self.method}-seed-{self.seed}.txt"

    def failure(self, grid: Path) -> Path:
        """Why it failed, where it did; not in its folder, which may be no run folder yet."""
        return self.log(grid).with_suffix(".failed.json")

    def __str__(self) -> str:
        return f"{self.student} {self.method} seed {self.seed}"


@dataclass(frozen=True)
class TestSet:
    """A folder of fixed mixtures: what it holds, by a hash of its files."""

    __test__ = False  # no test class, whatever pytest thinks of its name
    folder: str
    sha256: str
    recordings: int


@dataclass(frozen=True)
class Grid:
    """Everything that the cells have in common, and what they differ in."""

    folder: Path
    recipe: Recipe
    """With a teacher; its seed, network and method are those of no cell in particular."""
    teacher: str
    """SHA-256 of its weights."""
    test: TestSet
    metrics: tuple[str, ...]
    methods: Mapping[str, dict[str, Any]]
    """Name → keys of the `distill` section."""
    seeds: tuple[int, ...]
    students: Mapping[str, ModelConfig]

    def cells(self) -> Iterator[Cell]:
        """Seed by seed, so that a grid that is half done is already a fair table."""
        for seed in self.seeds:
            for student in self.students:
                for method in self.methods:
                    yield Cell(student, method, seed)

    def recipe_of(self, cell: Cell) -> Recipe:
        """The recipe with the cell's seed, network and method. Raises RecipeError."""
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
        """As grid.json has it."""
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
    """Make the folder, or find that it holds this very grid, perhaps with fewer cells.

    Returns the grid of all cells that the folder knows of. Raises StillwaveError: a folder of another recipe,
    teacher or test set, or of something else.
    """
    for cell in grid.cells():
        grid.recipe_of(cell)  # a method whose options are wrong is found before anything is written
    _make(grid.folder)
    found = read(grid.folder)
    if found is not None:
        _same(grid, found)
        grid = _united(grid, found)
    _keep_teacher(grid, Path(teacher))
    write_json(grid.folder / FILE, grid.describe())
    return grid


def read(folder: Path) -> Grid | None:
    """The grid of a folder; None where it holds none. Raises StillwaveError for one that cannot be read."""
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
        raise StillwaveError(f"{file}: cannot be used ({str(error).splitlines()[0]})") from None


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise StillwaveError(f"{folder}: is a file; a grid needs a folder") from None
    except OSError as error:
        raise StillwaveError(f"{folder}: cannot be made ({error.strerror or error})") from None
    others = sorted(p.name for p in folder.iterdir() if not p.name.startswith("."))
    if others and not (folder / FILE).exists():
        raise StillwaveError(f"{folder}: holds '{others[0]}' and no grid; give a new or empty folder")


def _same(grid: Grid, found: Grid) -> None:
    """Refuse to mix what cannot be compared."""
    where = f"{grid.folder}: is the grid of another"
    if found.teacher != grid.teacher:
        raise StillwaveError(
            f"{where} teacher (weights {found.teacher[:12]}…, not {grid.teacher[:12]}…); give another folder"
        )
    keys = [key for key in recipes.differences(found.recipe, grid.recipe) if not key.startswith(FREE)]
    if keys:
        more = f" (and {len(keys) - 1} more)" if len(keys) > 1 else ""
        raise StillwaveError(
            f"{where} recipe: {keys[0]} differs{more}; give another folder, or the same recipe"
        )
    if found.test.sha256 != grid.test.sha256:
        raise StillwaveError(f"{where} test set: {found.test.folder} as it was then; give another folder")
    for name, section in grid.methods.items():
        if found.methods.get(name, section) != section:
            raise StillwaveError(
                f"{grid.folder}: has '{name}' with other options ({found.methods[name]}); "
                "give these a name of their own with --variant"
            )


def _united(grid: Grid, found: Grid) -> Grid:
    """What the folder has and what is asked for, in the order in which it came."""
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
    """A copy of the checkpoint: the original may be trained on, moved or deleted."""
    from stillwave import checkpoint

    place = grid.folder / "teacher"
    if not place.exists():
        with atomic_folder(place) as temporary:
            for name in (checkpoint.WEIGHTS, checkpoint.CARD):
                shutil.copyfile(checkpoint.resolve(teacher) / name, temporary / name)
    checkpoint.load(place)


def examine_test(folder: Path | str) -> TestSet:
    """A test set's identity: ids, stated SNR and every sample file. Raises StillwaveError where it has no pairs."""
    from stillwave.data.pair_sets import read_pairs

    pairs = read_pairs(folder)
    digest = hashlib.sha256()
    for pair in pairs:
        digest.update(f"{pair.id}\0{pair.snr_db}\0".encode())
        for file in (pair.noisy, pair.clean):
            digest.update(hashlib.sha256(file.read_bytes()).digest())
    return TestSet(str(Path(folder).resolve()), digest.hexdigest(), len(pairs))
