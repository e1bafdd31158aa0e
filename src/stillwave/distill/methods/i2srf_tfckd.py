"""I²SRF-TFCKD: intra- and inter-set distillation with recursive fusion and time-frequency calibration.

J. Cheng et al., "Leveraging Local and Global Knowledge Integration with Time-Frequency Calibrated
Distillation for Speech Enhancement", arXiv 2506.13127. `embedding: released` with its defaults is what the
authors' program computes; the golden tests hold it to that.

Inside a set with n student and m teacher layers, and between the fused features of all sets:

    L = 1/n Σ_ij [ 1/(B·T) Σ_bt α^time_btij J^time_btij + 1/(B·B) Σ_bt α^batch_btij J^batch_btij
                   + 1/(B·T) Σ_bt α^freq_btij 1/K Σ_k J^freq_btkij ]

J is the distance between row distributions (`similarity.py`), α the calibration (`calibration.py`). The
second divisor makes the batch stream grow as T/B; `scale: balanced` divides it by B·T. What the authors' program
calls frequency is our batch stream; `frequency: true` adds a stream of K bands (`bands.py`, ours).

Blind to: polarity, rotations of the compared axis, and the level of a row (`similarity.py`). The frequency
stream never compares two frames or two bands' levels: another rotation of the channels at each frame costs it
nothing.

Choices that the paper leaves open:

- Order of visit: a set named `decoder` is fused from its last layer to its first, any other from first to
  last.
- `pairs: one_to_one`: student layer i (from 1) learns from teacher layer ⌈i·m/n⌉, the last from the last,
  with weight 1.
- `calibration: false` weighs each teacher layer 1/m. Teacher fusers learn only through the keys of the
  inter-set calibration; without it they stay as they were drawn, and are not among the trained parameters.
- `cross_weighting`: each stream's distances get the other stream's weights. It needs exactly two streams: time
  and batch as in the released program, or, as the paper's abstract reads, time and frequency.
- `centre` (ours): features of one sign, or with a large part that all frames share, have cosines near 1 whatever
  they say, and P is flat. Without their mean they spread. With one frame and one example nothing is left.
- `fusion_channels`: by default as many as the teacher's widest tapped layer has (128 in the paper).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, cast

import torch
from torch import Tensor, nn

from stillwave.distill.bands import Bands
from stillwave.distill.calibrated_distance import CalibratedDistance
from stillwave.distill.fusion import Fuser
from stillwave.distill.method import (
    BatchInputs,
    DistillError,
    Layer,
    Method,
    ModelOutputs,
    Shapes,
    full_precision,
    register,
    to_float32,
)
from stillwave.distill.similarity import STREAMS, Stream
from stillwave.errors import nearest
from stillwave.schema import I2srfTfckdConfig

INTER = "inter"


@register("i2srf_tfckd")
class I2srfTfckd(Method):
    """The flagship. Losses: one named after each set, and `inter`; each already carries its set's weight.

    `weights[set][stream]`: the α of the last call, [B, T, n, m], detached.
    """

    Config = I2srfTfckdConfig
    title = "sets of layers, calibrated in time and batch, and their recursive fusion (arXiv 2506.13127)"
    published_weight = 1.0

    def __init__(self, config: I2srfTfckdConfig, shapes: Shapes) -> None:
        super().__init__()
        _check(config, shapes)
        self.config = config
        self.bands = _bands(config, shapes)
        self.set_weights = {name: config.set_weights.get(name, 1.0) for name in _terms(config, shapes)}
        frames = {name: layers[0].frames for name, layers in shapes.student.items()}
        self.comparisons = nn.ModuleDict()
        self.fusers = nn.ModuleDict()
        for name in self.set_weights:
            if name == INTER:
                self._build_inter(shapes, next(iter(frames.values())))
                continue
            n, m = len(shapes.student[name]), len(shapes.teacher[name])
            self.comparisons[name] = CalibratedDistance(n, m, config, shapes.batch, frames[name], self.bands)

    def _build_inter(self, shapes: Shapes, frames: int) -> None:
        config, sets = self.config, len(shapes.student)
        width = config.fusion_channels or max(layer.channels for layer in _layers(shapes.teacher))
        inter = self.comparisons[INTER] = CalibratedDistance(
            sets, sets, config, shapes.batch, frames, self.bands
        )
        for side, layers in (("student", shapes.student), ("teacher", shapes.teacher)):
            self.fusers[side] = nn.ModuleDict(
                {name: _fuser(name, ls, width, config.fusion) for name, ls in layers.items()}
            )
        self._teacher_learns = inter.calibrated
        self.fusers["teacher"].requires_grad_(self._teacher_learns)

    @classmethod
    def build(cls, config: I2srfTfckdConfig, shapes: Shapes) -> I2srfTfckd:
        """Raises `DistillError` if the layers or options do not fit together."""
        return cls(config, shapes)

    @property
    def weights(self) -> dict[str, dict[Stream, Tensor]]:
        """α of the last call by term and stream."""
        each = cast("dict[str, CalibratedDistance]", dict(self.comparisons.items()))
        return {name: comparison.weights for name, comparison in each.items()}

    def losses(self, student: ModelOutputs, teacher: ModelOutputs, given: BatchInputs) -> dict[str, Tensor]:
        """See the module's head. Any B and T with `embedding: pooled`; at B = 1 the batch stream is 0."""
        device = next(iter(student.features.values()))[0].device
        with full_precision(device):
            of_student = {name: [to_float32(f) for f in fs] for name, fs in student.features.items()}
            of_teacher = {name: [to_float32(f.detach()) for f in fs] for name, fs in teacher.features.items()}
            return {
                name: w * self._term(name, of_student, of_teacher) for name, w in self.set_weights.items()
            }

    def _term(self, name: str, student: dict[str, list[Tensor]], teacher: dict[str, list[Tensor]]) -> Tensor:
        if name == INTER:
            with torch.set_grad_enabled(torch.is_grad_enabled() and self._teacher_learns):
                of_teacher = self.fuse("teacher", teacher)
            of_student = self.fuse("student", student)
            student, teacher = {INTER: list(of_student.values())}, {INTER: list(of_teacher.values())}
        loss: Tensor = self.comparisons[name](student[name], teacher[name])
        return loss

    def fuse(self, side: str, features: dict[str, list[Tensor]]) -> dict[str, Tensor]:
        """The fused feature map of each set of one side (`student` or `teacher`)."""
        fusers = self.fusers[side]
        assert isinstance(fusers, nn.ModuleDict)
        return {name: fuser(visit(name, features[name])) for name, fuser in fusers.items()}


