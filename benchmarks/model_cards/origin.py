"""Where weights come from: what a run folder says of itself, cut to what a card may tell."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

import yaml

from stillwave import checkpoint
from stillwave import recipe as recipes
from stillwave.card import DataSource, Training
from stillwave.errors import CheckpointError, StillwaveError
from stillwave.files import atomic_folder, write_json
from stillwave.schema import Recipe, Sources
from stillwave.training import run_log

SIMULATED = "simulated"


@dataclass(frozen=True)
class Run:
    """A run folder, and the checkpoint of it that ships."""

    folder: Path
    place: Path
    card: checkpoint.Card
    recipe: Recipe | None

    @classmethod
    def of(cls, path: Path, weights: Path | None = None) -> Run:
        """From a run folder or a checkpoint within one; `weights` is a checkpoint made of the run elsewhere."""
        place = checkpoint.resolve(weights or path)
        folder = place.parent.parent if weights is None and place.parent.name == "checkpoints" else path
        file = folder / "recipe.yaml"
        card = checkpoint.read_card(place)
        if file.exists():
            recipe: Recipe | None = recipes.load(file)
        else:
            recipe = Recipe.model_validate(card.recipe) if card.recipe else None
        return cls(folder, place, card, recipe)

    def chain(self) -> Iterator[Run]:
        """The run, and those before it whose weights it began with, to the first checkpoint without its run folder."""
        yield self
        start = self.recipe.train.start_from if self.recipe else None
        if start is not None and self.is_run:
            try:
                earlier = Run.of(Path(start))
            except CheckpointError as error:
                raise StillwaveError(f"{self.folder}: began with weights that are gone: {error}") from None
            yield from earlier.chain()

    @property
    def is_run(self) -> bool:
        """Whether the run folder is there; a checkpoint alone does not know all that it began with."""
        return (self.folder / "log.jsonl").is_file()

    def audio_seconds(self) -> float | None:
        """Of segments heard up to the checkpoint."""
        if self.recipe is None:
            return None
        train = self.recipe.train
        segments = self.card.step * train.batch_size * train.accumulate
        return segments * self.recipe.data.segment_seconds

    def wall_seconds(self) -> float | None:
        """That the updates up to the checkpoint took, by the log; validation is not in it."""
        heard = self.audio_seconds()
        rates = [
            event["audio_per_second"]
            for event in run_log.read(self.folder)
            if event["kind"] == "train" and event["step"] <= self.card.step
        ]
        if not heard or len(rates) < self.card.step:
            return None
        each = heard / self.card.step
        return float(sum(each / max(rate, 1e-3) for rate in rates))


def checkpoint_facts(run: Run, commit: str | None = None) -> dict[str, Any]:
    """Return the facts of a run's checkpoint for the model card, without paths of this machine."""
    sessions = [session for part in run.chain() for session in _sessions(part.folder)]
    recorded = next((session["git"]["commit"] for session in sessions if session.get("git")), None)
    commit = commit or recorded or (run.card.git or {}).get("commit")
    facts = run.card.model_dump(
        include={"model", "sample_rate", "step", "scores", "versions", "parameters", "sha256"}
    )
    teacher = next(filter(None, map(_taught, run.chain())), ("none", None))[1]
    return {
        **facts,
        "recipe": _recipe(run),
        "teacher": teacher,
        "git": {"commit": commit} if commit else None,
    }


def training(run: Run, hardware: str | None = None, began: Training | None = None) -> Training:
    """Return how a run was trained, for the model card; None for what was not recorded.

    `began` is how the checkpoint was trained that the first run of the chain began with, if it is kept without its run.
    """
    chain = [part for part in run.chain() if began is None or part.is_run]
    sessions = [session for part in chain for session in _sessions(part.folder)]
    method = next(filter(None, map(_taught, chain)), ("none", None))[0]  # the latest that was taught
    found = Training(
        method=method,
        earlier=tuple(map(_recipe, chain[1:])),
        seed=run.recipe.seed if run.recipe else None,
        updates=sum(part.card.step for part in chain),
        hours=_hours([part.audio_seconds() for part in chain]),
        wall_hours=_hours([part.wall_seconds() for part in chain]),
        hardware=hardware or (_hardware(sessions[0]["machine"]) if sessions else None),
        day=min((session["started"][:10] for session in sessions), default=None),
    )
    return found if began is None else _continued(found, began, _recipe(list(run.chain())[-1]))


