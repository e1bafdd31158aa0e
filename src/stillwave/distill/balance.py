"""The weight λ of L = L_SE + λ·L_KD that gives distillation a chosen share of the gradient.

Published weights were tuned beside other losses and mean nothing here. So, on the first N₀ batches, measure
g_SE = ‖∂L_SE/∂θ‖ and g_KD = ‖∂L_KD/∂θ‖ over the student's parameters θ (connectors excluded), average each,
and freeze λ = ρ · mean g_SE / mean g_KD. Until then λ is the running estimate.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable, Mapping, Sequence

import torch
import torch.distributed as dist
from torch import Tensor, nn

from stillwave.distill.gather import processes
from stillwave.distill.method import DistillError

logger = logging.getLogger(__name__)


class Balance:
    """Finds λ over the first `steps` batches, then keeps it.

    While g_KD is 0 there is nothing to balance: λ is 0 and a warning is logged once. A batch whose norms are
    not finite is left out of the means.
    """

    def __init__(self, rho: float = 0.3, steps: int = 50) -> None:
        if not rho > 0 or steps < 1:
            raise DistillError(
                f"balance wants rho above 0 and at least one step, not rho {rho} and {steps} steps"
            )
        self.rho = rho
        self.steps = steps
        self._count = 0
        self._sum_se = 0.0
        self._sum_kd = 0.0
        self._warned = False
        self.measured: dict[str, float] = {}
        """Gradient norms of the last batch that was measured."""

    @property
    def frozen(self) -> bool:
        """Whether λ has its final value."""
        return self._count >= self.steps

    @property
    def value(self) -> float:
        """λ as known so far."""
        return self.rho * self._sum_se / self._sum_kd if self._sum_kd > 0 else 0.0

    def weight(self, loss_se: Tensor, loss_kd: Tensor, parameters: Iterable[nn.Parameter]) -> float:
        """λ for this batch. The graph of both losses is kept, so that `backward` can follow.

        With several processes gradients are averaged before the norm, so every process gets the same λ; all
        must call this together. The norms are of the losses as given: pass them before any scaling for half
        precision.
        """
        if self.frozen:
            return self.value
        trained = [p for p in parameters if p.requires_grad]
        se, kd = gradient_norm(loss_se, trained), gradient_norm(loss_kd, trained)
        self.measured = {"enhancement": se, "distillation": kd}
        if math.isfinite(se) and math.isfinite(kd):
            self._count += 1
            self._sum_se += se
            self._sum_kd += kd
        if self._sum_kd == 0 and not self._warned:
            logger.warning("the distillation loss has no gradient on the student yet: its weight is 0")
            self._warned = True
        return self.value

    def state_dict(self) -> dict[str, float | int]:
        """Plain numbers, so that JSON brings them back bit by bit."""
        return {"count": self._count, "sum_se": self._sum_se, "sum_kd": self._sum_kd}

    def load_state_dict(self, state: dict[str, float | int]) -> None:
        """Go on from `state_dict()`."""
        self._count = int(state["count"])
        self._sum_se, self._sum_kd = float(state["sum_se"]), float(state["sum_kd"])


def gradient_norm(loss: Tensor, parameters: Sequence[nn.Parameter]) -> float:
    """‖∂loss/∂parameters‖ with gradients averaged over processes; parameters out of the graph count as 0."""
    return _norm(_gradient(loss, parameters))


def norms(
    loss_se: Tensor, terms: Mapping[str, Tensor], parameters: Sequence[nn.Parameter]
) -> dict[str, float]:
    """Norms as of `gradient_norm`: `enhancement`, `distill.TERM` for each, and `distillation`, that of their sum.

    The graph is kept and no `.grad` touched, so that a step goes on as if nobody had looked.
    """
    found = {"enhancement": gradient_norm(loss_se, parameters)}
    whole: Tensor | None = None
    for name, term in terms.items():
        gradient = _gradient(term, parameters)
        found[f"distill.{name}"] = _norm(gradient)
        whole = gradient if whole is None else whole + gradient
    return {**found, "distillation": 0.0 if whole is None else _norm(whole)}


def _gradient(loss: Tensor, parameters: Sequence[nn.Parameter]) -> Tensor:
    """As one vector, averaged over processes."""
    if not loss.requires_grad:
        return torch.zeros(1, device=loss.device)
    found = torch.autograd.grad(loss, parameters, retain_graph=True, allow_unused=True)
    flat = torch.cat(
        [
            torch.zeros_like(p, dtype=torch.float32).flatten() if g is None else g.float().flatten()
            for p, g in zip(parameters, found, strict=True)
        ]
    )
    if processes() > 1:
        dist.all_reduce(flat)
        flat /= processes()
    return flat


def _norm(gradient: Tensor) -> float:
    return float(torch.linalg.vector_norm(gradient, dtype=torch.float64))
