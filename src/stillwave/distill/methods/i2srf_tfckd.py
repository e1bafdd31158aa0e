"""I²SRF-TFCKD: intra-set and inter-set distillation with recursive fusion and time-frequency calibration.

J. Cheng et al., "Leveraging Local and Global Knowledge Integration with Time-Frequency Calibrated
Distillation for Speech Enhancement", arXiv 2506.13127. `embedding: released` with its defaults computes the authors'
program, as verified by the golden tests.

Within a set of n student and m teacher layers, and between the fused features of all sets:

    L = 1/n Σ_ij [ 1/(B·T) Σ_bt α^time_btij J^time_btij + 1/(B·B) Σ_bt α^batch_btij J^batch_btij
                   + 1/(B·T) Σ_bt α^freq_btij 1/K Σ_k J^freq_btkij ]

J is the distance between row distributions (`similarity.py`), α the calibration (`calibration.py`). The second divisor
makes the batch stream grow as T/B; `scale: balanced` divides it by B·T. The frequency stream of the authors' program is
our batch stream; `frequency: true` adds a stream of K bands (`bands.py`, this project).

Invariant to polarity, rotations of the compared axis, and the level of a row (`similarity.py`). The frequency stream
does not compare frames, nor the levels of bands: it is invariant to a different rotation of the channels at each frame.

Choices that the paper leaves open:

- Order of visit: a set named `decoder` is fused from its last layer to its first, any other from first to last.
- `pairs: one_to_one`: student layer i (from 1) is compared with teacher layer ⌈i·m/n⌉, the last with the last, with
  weight 1.
- `calibration: false` weights each teacher layer 1/m. The teacher's fusers are trained only through the keys of the
  inter-set calibration; without it they keep their initial values and are not trainable.
- `cross_weighting`: the distances of each stream get the weights of the other. It requires exactly two streams: time
  and batch as in the released program, or, as the abstract reads, time and frequency.
- `centre` (this project): features of one sign, or with a large part common to all frames, have cosines near 1, and P
  is flat; subtracting the mean spreads them. With one frame and one example, nothing remains.
- `sharpness` (this project): P ∝ S^γ. With γ = 1 rows of similar frames are nearly uniform, and their distances vanish.
- `prior` (this project): α does not settle on the nearest teacher layer (`calibration_prior.py`).
- `fusion_channels`: by default the channels of the teacher's widest tapped layer (128 in the paper).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, cast

import torch
from torch import Tensor, nn

from stillwave.distill.bands import Bands
from stillwave.distill.calibrated_distance import CalibratedDistance
from stillwave.distill.calibration_prior import clean_cosines
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
from stillwave.distill.pairing import check_frames
from stillwave.distill.similarity import STREAMS, Stream
from stillwave.errors import nearest
from stillwave.schema import I2srfTfckdConfig

INTER = "inter"


@register("i2srf_tfckd")
class I2srfTfckd(Method):
    """One loss for each tap set, and `inter`; each includes the weight of its set.

    Args:
        config: Options.
        shapes: Layers of both networks.

    """

    Config = I2srfTfckdConfig
    title = "tap sets and their recursive fusion, calibrated in time and batch (arXiv 2506.13127)"
    published_weight = 1.0

    def __init__(self, config: I2srfTfckdConfig, shapes: Shapes) -> None:
        super().__init__()
        _check(config, shapes)
        self.config = config
        self.uses_clean = config.prior == "clean"
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
        self._teacher_trained = inter.calibrated
        self.fusers["teacher"].requires_grad_(self._teacher_trained)

    @classmethod
    def build(cls, config: I2srfTfckdConfig, shapes: Shapes) -> I2srfTfckd:
        """Return the method. Raise DistillError if layers or options do not match."""
        return cls(config, shapes)

    @property
    def weights(self) -> dict[str, dict[Stream, Tensor]]:
        """α of the last call by loss and stream, [B, T, n, m], detached."""
        each = cast("dict[str, CalibratedDistance]", dict(self.comparisons.items()))
        return {name: comparison.weights for name, comparison in each.items()}

    def losses(self, student: ModelOutputs, teacher: ModelOutputs, inputs: BatchInputs) -> dict[str, Tensor]:
        """Return the losses, for any B and T with `embedding: pooled`. At B = 1 the batch stream is 0."""
        device = next(iter(student.features.values()))[0].device
        with full_precision(device):
            student_maps = {name: [to_float32(f) for f in fs] for name, fs in student.features.items()}
            teacher_maps = {
                name: [to_float32(f.detach()) for f in fs] for name, fs in teacher.features.items()
            }
            clean: dict[int, dict[Stream, Tensor]] = {}
            if self.uses_clean:
                assert inputs.clean is not None
                lengths = {maps[0].shape[2] for maps in student_maps.values()}
                clean = {frames: clean_cosines(inputs.clean, frames) for frames in lengths}
            return {
                name: w * self._term(name, student_maps, teacher_maps, clean)
                for name, w in self.set_weights.items()
            }

    def _term(
        self,
        name: str,
        student: dict[str, list[Tensor]],
        teacher: dict[str, list[Tensor]],
        clean: dict[int, dict[Stream, Tensor]],
    ) -> Tensor:
        if name == INTER:
            with torch.set_grad_enabled(torch.is_grad_enabled() and self._teacher_trained):
                of_teacher = self.fuse("teacher", teacher)
            of_student = self.fuse("student", student)
            student, teacher = {INTER: list(of_student.values())}, {INTER: list(of_teacher.values())}
        loss: Tensor = self.comparisons[name](
            student[name], teacher[name], clean.get(student[name][0].shape[2])
        )
        return loss

    def fuse(self, side: str, features: dict[str, list[Tensor]]) -> dict[str, Tensor]:
        """Return the fused feature map of each set of one network (`student` or `teacher`)."""
        fusers = self.fusers[side]
        assert isinstance(fusers, nn.ModuleDict)
        return {name: fuser(visit(name, features[name])) for name, fuser in fusers.items()}


def visit(name: str, layers: Sequence[Tensor]) -> list[Tensor]:
    """Return the layers in order of fusion."""
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
    """Return the names of the losses; a weight of 0 leaves a term out."""
    names = [*(shapes.student if config.intra else ()), *([INTER] if config.inter else [])]
    return [name for name in names if config.set_weights.get(name, 1.0) != 0]


def _check(config: I2srfTfckdConfig, shapes: Shapes) -> None:
    _check_options(config)
    names = list(shapes.student)
    for name in config.set_weights:
        if name not in [*names, INTER]:
            raise DistillError(f"set_weights: there is no set '{name}'; {nearest(name, [*names, INTER])}")
    if not _terms(config, shapes):
        raise DistillError("set_weights: all weights are 0; at least one must be above 0")
    for name in names:
        if name == INTER or hasattr(nn.ModuleDict, name) or not name.isidentifier():
            raise DistillError(f"a set cannot be named '{name}'; use another identifier")
        check_frames([*shapes.student[name], *shapes.teacher[name]], f"set '{name}'")
    if config.inter:
        check_frames(_layers(shapes.student, shapes.teacher), "the inter-set term (inter: true)")


def _check_options(config: I2srfTfckdConfig) -> None:
    streams = [stream for stream in STREAMS if getattr(config, stream)]
    if config.cross_weighting and not (len(streams) == 2 and config.calibration and config.pairs == "all"):
        raise DistillError(
            "cross_weighting exchanges the weights of two streams: it requires exactly two of time, batch and "
            f"frequency (not {len(streams)}), calibration, and pairs 'all'"
        )
    if config.frequency and config.embedding == "released":
        raise DistillError(
            "embedding 'released' has no frequency stream, as in the authors' program; "
            "use embedding 'pooled' or frequency false"
        )
    for name, weight in config.set_weights.items():
        if weight < 0:
            raise DistillError(
                f"set_weights.{name} is {weight}; weights must not be negative (0 leaves the term out)"
            )
