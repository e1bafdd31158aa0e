"""AT: attention transfer by energy maps.

S. Zagoruyko, N. Komodakis, "Paying More Attention to Attention", ICLR 2017, arXiv 1612.03928.

    A_btd = 1/C Σ_c |F_bctd|^p, p = `power`, then the map of each example divided by its L2 norm
    `mode: code`    L = Σ_pairs mean_btd (A^s − A^t)²                    the published programs
    `mode: paper`   L = Σ_pairs 1/2 · 1/(B·T·D) Σ_b ‖A_b^s − A_b^t‖₂       the paper: not squared, and β/2 with
                    β = 1000 over the number of elements

Options of this project: `norm: frame` or `bin` normalises each frame or bin of an example instead, so that one loud
onset does not dominate; `reduction: sum_per_example` multiplies by T·D, since the entries of unit vectors decrease with
the length of the examples. Silent vectors (1e-5 of the loudest of their example, in amplitude) are 0 and carry no
gradient.

Any B and C; T and D are averaged to the smaller of a pair. No connectors. Invariant to signs, to which channel has the
energy, and to the level of the features.
"""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from stillwave.distill.grams import silence_mask, unit
from stillwave.distill.method import BatchInputs, Method, ModelOutputs, Shapes, full_precision, register
from stillwave.distill.pairing import LayerPair, features, one_to_one
from stillwave.distill.similarity import SILENCE
from stillwave.schema.methods import AtConfig


@register("at")
class AttentionTransfer(Method):
    """One loss for each layer pair."""

    Config = AtConfig
    title = "maps of the energy over frames and bins (AT, ICLR 2017)"
    published_weight = 1000.0

    def __init__(self, config: AtConfig, pairs: list[LayerPair]) -> None:
        super().__init__()
        self.config = config
        self.pairs = pairs

    @classmethod
    def build(cls, config: AtConfig, shapes: Shapes) -> AttentionTransfer:
        """Pair the layers. Raise DistillError if there is no pair."""
        return cls(config, one_to_one(shapes))

    def losses(self, student: ModelOutputs, teacher: ModelOutputs, inputs: BatchInputs) -> dict[str, Tensor]:
        """Return the losses by layer pair, for any B and T."""
        maps = features(self.pairs, student, teacher)
        with full_precision(student.features[self.pairs[0].set][0].device):
            return {pair.label: self._distance(*both) for pair, both in zip(self.pairs, maps, strict=True)}

    def _distance(self, student: Tensor, teacher: Tensor) -> Tensor:
        size = min(student.shape[2], teacher.shape[2]), min(student.shape[3], teacher.shape[3])
        difference = self._map(_pooled(student, size)) - self._map(_pooled(teacher, size))
        scale = size[0] * size[1] if self.config.reduction == "sum_per_example" else 1
        if self.config.mode == "code":
            return scale * difference.square().mean()
        return scale * _norms(difference.flatten(1)).mean() / (2 * size[0] * size[1])

    def _map(self, feature: Tensor) -> Tensor:
        """Map [B, C, T, D] to [B, T, D], or to [B, D, T] with `norm: bin`."""
        energy = feature.abs().pow(self.config.power).mean(1)
        if self.config.norm == "example":
            return unit(energy.flatten(1)).view_as(energy)
        vectors = energy.mT if self.config.norm == "bin" else energy
        silent = silence_mask(vectors.detach().amax(-1), SILENCE**self.config.power, 0)
        return unit(vectors.masked_fill(silent.unsqueeze(-1), 0.0))


def _pooled(feature: Tensor, size: tuple[int, int]) -> Tensor:
    if tuple(feature.shape[2:]) == size:
        return feature
    return F.adaptive_avg_pool2d(feature, size)


def _norms(vectors: Tensor) -> Tensor:
    """Return L2 norms; the gradient of a zero vector is 0."""
    squares = vectors.square().sum(-1)
    zero = squares <= 0
    return squares.masked_fill(zero, 1.0).sqrt().masked_fill(zero, 0.0)
