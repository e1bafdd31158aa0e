"""Gradient balancing: the weight λ of L = L_SE + λ·L_KD from the ratio of gradient norms.

Published weights were tuned for other losses. On the first N₀ batches, g_SE = ‖∂L_SE/∂θ‖ and g_KD = ‖∂L_KD/∂θ‖ are
measured over the student's parameters θ (without connectors) and averaged; then λ = ρ · mean g_SE / mean g_KD is fixed.
Until then λ is the running estimate.
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
    """Measures λ on the first batches, then keeps it.

    While g_KD is 0, λ is 0 and a warning is logged once. Batches with norms that are not finite are ignored.

    Args:
        rho: Ratio ρ of the gradient norms: distillation to enhancement loss.
        steps: Number of batches N₀.

    Attributes:
        measured: Gradient norms of the last measured batch.

    Raises:
        DistillError: rho is not positive, or steps is less than 1.

    """

    def __init__(self, rho: float = 0.3, steps: int = 50) -> None:
        if not rho > 0 or steps < 1:
            raise DistillError(
                f"balance: rho must be above 0 and steps at least 1, got rho {rho} and {steps} steps"
            )
        self.rho = rho
        self.steps = steps
        self._count = 0
        self._sum_se = 0.0
        self._sum_kd = 0.0
        self._warned = False
        self.measured: dict[str, float] = {}

    @property
    def frozen(self) -> bool:
        """Whether λ is final."""
        return self._count >= self.steps

    @property
    def value(self) -> float:
        """Current λ."""
        return self.rho * self._sum_se / self._sum_kd if self._sum_kd > 0 else 0.0

    def weight(self, loss_se: Tensor, loss_kd: Tensor, parameters: Iterable[nn.Parameter]) -> float:
        """Return λ for this batch. The graphs of both losses are kept for the backward pass.

        With several processes, gradients are averaged before the norm is taken, so that λ is equal in all; all
        processes must call this together.

        Args:
            loss_se: Enhancement loss, before any loss scaling.
            loss_kd: Distillation loss, before any loss scaling.
            parameters: Parameters of the student.

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
            logger.warning("the distillation loss has no gradient at the student; its weight is 0")
            self._warned = True
        return self.value

    def state_dict(self) -> dict[str, float | int]:
        """Return the state as numbers, which JSON stores exactly."""
        return {"count": self._count, "sum_se": self._sum_se, "sum_kd": self._sum_kd}

    def load_state_dict(self, state: dict[str, float | int]) -> None:
        """Restore `state_dict()`."""
        self._count = int(state["count"])
        self._sum_se, self._sum_kd = float(state["sum_se"]), float(state["sum_kd"])


def gradient_norm(loss: Tensor, parameters: Sequence[nn.Parameter]) -> float:
    """Return ‖∂loss/∂parameters‖ with gradients averaged over processes; unused parameters count as 0."""
    return _norm(_gradient(loss, parameters))


def norms(
    loss_se: Tensor, terms: Mapping[str, Tensor], parameters: Sequence[nn.Parameter]
) -> dict[str, float]:
    """Return gradient norms (see `gradient_norm`) by loss term.

    The graph is kept and `.grad` is not changed, so that the training step can continue.

    Args:
        loss_se: Enhancement loss.
        terms: Losses of the method by name.
        parameters: Parameters of the student.

    Returns:
        `enhancement`, `distill.NAME` for each term, and `distillation`: the norm of the sum of the terms.

    """
    found = {"enhancement": gradient_norm(loss_se, parameters)}
    total: Tensor | None = None
    for name, term in terms.items():
        gradient = _gradient(term, parameters)
        found[f"distill.{name}"] = _norm(gradient)
        total = gradient if total is None else total + gradient
    return {**found, "distillation": 0.0 if total is None else _norm(total)}


def _gradient(loss: Tensor, parameters: Sequence[nn.Parameter]) -> Tensor:
    """Return the gradient as one vector, averaged over processes."""
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
