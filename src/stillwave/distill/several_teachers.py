"""Several teachers at once: the mean of their estimates, weighted by confidence for each example.

With x_k the estimate of teacher k and q_k its signed SI-SDR in dB for an example (`losses.signed_si_sdr`), the student
learns from x = Σ_k w_k · x_k, w = softmax(q / τ). q_k is measured against the clean reference; without one against the
mean of the other estimates, so that a teacher with which the others disagree counts less. A large τ gives equal
weights, a small one selects the best teacher of each example.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from stillwave.distill.external_teacher import EstimateTeacher
from stillwave.losses import signed_si_sdr

FARTHEST_DB = 60.0
"""SI-SDR is limited to ± this many dB."""


class SeveralTeachers(EstimateTeacher):
    """Teachers that process the same input.

    Args:
        teachers: The networks by name, two or more; each maps `[B, N]` to `[B, N]`.
        temperature_db: τ in dB.
        identities: SHA-256 of each teacher.

    """

    def __init__(
        self, teachers: Mapping[str, nn.Module], temperature_db: float, identities: Mapping[str, str]
    ) -> None:
        super().__init__()
        self.names = list(teachers)
        self.name = " and ".join(self.names)
        self.identity = hashlib.sha256(" ".join(identities.values()).encode()).hexdigest()
        self.temperature_db = temperature_db
        self.networks = nn.ModuleList(teachers.values())

    def forward(self, noisy: Tensor) -> Tensor:
        """Return the estimates of all teachers, `[B, K, N]`."""
        estimates = [network(noisy) for network in self.networks]
        return torch.stack([x[:, 0] if x.ndim == 3 else x for x in estimates], 1)

    def summary(self) -> str:
        """Return names and calibrations as one line."""
        parts = zip(self.names, self.networks, strict=True)
        return "; ".join(x.summary() if isinstance(x, EstimateTeacher) else name for name, x in parts)

    @torch.no_grad()
    def combined(self, estimates: Tensor, clean: Tensor | None) -> Tensor:
        """Return the weighted mean `[B, N]` of `[B, K, N]`; estimates that are not finite count nothing.

        NaN is returned for an example without a finite estimate.
        """
        weights = confidence(estimates.float(), clean, self.temperature_db)
        return (weights[..., None] * torch.nan_to_num(estimates.float(), 0.0, 0.0, 0.0)).sum(1)


def confidence(estimates: Tensor, clean: Tensor | None, temperature_db: float) -> Tensor:
    """Return the weights `[B, K]` of estimates `[B, K, N]`; they sum to 1 in each example.

    Examples:
        >>> clean = torch.sin(torch.arange(400.0))[None]
        >>> noise = torch.cos(torch.arange(400.0))[None]
        >>> estimates = torch.stack([clean + 0.1 * noise, clean + noise], 1)
        >>> confidence(estimates, clean, temperature_db=10)
        tensor([[0.8627, 0.1373]])

    """
    usable = estimates.isfinite().all(-1)
    filled = torch.nan_to_num(estimates, 0.0, 0.0, 0.0)
    if clean is None:
        count = usable.sum(1, keepdim=True)[..., None].clamp(min=2)
        reference = (filled.sum(1, keepdim=True) - filled) / (count - 1)
    else:
        reference = clean[:, None].expand_as(filled)
    quality = signed_si_sdr(filled.flatten(0, 1), reference.flatten(0, 1)).reshape(usable.shape)
    quality = torch.nan_to_num(quality, -FARTHEST_DB).clamp(-FARTHEST_DB, FARTHEST_DB)
    return torch.softmax((quality / temperature_db).masked_fill(~usable, -torch.inf), 1)
