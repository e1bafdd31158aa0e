"""Options of `distill.method`: one model for each method, discriminated by `name`, and the named variants.

The formulas are in the modules of `distill/methods/`.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, get_args

from pydantic import Field, model_validator

from stillwave.schema.base import Count, Frozen, NotNegative, Positive


class NoneConfig(Frozen):
    """No distillation: the baseline. The teacher is not loaded."""

    name: Literal["none"] = "none"


class OutputConfig(Frozen):
    """Response distillation: the student's estimate compared with the teacher's."""

    name: Literal["output"] = "output"
    target: Literal["spectrum", "mask", "waveform"] = "spectrum"
    gate: bool = False
    """Use only examples in which the teacher's estimate is closer to the clean reference."""


class FitnetsConfig(Frozen):
    """FitNets (1412.6550)."""

    name: Literal["fitnets"] = "fitnets"
    layers: Literal["middle", "all"] = "middle"
    standardise: bool = True
    """Divide by the running variance of each teacher channel."""


class AtConfig(Frozen):
    """Attention transfer (1612.03928)."""

    name: Literal["at"] = "at"
    power: Annotated[float, Field(ge=1)] = 2.0
    norm: Literal["example", "frame", "bin"] = "example"
    mode: Literal["code", "paper"] = "code"
    reduction: Literal["mean", "sum_per_example"] = "mean"


class SpConfig(Frozen):
    """Similarity-preserving (1907.09682)."""

    name: Literal["sp"] = "sp"
    centre: bool = False


class RkdConfig(Frozen):
    """Relational distillation (1904.05068)."""

    name: Literal["rkd"] = "rkd"
    relation: Literal["examples", "frames"] = "examples"
    distance: NotNegative = 25.0
    angle: NotNegative = 50.0
    bands: Count = 16
    frames: Annotated[int, Field(ge=3)] = 64
    """Largest number of frames of an example that are compared."""

    @model_validator(mode="after")
    def _check(self) -> RkdConfig:
        if self.distance == self.angle == 0:
            raise ValueError("distance and angle are both 0; one must be above 0")
        return self


class ClskdConfig(Frozen):
    """CLSKD-style: fused layers, similarities between examples at each frame (Interspeech 2022, reconstructed)."""

    name: Literal["clskd"] = "clskd"
    fuse: Literal["student", "teacher", "off"] = "student"
    fusion_channels: Count | None = None


class ReviewkdConfig(Frozen):
    """ReviewKD (2104.09044)."""

    name: Literal["reviewkd"] = "reviewkd"
    hcl: Literal["square", "frequency"] = "frequency"
    norm: Literal["batch", "instance"] = "instance"
    middle: Literal["last", "all"] = "last"


class SemckdConfig(Frozen):
    """SemCKD (2012.03236)."""

    name: Literal["semckd"] = "semckd"
    rows: Literal["any_batch", "released"] = "any_batch"
    """`released` embeds Gram rows and is limited to one batch size."""
    regressor: Literal["1x1", "released"] = "1x1"
    within_sets: bool = True
    detach_attention: bool = True
    standardise: bool = True


class AbckdConfig(Frozen):
    """ABC-KD-style: student layers against weighted mixtures of teacher layers (2305.16665, reconstructed)."""

    name: Literal["abckd"] = "abckd"
    layers: Literal["sets", "all"] = "sets"
    alpha: Literal["learned", "detached_similarity", "uniform"] = "learned"
    width: Count = 64


class UclfwpkdConfig(Frozen):
    """UCLFWPKD: fused student layers, frame-weighted similarity distributions over the batch (TASLP 2024)."""

    name: Literal["uclfwpkd"] = "uclfwpkd"
    fuse: bool = True
    reduction: Literal["released", "mean_over_T"] = "mean_over_T"
    frame_weight: Literal["released", "energy", "uniform"] = "released"
    fusion_channels: Count | None = None


Gram = Literal["b", "bt", "bf", "btf", "st", "sf"]


