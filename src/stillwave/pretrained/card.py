"""The card of a shipped model, stored as JSON next to its weights."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from stillwave.schema import SAMPLE_RATE, Count, Frozen, ModelConfig
from stillwave.schema.base import NotNegative

FORMAT: Literal[1] = 1
Precision = Literal["float", "int8"]
Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


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
    teacher: str | None = None
    """Network and SHA-256 of the teacher."""
    recipe: dict[str, Any] | None = None
    """Resolved recipe; of paths, only the last part."""
    earlier: tuple[dict[str, Any] | None, ...] = ()
    """Recipes of the runs that provided initial weights, latest first; `updates` and `hours` include these runs."""
    averaged: str | None = None
    """Description, if the weights are an average."""
    commit: str | None = None
    seed: int | None = None
    updates: int | None = None
    hours: float | None = None
    """Hours of audio in all training segments."""
    wall_hours: float | None = None
    hardware: str | None = None
    versions: dict[str, str] = Field(default_factory=dict)
    day: str | None = None
    """Start of training, as YYYY-MM-DD."""
    development: dict[str, float] = Field(default_factory=dict)
    """Scores on the development set that this checkpoint was selected by."""
    weights_sha256: Sha256
    """SHA-256 of the weights of the exported checkpoint."""


class CardSource(Frozen):
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


class CardScores(Frozen):
    """Scores on a test set that was not used for training or selection."""

    test_set: str
    recordings: Count
    systems: dict[str, dict[str, Mean]]
    """`noisy`, `float` and `int8`, by metric; exact and unscaled (STOI within 0 … 1)."""


class Card(Frozen):
    """Facts about a shipped model."""

    format: Literal[1] = FORMAT
    name: str
    title: str
    network: ModelConfig
    preset: str | None = None
    """Preset of the network, if there is one."""
    sample_rate: Count = SAMPLE_RATE
    hop: Count
    """Distance of two frames, in samples."""
    delay_ms: NotNegative
    """Algorithmic delay."""
    lookahead_frames: Annotated[int, Field(ge=0)] = 0
    training: Training
    data: tuple[CardSource, ...]
    cost: Cost
    scores: CardScores | None = None
    failures: tuple[str, ...] = ()
    """Known failures, one sentence each."""
    licence: str
    """Licence of the weights."""
    files: dict[Precision, File]

    def score(self, metric: str, system: str = "float") -> Mean | None:
        """Return the score of one of `scores.systems`, or None."""
        return self.scores.systems.get(system, {}).get(metric) if self.scores else None
