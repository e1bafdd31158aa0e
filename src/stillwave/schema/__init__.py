"""The schema of a recipe: frozen, typed models. Unknown keys are refused (messages: `recipe_faults.py`)."""

from __future__ import annotations

import itertools
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from stillwave.schema.base import Count, Fraction, Frozen, Positive, Range, renamed
from stillwave.schema.data import DataConfig, MixingConfig, Pairs, Sources, WeightedSource
from stillwave.schema.methods import I2srfTfckdConfig, MethodConfig, method_section

__all__ = [
    "FULL_BAND_RATE",
    "PRESETS",
    "SAMPLE_RATE",
    "Count",
    "DataConfig",
    "DistillConfig",
    "Frozen",
    "I2srfTfckdConfig",
    "LossConfig",
    "MethodConfig",
    "MixingConfig",
    "ModelConfig",
    "OptimiserConfig",
    "Pairs",
    "Positive",
    "Range",
    "Recipe",
    "Sources",
    "TapSet",
    "TrainConfig",
    "WeightedSource",
]

SAMPLE_RATE = 16_000
FULL_BAND_RATE = 48_000
MODEL_KEYS = {"levelled": "level_normalized"}
"""Keys of `ModelConfig` in recipes and cards of earlier versions, and their names now."""


class ModelConfig(Frozen):
    """Kind and size of a network. In a recipe, the name of one of `PRESETS` can replace the section."""

    name: str = "dpdcrn"
    channels: Annotated[int, Field(ge=8, multiple_of=8)] = 64
    blocks: Count = 1
    microphones: Count = 1
    causal: bool = False
    """No frame of the estimate depends on a later frame of the input, so that the network can stream."""
    norm: Literal["instance", "frame", "running", "batch"] = "instance"
    """What feature maps are normalised over (`models/norms.py`); `instance` is non-causal."""
    past_frames: Annotated[int, Field(ge=2, le=1000)] = 32
    """Frames that attention along time covers in a causal network, including the current one."""
    depth: Annotated[int, Field(ge=1, le=6)] = 4
    """Convolutions in each dense stage of DPDCRN."""
    compression: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Exponent for the magnitudes of the input."""
    level_normalized: bool = False
    """Divide the input by a running estimate of its level. Formerly `levelled`."""
    output: Literal["mask", "filters"] = "mask"
    """Output of DPDCRN: a bounded mask for microphone 0, or the sum of a complex filter for every microphone. By
    default a mask for one microphone and filters for several, which measured better (docs/multichannel.md)."""
    bands: Annotated[int, Field(ge=8, le=64)] = 32
    """Bands of a band-split network."""
    upper_bands: Annotated[int, Field(ge=2, le=64)] = 16
    """Bands from 8 to 24 kHz of a network for 48 kHz."""
    upper_channels: Annotated[int, Field(ge=8, le=512)] = 64
    """Units of the layer that estimates their gains."""

    @property
    def sample_rate(self) -> int:
        """Rate of the input and output, in Hz."""
        return FULL_BAND_RATE if self.name == "fullband" else SAMPLE_RATE

    @model_validator(mode="before")
    @classmethod
    def _renamed_and_defaults(cls, section: Any) -> Any:
        if not isinstance(section, dict):
            return section
        section = renamed(section, MODEL_KEYS)
        return {"output": "filters", **section} if section.get("microphones", 1) != 1 else section

    @model_validator(mode="after")
    def _norm_is_causal(self) -> ModelConfig:
        if self.causal and self.norm == "instance":
            raise ValueError(
                "a causal network cannot use norm 'instance', which needs the whole signal; use 'batch'"
            )
        return self


def _causal(name: str, channels: int, norm: str, **sizes: int) -> ModelConfig:
    common = {"name": name, "causal": True, "norm": norm, "compression": 0.3}
    return ModelConfig.model_validate({**common, "channels": channels, **sizes})


PRESETS = {
    "dpdcrn-teacher": ModelConfig(channels=128, blocks=4),
    "dpdcrn-student": ModelConfig(channels=64, blocks=1),
    "dpdcrn-teacher-4ch": ModelConfig(channels=128, blocks=4, microphones=4),
    "dpdcrn-student-4ch": ModelConfig(channels=64, blocks=1, microphones=4),
    "dpdcrn-teacher-8ch": ModelConfig(channels=128, blocks=4, microphones=8),
    "dpdcrn-student-8ch": ModelConfig(channels=64, blocks=1, microphones=8),
    "dpdcrn-s-8ch": _causal("dpdcrn", 32, "batch", microphones=8),
    "dpdcrn-m": _causal("dpdcrn", 64, "batch"),
    "dpdcrn-s": _causal("dpdcrn", 32, "batch"),
    "dpdcrn-xs": _causal("dpdcrn", 8, "batch", depth=3, past_frames=16),
    "bsrnn-m": _causal("bsrnn", 64, "frame", blocks=3),
    "bsrnn-s": _causal("bsrnn", 48, "frame", blocks=2),
    "bsrnn-xs": _causal("bsrnn", 24, "frame", blocks=2, bands=28),
    "bsrnn-m-48k": _causal("fullband", 64, "frame", blocks=3),
    "framenet-m": _causal("framenet", 48, "batch", blocks=3, bands=24),
    "framenet-xs": _causal("framenet", 16, "batch", blocks=2, bands=16),
}
"""Networks by name; a recipe uses one with `model: dpdcrn-student`. `8ch`: two ambisonic microphones, `4ch`: one."""


class LossConfig(Frozen):
    """Weights of the enhancement losses; a weight of 0 disables a term."""

    compressed: Annotated[float, Field(ge=0)] = 1.0
    si_sdr: Annotated[float, Field(ge=0)] = 0.01
    multi_resolution: Annotated[float, Field(ge=0)] = 0.0
    perceptual: Annotated[float, Field(ge=0)] = 0.0
    """Differentiable PESQ disturbance (`perceptual.py`); it ignores phase and needs another term."""
    compression: Annotated[float, Field(gt=0, le=1)] = 0.3
    magnitude_share: Fraction = 0.7
    """Weight of the magnitude part of `compressed`; the complex part has the rest."""

    @model_validator(mode="after")
    def _has_a_term(self) -> LossConfig:
        if self.compressed == self.si_sdr == self.multi_resolution == 0:
            raise ValueError("all enhancement losses have weight 0; give at least one a weight")
        if self.si_sdr == self.multi_resolution == 0 and self.magnitude_share == 1:
            raise ValueError("a magnitude-only loss ignores phase; lower loss.magnitude_share below 1")
        return self


class OptimiserConfig(Frozen):
    """AdamW with linear warm-up and cosine decay to `lr · final`, once or (`restarts`) several times."""

    lr: Positive = 1e-3
    final: Fraction = 0.01
    warmup_steps: Annotated[int, Field(ge=0)] = 100
    weight_decay: Annotated[float, Field(ge=0)] = 0.01
    betas: tuple[Fraction, Fraction] = (0.9, 0.99)
    clip_norm: Positive = 5.0
    restarts: tuple[Count, ...] = ()
    """Updates after which warm-up and cosine restart, ascending; `--extend` adds the previous end of a run."""


class TrainConfig(Frozen):
    """The budget of a run, its validation and its checkpoints."""

    steps: Count = 10_000
    batch_size: Count = 8
    """Examples in one backward pass, shared by all processes."""
    accumulate: Count = 1
    """Backward passes for each update of the weights."""
    ema: Annotated[float, Field(ge=0, lt=1)] = 0.0
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    checkpoint_every: Count = 500
    validate_every: Count = 500
    metric: Literal["si_sdr", "pesq_wb"] = "si_sdr"
    patience: Annotated[int, Field(ge=0)] = 0
    """Stop after this many validations without a better score; 0 disables early stopping."""
    max_bad_batches: Count = 10
    """Batches with NaN or infinite losses (each is saved for inspection) before the run stops."""
    max_bad_files: Count = 20
    """Unusable recordings, each replaced by another, before the run stops."""
    device: str = "auto"
    threads: Count | Literal["auto"] = "auto"
    """CPU threads of each process. `auto`: OMP_NUM_THREADS if it is set, else one or the number of cores, by a short
    measurement when the run starts; a resumed run keeps its number."""
    tensorboard: bool = True
    start_from: str | None = None
    """A checkpoint of the same network, or a shipped model's name, with the initial weights (fine-tuning); null
    for random ones."""


class TapSet(Frozen):
    """Layers that are compared, in network order: `layer` or `layer:layout` (`distill/taps.py`)."""

    student: tuple[str, ...]
    teacher: tuple[str, ...]


class DistillConfig(Frozen):
    """Teacher, method and weight of a distillation."""

    teacher: str
    """A checkpoint folder; or, for methods that compare estimates: an ONNX or TorchScript file, the name of a peer
    (`deepfilternet3`, `rnnoise`, `nsnet2`), `python:MODULE:NAME`, or a folder of outputs for `data.train.pairs`."""
    teachers: tuple[str, ...] = ()
    """Several teachers in place of `teacher`; the student learns from the mean of their estimates, weighted by their
    SI-SDR for each example."""
    confidence_db: Positive = 3.0
    """τ of the weights softmax(SI-SDR / τ) of several teachers, in dB."""
    teacher_command: str | None = None
    """A program as the teacher, `tool {in} {out}`, in place of `teacher`; run without a shell."""
    teacher_rate: Annotated[int, Field(ge=1_000, le=768_000)] = SAMPLE_RATE
    """Sampling rate in Hz of a teacher that is a file, a function or a program. Peers have their own."""
    teacher_timeout: Positive = 60.0
    """Seconds in which the program must process one example."""
    method: MethodConfig = I2srfTfckdConfig()
    """Name of a method or a variant, or a section with options."""
    taps: dict[str, TapSet] | None = None
    """Tap sets; by default those of the networks."""
    weight: float | Literal["balanced", "published"] = "balanced"
    """λ of L = L_SE + λ·L_KD, or `balanced`: λ = rho · |∇L_SE| / |∇L_KD|, fixed after `balance_steps`, or `published`:
    the number published for the method, which was tuned with another enhancement loss."""
    rho: Positive = 0.3
    balance_steps: Count = 50
    schedule: Literal["joint", "two_step"] | None = None
    """`joint`: both losses together. `two_step`: distillation alone for the fraction `first_step` of the updates, then
    the enhancement loss alone. The default depends on the method."""
    first_step: Annotated[float, Field(gt=0, lt=1)] | None = None
    """The default depends on the method."""
    warmup: Fraction | None = None
    """Fraction of the updates over which λ rises from 0. The default depends on the method."""
    cache: str | None = None
    """A folder for teacher outputs, reused by runs over the same examples; null disables it."""
    cache_gb: Positive = 20.0
    """Size limit of the cache, in 10⁹ bytes."""
    cache_precision: Literal["float32", "float16"] = "float32"
    """`float32` is exact; `float16` halves the cache and rounds the teacher outputs, cached or not."""

    @model_validator(mode="before")
    @classmethod
    def _one_teacher(cls, section: Any) -> Any:
        if not isinstance(section, dict):
            return section
        named = [key for key in ("teacher", "teachers", "teacher_command") if section.get(key)]
        if len(named) > 1:
            raise ValueError(f"distill.{named[0]} and distill.{named[1]} are both set; remove one")
        several = section.get("teachers")
        several = several if isinstance(several, list | tuple) else ()  # other types are refused by the field
        if len(several) == 1:
            raise ValueError("distill.teachers names one teacher; name several, or use distill.teacher")
        twice = [place for place in several if several.count(place) > 1]
        if twice:
            raise ValueError(f"distill.teachers names {twice[0]} twice; name each once")
        return section if "teacher" in named or not named else {**section, "teacher": ""}

    @field_validator("method", mode="before")
    @classmethod
    def _method_by_name(cls, method: Any) -> Any:
        return method_section(method)


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

    @model_validator(mode="after")
    def _fits_the_rate(self) -> Recipe:
        rate = self.model.sample_rate
        if rate == SAMPLE_RATE:
            return self
        if self.distill is not None:
            raise ValueError(
                f"distill: needs a network at {SAMPLE_RATE} Hz; '{self.model.name}' has {rate} Hz"
            )
        if self.loss.perceptual:
            raise ValueError(
                f"loss.perceptual: is defined at {SAMPLE_RATE} Hz; set it to 0 for '{self.model.name}' ({rate} Hz)"
            )
        if self.model.name == "fullband" and self.train.start_from is None:
            raise ValueError(
                f"train.start_from: is required, as '{self.model.name}' trains only the part above 8 kHz; name a "
                f"checkpoint, a run or a shipped model of the network below, such as bsrnn-m"
            )
        return self

    @model_validator(mode="after")
    def _restarts_ascend(self) -> Recipe:
        ends = (*self.optimiser.restarts, self.train.steps)
        if any(one >= next_one for one, next_one in itertools.pairwise(ends)):
            raise ValueError(
                f"optimiser.restarts must ascend and stay below train.steps, got {[*self.optimiser.restarts]} and "
                f"{self.train.steps}"
            )
        return self