def _continued(later: Training, began: Training, recipe: dict[str, Any] | None) -> Training:
    """What was trained first, and then the later runs."""

    def total(name: str) -> Any:
        parts = getattr(began, name), getattr(later, name)
        return None if None in parts else round(sum(parts), 3)

    return later.model_copy(
        update={
            "method": began.method if later.method == "none" else later.method,
            "earlier": (*later.earlier, recipe, *began.earlier),
            "day": began.day or later.day,
            **{name: total(name) for name in ("updates", "hours", "wall_hours")},
        }
    )


def summary(sources: Iterable[DataSource]) -> str:
    """What it was trained on, as a line of a checkpoint's card."""
    return "; ".join(f"{source.part}: {source.name} ({source.licence})" for source in sources)


def copied(run: Run, data: str, folder: Path) -> Path:
    """A copy of the run's checkpoint, in a new folder, whose card says `data` and holds no paths of this machine."""
    card = run.card.model_copy(update={"recipe": without_paths(run.card.recipe), "data": data})
    with atomic_folder(folder) as temporary:
        shutil.copyfile(run.place / checkpoint.WEIGHTS, temporary / checkpoint.WEIGHTS)
        write_json(temporary / checkpoint.CARD, card.model_dump(mode="json"))
    return folder


def _hours(seconds: list[float | None]) -> float | None:
    known = [value for value in seconds if value is not None]
    return round(sum(known) / 3600, 3) if len(known) == len(seconds) else None


def _sessions(folder: Path) -> list[dict[str, Any]]:
    file = folder / "environment.json"
    if not file.exists():
        return []
    found: list[dict[str, Any]] = json.loads(file.read_text(encoding="utf-8"))["sessions"]
    return found


def _hardware(machine: dict[str, Any]) -> str:
    gpus = ", ".join(machine.get("gpus", []))
    cores = f"{machine['processor']}, {machine['cores']} cores, {machine.get('threads', '?')} thread(s) used"
    return f"{gpus}; {cores}" if gpus else cores


def _recipe(run: Run) -> dict[str, Any] | None:
    return without_paths(run.recipe.model_dump(mode="json")) if run.recipe else None


def _taught(run: Run) -> tuple[str, str | None] | None:
    """The method of distillation and the teacher; None of a run that had no teacher."""
    distill = run.recipe.distill if run.recipe else None
    if distill is None or distill.method.name == "none":
        return None
    return distill.method.name, _teacher(run.card.teacher, distill.teacher)


def _teacher(sha256: str | None, place: str) -> str | None:
    """The network and hash of the teacher; the hash alone where its checkpoint is gone."""
    if sha256 is None:
        return None
    text = f"SHA-256 {sha256[:16]}…"
    try:
        card = checkpoint.read_card(checkpoint.resolve(place))
    except CheckpointError:
        return text
    if card.sha256 != sha256:
        return text
    model = card.model
    return f"{model.name}, {model.channels} channels, {model.blocks} block(s), {card.parameters:,} parameters, {text}"


def without_paths(value: Any) -> Any:
    """Every text that is a path from the root cut to its last part: where a file lay says nothing to others.

    Examples:
        >>> without_paths({"data": ["/home/me/speech.jsonl", "noise", 3]})
        {'data': ['speech.jsonl', 'noise', 3]}

    """
    if isinstance(value, dict):
        return {key: without_paths(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [without_paths(entry) for entry in value]
    if isinstance(value, str) and PurePath(value).is_absolute():
        return PurePath(value).name
    return value


def data(file: Path, run: Run) -> tuple[str, tuple[DataSource, ...]]:
    """The weights' licence and the sources, from a YAML file as data.yaml is one.

    An entry with `when: simulated` counts unless the run's rooms are there and none of them is simulated.
    """
    found = yaml.safe_load(file.read_text(encoding="utf-8"))
    kept = [entry for entry in found["data"] if entry.pop("when", None) != SIMULATED or _simulated(run)]
    return found["licence"], tuple(DataSource.model_validate(entry) for entry in kept)


def _simulated(run: Run) -> bool:
    train = run.recipe.data.train if run.recipe else None
    rooms = [Path(one.path) for one in train.of("rooms")] if isinstance(train, Sources) else []
    return not rooms or any(
        not file.is_file() or SIMULATED in file.read_text(encoding="utf-8") for file in rooms
    )
