"""Cards: the recorded facts about a network, as JSON next to its weights. Needs no PyTorch.

A checkpoint has a `Card` (`card.json`), a shipped model a `ModelCard` (`NAME.json`): the card of its checkpoint, and
what a user chooses a model by.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, Field, ValidationError, model_validator

from stillwave.errors import CheckpointError
from stillwave.schema import SAMPLE_RATE, Count, Frozen, ModelConfig
from stillwave.schema.base import NotNegative

FORMAT = 1
Precision = Literal["float", "int8"]
Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
Facts = TypeVar("Facts", bound=BaseModel)


class Card(Frozen):
    """The card of a checkpoint. `checkpoint.save` fills `sha256` and `parameters`."""

    format: int = FORMAT
    model: ModelConfig
    sample_rate: Count = SAMPLE_RATE
    step: int = 0
    scores: dict[str, float] = Field(default_factory=dict)
    """On the development set, by metric."""
    recipe: dict[str, Any] | None = None
    """Resolved recipe; for a shipped model, only the last part of paths."""
    teacher: str | None = None
    """SHA-256 of the weights of the teacher, if there was one."""
    data: str = ""
    """The training data and its licences."""
    versions: dict[str, str] = Field(default_factory=dict)
    git: dict[str, Any] | None = None
    parameters: int = 0
    sha256: str = ""
    """SHA-256 of the weights of the checkpoint."""


class File(Frozen):
    """A file of weights in the folder of the card."""

    name: str
    bytes: Count
    sha256: Sha256


class Reach(Frozen):
    """Receptive field in samples; None for the whole signal or an unlimited past."""

    past: int | None
    future: int | None


class Cost(Frozen):
    """Complexity of the network, as `stillwave models` reports it (`profiling/complexity.py`)."""

    parameters: Count
    size_bytes: Count
    """Size of the parameters in float32."""
    seconds: float
    """Duration of the signal that `macs` were counted on."""
    macs: dict[str, float]
    """MAC/s by layer type."""
    frame_macs: Count
    """MACs of one frame in streaming."""
    receptive_field: Reach
    state_bytes: int | None

    @property
    def total_macs(self) -> float:
        """Total MAC/s."""
        return sum(self.macs.values())


class Training(Frozen):
    """How the network was trained; None for what was not recorded."""

    method: str
    """Distillation method; `none` for training without a teacher."""
    earlier: tuple[dict[str, Any] | None, ...] = ()
    """Recipes of the runs that provided initial weights, latest first; `updates` and `hours` include these runs."""
    averaged: str | None = None
    """Description, if the weights are an average."""
    seed: int | None = None
    updates: int | None = None
    hours: float | None = None
    """Hours of audio in all training segments."""
    wall_hours: float | None = None
    hardware: str | None = None
    day: str | None = None
    """Start of training, as YYYY-MM-DD."""


class DataSource(Frozen):
    """A dataset that the network was trained on."""

    part: Literal["speech", "noise", "rooms"]
    name: str
    licence: str
    citation: str
    url: str | None = None


class Mean(Frozen):
    """Mean over the recordings of the test set, with its 95 % confidence interval."""

    mean: float
    low: float | None = None
    high: float | None = None


class TestScores(Frozen):
    """Scores on a test set that was not used for training or selection."""

    __test__ = False  # not a test class of pytest
    test_set: str
    recordings: Count
    systems: dict[str, dict[str, Mean]]
    """`noisy`, `float` and `int8`, by metric; exact and unscaled (STOI within 0 … 1)."""


class ModelCard(Card):
    """The card of a shipped model."""

    name: str
    title: str
    preset: str | None = None
    """Preset of the network, if there is one."""
    hop: Count
    """Distance of two frames, in samples."""
    delay_ms: NotNegative
    """Algorithmic delay."""
    lookahead_frames: Annotated[int, Field(ge=0)] = 0
    training: Training
    sources: tuple[DataSource, ...]
    cost: Cost
    tests: tuple[TestScores, ...] = ()
    """Scores on test sets, the most diverse first."""
    failures: tuple[str, ...] = ()
    """Known failures, one sentence each."""
    licence: str
    """Licence of the weights."""
    files: dict[Precision, File]

    def score(self, metric: str, system: str = "float") -> Mean | None:
        """Return the score on the first test set of one of its systems, or None."""
        return self.tests[0].systems.get(system, {}).get(metric) if self.tests else None

    @model_validator(mode="before")
    @classmethod
    def _read_first_layout(cls, plain: Any) -> Any:
        """Convert an earlier layout: `training` had the facts of the checkpoint (0.1), `test` the only scores."""
        if not isinstance(plain, dict):
            return plain
        if "network" not in plain:
            found = plain.get("test")
            rest = {key: value for key, value in plain.items() if key != "test"}
            return {**rest, "tests": [found]} if found else rest
        plain = dict(plain)
        training = dict(plain.get("training") or {})
        plain["model"], plain["sources"] = plain.pop("network"), plain.pop("data", ())
        tested, plain["scores"] = plain.pop("scores", None), training.pop("development", {})
        plain["tests"] = [tested] if tested else []
        plain["sha256"], commit = training.pop("weights_sha256", ""), training.pop("commit", None)
        plain["git"] = {"commit": commit} if commit else None
        moved = {key: training.pop(key) for key in ("recipe", "teacher", "versions") if key in training}
        return {**plain, **moved, "training": training}


def read_card(file: Path, kind: type[Facts], advice: str = "copy it again") -> Facts:
    """Read a card. Raises CheckpointError, which ends with `advice`."""
    try:
        raw = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise CheckpointError(
            f"{file.parent}: has no {file.name}, without which the weights cannot be read; {advice}"
        ) from None
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{file}: cannot be read ({error}); {advice}") from None
    return validated(raw, kind, str(file), FORMAT, advice)


def validated(raw: Any, kind: type[Facts], where: str, newest: int, advice: str) -> Facts:
    """Return plain data as `kind`. Raises CheckpointError for an invalid key, or a `format` above `newest`."""
    if not isinstance(raw, dict):
        raise CheckpointError(f"{where}: is not a JSON object; {advice}")
    found = raw.get("format")
    if isinstance(found, int) and found > newest:
        raise CheckpointError(
            f"{where}: has format {found}, this version reads up to {newest}; update stillwave"
        )
    try:
        return kind.model_validate(raw)
    except ValidationError as error:
        fault = error.errors()[0]
        key = ".".join(str(part) for part in fault["loc"])
        raise CheckpointError(f"{where}: {key}: {fault['msg']}; {advice}") from None
