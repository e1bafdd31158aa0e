"""The teacher of a recipe: a checkpoint, a module, an external denoiser, or a folder of outputs."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import NamedTuple

from torch import nn

from stillwave import checkpoint, external
from stillwave.data.pair_sets import read_pairs
from stillwave.data.scan import SUFFIXES
from stillwave.data.stored_outputs import StoredOutputs
from stillwave.distill.external_teacher import ExternalTeacher, StoredTeacher
from stillwave.distill.several_teachers import SeveralTeachers
from stillwave.errors import CheckpointError, RecipeError
from stillwave.external.function import imported, source_hash
from stillwave.files import walk
from stillwave.schema import SAMPLE_RATE, DistillConfig, Pairs, Recipe


class Teacher(NamedTuple):
    """A network and the SHA-256 that identifies it; `cached`: whether the teacher cache stores its outputs."""

    network: nn.Module
    sha256: str
    cached: bool = True


def distils(recipe: Recipe) -> bool:
    """Return whether there is a teacher: a `distill` section with another method than `none`."""
    return recipe.distill is not None and recipe.distill.method.name != "none"


def is_checkpoint(config: DistillConfig) -> bool:
    """Return whether the teacher is a checkpoint of this package."""
    return not (
        config.teachers
        or config.teacher_command is not None
        or external.is_external(config.teacher)
        or _is_output_folder(Path(config.teacher))
    )


def load_teacher(recipe: Recipe, config: DistillConfig) -> Teacher:
    """Build the teacher of a recipe; an external denoiser is calibrated.

    Raises:
        CheckpointError: A checkpoint cannot be used, or expects another input than the student.
        ExternalError: An external denoiser cannot be used.
        ManifestError: A folder of outputs does not match the recipe's mixtures.

    """
    if config.teachers:
        return _several(recipe, config)
    if is_checkpoint(config):
        network, card = checkpoint.load(config.teacher)
        _check_same_input(recipe, config.teacher, card)
        return Teacher(network, card.sha256)
    if (stored := stored_outputs(recipe)) is not None:
        identity = stored.identity
        return Teacher(StoredTeacher(str(stored.folder), identity, stored.summary()), identity, cached=False)
    module = _module(config)
    if module is not None:
        return Teacher(module, _module_sha256(config, module))
    teacher = ExternalTeacher(_denoiser(config))
    return Teacher(teacher, teacher.identity)


def teacher_sha256(recipe: Recipe) -> str | None:
    """Return the SHA-256 that identifies the teacher, wherever it is stored; an external one is not calibrated.

    Raises:
        StillwaveError: As `load_teacher`.

    """
    if recipe.distill is None or not distils(recipe):
        return None
    config = recipe.distill
    if config.teachers:
        parts = [teacher_sha256(_with(recipe, _alone(config, place))) for place in config.teachers]
        return hashlib.sha256(str(parts).encode()).hexdigest()
    if is_checkpoint(config):
        return checkpoint.read_card(checkpoint.resolve(Path(config.teacher))).sha256
    if (stored := stored_outputs(recipe)) is not None:
        return stored.identity
    module = _module(config)
    return _denoiser(config).identity if module is None else _module_sha256(config, module)


def stored_outputs(recipe: Recipe, base: Path | str = ".") -> StoredOutputs | None:
    """Return the outputs that a recipe names as its teacher; None for another teacher.

    Raises:
        RecipeError: The recipe mixes its training examples, so that outputs cannot exist.
        StillwaveError: As `StoredOutputs`.

    """
    config = recipe.distill
    if config is None or not distils(recipe) or config.teachers or config.teacher_command is not None:
        return None
    if external.is_external(config.teacher) or not _is_output_folder(Path(config.teacher)):
        return None
    if not isinstance(recipe.data.train, Pairs):
        raise RecipeError(
            f"distill.teacher: {config.teacher} is a folder of outputs, which exist for fixed mixtures only; name "
            "these in data.train.pairs"
        )
    return StoredOutputs(config.teacher, read_pairs(Path(base) / recipe.data.train.pairs))


def _several(recipe: Recipe, config: DistillConfig) -> Teacher:
    parts: dict[str, Teacher] = {}
    for place in config.teachers:
        alone = _alone(config, place)
        parts[place] = load_teacher(_with(recipe, alone), alone)
        if not parts[place].cached:
            raise RecipeError(
                f"distill.teachers: {place} is a folder of outputs, which teaches alone; name it as distill.teacher"
            )
    networks = {place: part.network for place, part in parts.items()}
    teacher = SeveralTeachers(
        networks, config.confidence_db, {place: part.sha256 for place, part in parts.items()}
    )
    return Teacher(teacher, teacher.identity)


def _alone(config: DistillConfig, place: str) -> DistillConfig:
    return config.model_copy(update={"teacher": place, "teachers": ()})


def _with(recipe: Recipe, config: DistillConfig) -> Recipe:
    return recipe.model_copy(update={"distill": config})


def _is_output_folder(place: Path) -> bool:
    """Return whether a folder has recordings and no checkpoint."""
    if not place.is_dir():
        return False
    try:
        checkpoint.resolve(place)
    except CheckpointError:
        return any(file.suffix.lower() in SUFFIXES for file in walk(place).files)
    return False


def _denoiser(config: DistillConfig) -> external.ExternalDenoiser:
    if config.teacher_command is not None:
        return external.from_command(config.teacher_command, config.teacher_rate, config.teacher_timeout)
    return external.resolve(config.teacher, config.teacher_rate)


def _module(config: DistillConfig) -> nn.Module | None:
    """Return the module that `python:MODULE:NAME` means; None if it is something else."""
    if config.teacher_command is not None or not config.teacher.startswith(external.CODE):
        return None
    found = imported(config.teacher.removeprefix(external.CODE))
    return found if isinstance(found, nn.Module) else None


def _module_sha256(config: DistillConfig, module: nn.Module) -> str:
    digest = hashlib.sha256(f"{config.teacher} {source_hash(module)}".encode())
    for name, tensor in module.state_dict().items():
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def _check_same_input(recipe: Recipe, place: str, card: checkpoint.Card) -> None:
    if card.sample_rate != SAMPLE_RATE:
        raise CheckpointError(
            f"distill.teacher: {place} expects {card.sample_rate} Hz and the student {SAMPLE_RATE} Hz; "
            f"give a teacher for {SAMPLE_RATE} Hz"
        )
    student_microphones, teacher_microphones = recipe.model.microphones, card.model.microphones
    if student_microphones != teacher_microphones:
        raise CheckpointError(
            f"distill.teacher: {place} expects {teacher_microphones} microphone(s) and "
            f"the student {student_microphones}; "
            "give a teacher for as many, or change model.microphones"
        )
