"""What a recipe may say: frozen, typed models. Unknown keys are refused (see `recipe.py` for the messages)."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

SAMPLE_RATE = 16_000

Positive = Annotated[float, Field(gt=0)]
Fraction = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=1)]


class Frozen(BaseModel):
    """Base of every recipe model: immutable, no unknown keys, no NaN or infinity."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Range(Frozen):
    """A closed interval that a value is drawn from uniformly."""

    low: float
    high: float

    @model_validator(mode="after")
    def _ordered(self) -> Range:
        if self.low > self.high:
            raise ValueError(f"low ({self.low}) is above high ({self.high})")
        return self


class ModelConfig(Frozen):
    """A network of the registry and its size. A recipe may name one of `PRESETS` instead."""

    name: str = "dpdcrn"
    channels: Annotated[int, Field(ge=8, multiple_of=8)] = 64
    blocks: Count = 1
    microphones: Count = 1


PRESETS = {
    "dpdcrn-teacher": ModelConfig(channels=128, blocks=4),
    "dpdcrn-student": ModelConfig(channels=64, blocks=1),
}
"""Networks by name; in a recipe `model: dpdcrn-student` stands for its section."""


class MixingConfig(Frozen):
    """How a noisy example is made from speech, noise and rooms (`data/mixing.py`)."""

    snr_db: Range = Range(low=-5, high=20)
    level_dbfs: Range = Range(low=-35, high=-15)
    noises: Annotated[int, Field(ge=1, le=8)] = 2
    """At most this many noises at once; their number is drawn from 1 to this."""
    babble: Fraction = 0.1
    """Share of examples whose noise holds several other speakers at once."""
    reverberation: Fraction = 0.3
    early_ms: Positive = 50.0
    """The target keeps the direct sound and reflections up to this long after it."""
    clipping: Fraction = 0.05
    band_limit: Fraction = 0.1
    gain_db: Range = Range(low=-6, high=6)
    """Gain of each noise against the others, before the sum is set to the drawn SNR."""


class Sources(Frozen):
    """Manifests (JSON lines) or folders that recordings are taken from."""

    speech: str
    noise: str
    rooms: str | None = None


class DataConfig(Frozen):
    """Where recordings come from and how examples are cut."""

    train: Sources
    development: str | Sources
    """A folder of fixed mixtures (`noisy/`, `clean/`, `mixtures.csv`) or sources mixed by a fixed seed."""
    development_items: Count = 24
    segment_seconds: Positive = 2.0
    mixing: MixingConfig = MixingConfig()
    cache: str | None = None
    """Folder for decoded audio; by default beside the user's caches."""
    workers: Annotated[int, Field(ge=0)] = 2


class LossConfig(Frozen):
    """Weights of the enhancement losses; a weight of 0 leaves a term out. Every term sees phase."""

    compressed: Annotated[float, Field(ge=0)] = 1.0
    si_sdr: Annotated[float, Field(ge=0)] = 0.01
    multi_resolution: Annotated[float, Field(ge=0)] = 0.0
    compression: Annotated[float, Field(gt=0, le=1)] = 0.3
    magnitude_share: Fraction = 0.7
    """Share of the magnitude part within `compressed`; the rest is the complex part."""

    @model_validator(mode="after")
    def _something(self) -> LossConfig:
        if self.compressed == self.si_sdr == self.multi_resolution == 0:
            raise ValueError("all enhancement losses have weight 0; give at least one a weight")
        if self.si_sdr == self.multi_resolution == 0 and self.magnitude_share == 1:
            raise ValueError("a magnitude-only loss cannot see phase; lower loss.magnitude_share below 1")
        return self


class OptimiserConfig(Frozen):
    """AdamW with linear warm-up and a cosine down to `lr · final`."""

    lr: Positive = 1e-3
    final: Fraction = 0.01
    warmup_steps: Annotated[int, Field(ge=0)] = 100
    weight_decay: Annotated[float, Field(ge=0)] = 0.01
    betas: tuple[Fraction, Fraction] = (0.9, 0.99)
    clip_norm: Positive = 5.0