def visit(name: str, layers: Sequence[Tensor]) -> list[Tensor]:
    """Layers in the order in which they are fused."""
    return list(layers)[::-1] if name == "decoder" else list(layers)


def _layers(*sides: Mapping[str, tuple[Layer, ...]]) -> list[Layer]:
    return [layer for side in sides for layers in side.values() for layer in layers]


def _fuser(name: str, layers: Sequence[Layer], width: int, mode: Literal["recursive", "mean"]) -> Fuser:
    channels = [layer.channels for layer in layers]
    return Fuser(channels[::-1] if name == "decoder" else channels, width, mode)


def _bands(config: I2srfTfckdConfig, shapes: Shapes) -> Bands | None:
    if not config.frequency:
        return None
    coarsest = min(_layers(shapes.student, shapes.teacher), key=lambda layer: layer.bins)
    if coarsest.bins < config.bands:
        raise DistillError(
            f"the frequency stream has {config.bands} bands, but layer '{coarsest.name}' has {coarsest.bins} bins; "
            f"lower bands to at most {coarsest.bins}, or tap layers with more bins"
        )
    return Bands(config.bands, config.band_scale, coarsest.bins)


def _terms(config: I2srfTfckdConfig, shapes: Shapes) -> list[str]:
    """Names of the losses; a weight of 0 leaves a term out."""
    names = [*(shapes.student if config.intra else ()), *([INTER] if config.inter else [])]
    return [name for name in names if config.set_weights.get(name, 1.0) != 0]


def _check(config: I2srfTfckdConfig, shapes: Shapes) -> None:
    _check_options(config)
    names = list(shapes.student)
    for name in config.set_weights:
        if name not in [*names, INTER]:
            raise DistillError(
                f"set_weights names '{name}', which is no set; {nearest(name, [*names, INTER])}"
            )
    if not _terms(config, shapes):
        raise DistillError("set_weights leaves every term out: give at least one set a weight above 0")
    for name in names:
        if name == INTER or hasattr(nn.ModuleDict, name) or not name.isidentifier():
            raise DistillError(f"a set cannot be called '{name}'; choose another plain word")
        _check_frames(f"set '{name}'", [*shapes.student[name], *shapes.teacher[name]])
    if config.inter:
        _check_frames("the inter-set term (inter: true)", _layers(shapes.student, shapes.teacher))


def _check_options(config: I2srfTfckdConfig) -> None:
    streams = [stream for stream in STREAMS if getattr(config, stream)]
    if config.cross_weighting and not (len(streams) == 2 and config.calibration and config.pairs == "all"):
        raise DistillError(
            "cross_weighting exchanges the weights of two streams: it needs exactly two of time, batch and "
            f"frequency (not {len(streams)}), calibration, and pairs 'all'"
        )
    if config.frequency and config.embedding == "released":
        raise DistillError(
            "embedding 'released' is the authors' program, which has no frequency stream; "
            "choose embedding 'pooled' or frequency false"
        )
    for name, weight in config.set_weights.items():
        if weight < 0:
            raise DistillError(
                f"set_weights.{name} is {weight}; a weight must be 0 (leave the term out) or above"
            )


def _check_frames(what: str, layers: Sequence[Layer]) -> None:
    first = layers[0]
    for layer in layers:
        if layer.frames != first.frames:
            raise DistillError(
                f"{what} compares frames one by one, but layer '{first.name}' has {first.frames} and "
                f"'{layer.name}' has {layer.frames}; tap layers with the same number of frames"
            )