class TwoStepConfig(Frozen):
    """Two-step-style: similarity-preserving pre-training, then the enhancement loss alone (2309.08144)."""

    name: Literal["two_step"] = "two_step"
    grams: tuple[Gram, ...] = ("st", "sf")
    most_bins: Count = 16
    most_frames: Count = 32

    @model_validator(mode="after")
    def _check(self) -> TwoStepConfig:
        if not self.grams:
            raise ValueError("grams is empty; name at least one of b, bt, bf, btf, st, sf")
        return self


class SubbandConfig(Frozen):
    """Sub-band-style: estimates compared in frequency bands (2005.14435, reconstructed)."""

    name: Literal["subband"] = "subband"
    bands: Annotated[int, Field(ge=1, le=64)] = 4
    gate: bool = True
    """Use only bands in which the teacher's estimate is closer to the clean reference."""


class DfkdConfig(Frozen):
    """DFKD-style: bands below and above the crossover of the teacher's spectrum (2502.04711, reconstructed)."""

    name: Literal["dfkd"] = "dfkd"
    crossover: Literal["dynamic", "fixed"] = "dynamic"
    fixed_hz: Positive = 2000.0
    high: NotNegative = 2.0
    """Weight η of the high band."""


class DispatchConfig(Frozen):
    """DISPatch: time-frequency patches in which the teacher is better (2509.15922)."""

    name: Literal["dispatch"] = "dispatch"
    patch_bins: Annotated[int, Field(ge=1, le=257)] = 20
    keep: Annotated[float, Field(gt=0, le=1)] = 0.5
    """κ: fraction of the patches that is used."""
    multi_scale: bool = False
    """MSSP: small patches below 2 kHz, large ones above."""
    scales: tuple[Count, Count] = (10, 40)
    require_positive: bool = False
    compression: Annotated[float, Field(gt=0, le=1)] = 1.0
    distance: Literal["magnitude", "complex"] = "magnitude"


class CosineConfig(Frozen):
    """Latent-cosine-style (2505.03442, reconstructed)."""

    name: Literal["cosine"] = "cosine"
    layers: Literal["middle", "encoder"] = "middle"
    over: Literal["frame", "position", "example"] = "frame"
    centre: bool = True


class I2srfTfckdConfig(Frozen):
    """I²SRF-TFCKD (2506.13127). Each part that the paper ablates can be disabled."""

    name: Literal["i2srf_tfckd"] = "i2srf_tfckd"
    intra: bool = True
    """Terms within each set."""
    inter: bool = True
    """Term between the fused features of the sets."""
    fusion: Literal["recursive", "mean"] = "recursive"
    time: bool = True
    """Stream that compares the frames of an example."""
    batch: bool = True
    """Stream that compares the examples of a batch, frame by frame (the released program's "frequency")."""
    frequency: bool = False
    """Stream that compares frequency bands, frame by frame (this project)."""
    bands: Annotated[int, Field(ge=2, le=257)] = 32
    """Number of bands of the frequency stream."""
    band_scale: Literal["linear", "erb"] = "linear"
    centre: bool = False
    """Subtract the mean over batch and frames from each layer before comparing (this project)."""
    sharpness: Positive = 1.0
    """Power of the similarities before they are normalised to a distribution (published: 1)."""
    calibration: bool = True
    """False: all teacher layers have equal weights."""
    prior: Literal["none", "uniform", "clean"] = "none"
    """Distribution that the calibration weights are drawn towards (this project): equal weights, or more for teacher
    layers whose frames are similar where those of the clean reference are."""
    prior_weight: Positive = 1.0
    """τ: the divergence from the prior counts as much as this many mean distances."""
    prior_scale: Positive = 8.0
    """κ: logarithm of the weight that a correlation of 1 with the clean reference gains over 0."""
    pairs: Literal["all", "one_to_one"] = "all"
    cross_weighting: bool = False
    embedding: Literal["released", "pooled"] = "pooled"
    """`released`: layers over T and B, for one batch size and length. `pooled`: for any."""
    normalise: Literal["frames", "embedding"] | None = None
    """Axis over which query and key have unit norm; by default that of the embedding."""
    temperature: Positive = 1.0
    scale: Literal["released", "balanced"] | None = None
    """Divisor of the batch distance: `released`: B². `balanced`: B·T, as for the time distance."""
    fusion_channels: Count | None = None
    """By default the channels of the teacher's widest tapped layer."""
    batch_expansion: Count = 4
    pooled_size: Annotated[int, Field(ge=2)] = 32
    set_weights: dict[str, float] = Field(default_factory=dict)
    """Weight of each set's term by name (and `inter`); default 1."""

    @model_validator(mode="after")
    def _check(self) -> I2srfTfckdConfig:
        if not (self.intra or self.inter):
            raise ValueError("intra and inter are both false; enable at least one")
        if not (self.time or self.batch or self.frequency):
            raise ValueError("time, batch and frequency are all false; enable at least one")
        if self.prior != "none" and not (self.calibration and self.pairs == "all"):
            raise ValueError(
                f"prior '{self.prior}' is for calibration weights; it needs calibration and pairs 'all'"
            )
        return self


