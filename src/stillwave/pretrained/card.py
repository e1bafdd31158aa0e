"""What is known of a model that ships: a frozen, typed record, kept as JSON beside its weights."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from stillwave.schema import SAMPLE_RATE, Count, Frozen, ModelConfig
from stillwave.schema.base import NotNegative

FORMAT: Literal[1] = 1
Precision = Literal["float", "int8"]
Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class File(Frozen):
    """One file of weights, beside the card."""

    name: str
    bytes: Count
    sha256: Sha256


class Reach(Frozen):
    """How far an output sample sees, in samples; None: the whole signal, or an endless memory."""

    past: int | None
    future: int | None


class Cost(Frozen):
    """What the network costs, as `stillwave models` counts it (`profiling/complexity.py`)."""

    parameters: Count
    size_bytes: Count
    """Of the parameters in float32."""
    seconds: float
    """Length of the signal that `macs` were counted on."""
    macs: dict[str, float]
    """MACs for each second, by layer type."""
    frame_macs: Count
    """MACs of one frame as it streams, which `stillwave latency` shows."""
    receptive_field: Reach
    state_bytes: int | None

    @property
    def total_macs(self) -> float:
        """MACs for each second, all layer types together."""
        return sum(self.macs.values())


class Training(Frozen):
    """How the weights were made. None: not recorded."""

    method: str
    """Of distillation; `none` for a network that was trained alone."""
    teacher: str | None = None
    """The teacher's network and the SHA-256 of its weights."""
    recipe: dict[str, Any] | None = None
    """Resolved; paths are cut to their last part."""
    earlier: tuple[dict[str, Any] | None, ...] = ()
    """Recipes of the runs whose weights this one began with, latest first; `updates` and `hours` hold theirs too."""
    averaged: str | None = None
    """How the weights of several runs became one, in words."""
    commit: str | None = None
    seed: int | None = None
    updates: int | None = None
    hours: float | None = None
    """Of audio heard, segment by segment."""
    wall_hours: float | None = None
    hardware: str | None = None
    versions: dict[str, str] = Field(default_factory=dict)
    day: str | None = None
    """On which training began, as YYYY-MM-DD."""
    development: dict[str, float] = Field(default_factory=dict)
    """Scores by which this checkpoint was chosen."""
    weights_sha256: Sha256
    """Of the checkpoint that was exported."""


class CardSource(Frozen):
    """A collection of recordings that the weights were trained on."""

    part: Literal["speech", "noise", "rooms"]
    name: str
    licence: str
    citation: str
    url: str | None = None


class Mean(Frozen):
    """A mean over the test set's recordings with its 95 % interval."""

    mean: float
    low: float | None = None
    high: float | None = None


class CardScores(Frozen):
    """Scores on a test set that nothing was chosen on."""

    test_set: str
    recordings: Count
    systems: dict[str, dict[str, Mean]]
    """`noisy`, `float` and `int8`, by metric; exact and unscaled (STOI within 0 … 1)."""


class Card(Frozen):
    """The record of one model."""

    format: Literal[1] = FORMAT
    name: str
    title: str
    network: ModelConfig
    preset: str | None = None
    """The network's name in a recipe, where it has one."""
    sample_rate: Count = SAMPLE_RATE
    hop: Count
    """Samples from frame to frame."""
    delay_ms: NotNegative
    """From a sample's arrival to its estimate, computing time apart."""
    lookahead_frames: Annotated[int, Field(ge=0)] = 0
    training: Training
    data: tuple[CardSource, ...]
    cost: Cost
    scores: CardScores | None = None
    failures: tuple[str, ...] = ()
    """Where it is known to fail, a sentence each."""
    licence: str
    """Of the weights."""
    files: dict[Precision, File]

    def score(self, metric: str, system: str = "float") -> Mean | None:
        """A score of one of `scores.systems`, where there is one."""
        return self.scores.systems.get(system, {}).get(metric) if self.scores else None