class TrainConfig(Frozen):
    """The budget of a run and what is measured on the way."""

    steps: Count = 10_000
    batch_size: Count = 8
    """The global batch of one backward pass, shared by all processes."""
    accumulate: Count = 1
    """Backward passes for each update of the weights."""
    ema: Annotated[float, Field(ge=0, lt=1)] = 0.0
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    checkpoint_every: Count = 500
    validate_every: Count = 500
    metric: Literal["si_sdr", "pesq_wb"] = "si_sdr"
    patience: Annotated[int, Field(ge=0)] = 0
    """Stop after this many validations without a better score; 0 never stops early."""
    max_bad_batches: Count = 10
    """Non-finite batches (each is saved for inspection) before the run stops."""
    device: str = "auto"
    tensorboard: bool = True


class TapSet(Frozen):
    """Layers compared with one another, in network order. `layer` or `layer:layout` (`distill/taps.py`)."""

    student: tuple[str, ...]
    teacher: tuple[str, ...]


class I2srfTfckdConfig(Frozen):
    """I²SRF-TFCKD (arXiv 2506.13127). Every part that the paper ablates can be switched off."""

    name: Literal["i2srf_tfckd"] = "i2srf_tfckd"
    intra: bool = True
    """The terms inside each set."""
    inter: bool = True
    """The term between the fused features of the sets."""
    fusion: Literal["recursive", "mean"] = "recursive"
    time: bool = True
    batch: bool = True
    calibration: bool = True
    """False: every teacher layer has the same weight."""
    pairs: Literal["all", "one_to_one"] = "all"
    cross_weighting: bool = False
    embedding: Literal["released", "pooled"] = "pooled"
    """`released`: Linear layers over T and B, one batch size and length. `pooled`: any of both."""
    normalise: Literal["frames", "embedding"] | None = None
    """Axis over which query and key have unit norm; by default that of the embedding chosen."""
    temperature: Positive = 1.0
    scale: Literal["released", "balanced"] | None = None
    """`released`: the batch distance is divided by B². `balanced`: by B·T, as the time distance is."""
    fusion_channels: Count = 128
    batch_expansion: Count = 4
    pooled_size: Annotated[int, Field(ge=2)] = 32
    set_weights: dict[str, float] = Field(default_factory=dict)
    """Weight of each set's term by name (and `inter`); 1 where not given."""

    @model_validator(mode="after")
    def _something(self) -> I2srfTfckdConfig:
        if not (self.intra or self.inter):
            raise ValueError("intra and inter are both off: nothing is left to distil")
        if not (self.time or self.batch):
            raise ValueError("time and batch are both off: nothing is left to distil")
        return self


MethodConfig = I2srfTfckdConfig


class DistillConfig(Frozen):
    """What a student learns from: a teacher, a method, and how much it counts."""

    teacher: str
    """A checkpoint folder."""
    method: MethodConfig = I2srfTfckdConfig()
    taps: dict[str, TapSet] | None = None
    """Sets of layers; by default those that the networks themselves name."""
    weight: float | Literal["balanced"] = "balanced"
    """λ of L = L_SE + λ·L_KD, or `balanced`: λ = rho · |∇L_SE| / |∇L_KD|, frozen after `balance_steps`."""
    rho: Positive = 0.3
    balance_steps: Count = 50


class Recipe(Frozen):
    """One run: a network, its data, its losses and its budget; with `distill`, also its teacher."""

    name: str = "run"
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    model: ModelConfig = ModelConfig()
    data: DataConfig
    loss: LossConfig = LossConfig()
    optimiser: OptimiserConfig = OptimiserConfig()
    train: TrainConfig = TrainConfig()
    distill: DistillConfig | None = None