MethodConfig = Annotated[
    NoneConfig
    | OutputConfig
    | FitnetsConfig
    | AtConfig
    | SpConfig
    | RkdConfig
    | ClskdConfig
    | ReviewkdConfig
    | SemckdConfig
    | AbckdConfig
    | UclfwpkdConfig
    | TwoStepConfig
    | SubbandConfig
    | DfkdConfig
    | DispatchConfig
    | CosineConfig
    | I2srfTfckdConfig,
    Field(discriminator="name"),
]

METHOD_CONFIGS: dict[str, type[Frozen]] = {
    config.model_fields["name"].default: config for config in get_args(get_args(MethodConfig)[0])
}
"""Models of all methods, in the order of the documentation."""

VARIANTS: dict[str, dict[str, Any]] = {
    "rkd-frames": {"name": "rkd", "relation": "frames"},
    "two_step-btf": {"name": "two_step", "grams": ["btf"]},
    "dispatch-mssp": {"name": "dispatch", "multi_scale": True},
    "i2srf_tfckd-released": {"name": "i2srf_tfckd", "embedding": "released"},
    "i2srf_tfckd-cross": {"name": "i2srf_tfckd", "cross_weighting": True},
    "i2srf_tfckd-frequency": {"name": "i2srf_tfckd", "frequency": True, "batch": False},
    "i2srf_tfckd-centred": {"name": "i2srf_tfckd", "centre": True},
    "i2srf_tfckd-no-intra": {"name": "i2srf_tfckd", "intra": False},
    "i2srf_tfckd-no-inter": {"name": "i2srf_tfckd", "inter": False},
    "i2srf_tfckd-mean-fusion": {"name": "i2srf_tfckd", "fusion": "mean"},
    "i2srf_tfckd-time-only": {"name": "i2srf_tfckd", "batch": False},
    "i2srf_tfckd-batch-only": {"name": "i2srf_tfckd", "time": False},
    "i2srf_tfckd-frequency-only": {"name": "i2srf_tfckd", "time": False, "batch": False, "frequency": True},
    "i2srf_tfckd-uniform": {"name": "i2srf_tfckd", "calibration": False},
    "i2srf_tfckd-prior": {"name": "i2srf_tfckd", "centre": True, "sharpness": 4.0, "prior": "clean"},
    "i2srf_tfckd-one-to-one": {"name": "i2srf_tfckd", "pairs": "one_to_one"},
}
"""Methods with named options; a variant's name is valid wherever a method is named."""

DEFAULT_METHOD = "i2srf_tfckd"


def method_section(method: Any) -> Any:
    """Return a method's section from its name, a variant's name, or a section (default method if unnamed)."""
    if isinstance(method, str):
        return dict(VARIANTS.get(method, {"name": method}))
    if isinstance(method, dict) and "name" not in method:
        return {"name": DEFAULT_METHOD, **method}
    if isinstance(method, dict) and method["name"] in VARIANTS:
        return {**method, **VARIANTS[method["name"]]}
    return method
