"""The weights of enhancement loss and distillation loss at each update: joint or two-step, fixed or balanced.

Published weights λ of L = L_SE + λ·L_KD were tuned for other losses. With gradient balancing, g_SE = ‖∂L_SE/∂θ‖ and
g_KD = ‖∂L_KD/∂θ‖ are averaged over the first N₀ batches (θ: parameters of the student without connectors);
then λ = ρ · mean g_SE / mean g_KD is fixed. Until then λ is the running estimate.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import torch
import torch.distributed as dist
from torch import Tensor, nn

from stillwave.distill.gather import processes
from stillwave.distill.method import DistillError, resolve_method
from stillwave.schema import DistillConfig


class LossWeights(NamedTuple):
    """Factors at one update: of L_SE, and of λ·L_KD."""

    enhancement: float
    distillation: float


class LossSchedule:
    """The schedule of a run, from the recipe or else from the defaults of the method.

    - `joint`: L_SE + λ·L_KD; λ rises linearly from 0 over the fraction `warmup` of the updates.
    - `two_step`: λ·L_KD alone, then L_SE alone (Daod Nathoo et al. 2309.08144; the two stages of FitNets). The total
      number of updates does not change; optimiser and learning rate restart at the second step (choice of this
      project).

    Args:
        config: The `distill` section of a recipe; None for a training without a teacher.
        steps: Total number of updates.
        restarts: Updates at which the learning rate restarts. The schedule of the losses ends at the first of them; its
            last weights apply afterwards.

    Attributes:
        second: The update at which the second step begins; 0 if there is one step.
        rises: Number of updates over which λ rises.

    """

    def __init__(self, config: DistillConfig | None, steps: int, restarts: Sequence[int] = ()) -> None:
        self._ends = (*restarts, steps)
        steps = self._ends[0]
        self.second = 0
        self.rises = 0.0
        if config is None:
            return
        method = resolve_method(config.method)
        if (config.schedule or method.schedule) == "two_step":
            share = config.first_step if config.first_step is not None else method.first_step
            self.second = min(max(round(share * steps), 1), steps - 1) if steps > 1 else 0
        warmup = config.warmup if config.warmup is not None else method.warmup
        self.rises = warmup * (self.second or steps)

    def weights(self, step: int) -> LossWeights:
        """Return the factors of both losses at update `step`, from 0."""
        if step < self.second:
            return LossWeights(0.0, self._warmup_factor(step))
        if self.second:
            return LossWeights(1.0, 0.0)
        return LossWeights(1.0, self._warmup_factor(step))

    def span(self, step: int) -> tuple[int, int]:
        """Return (updates done, total updates) of the learning-rate schedule at update `step`."""
        if step < self.second:
            return step, self.second
        first = max((end for end in self._ends if end <= step), default=self.second)
        return step - first, next((end for end in self._ends if end > step), self._ends[-1]) - first

    def _warmup_factor(self, step: int) -> float:
        return min(1.0, (step + 1) / self.rises) if self.rises > 0 else 1.0


def published_weight(config: DistillConfig) -> float:
    """Return λ of the publication. Raise DistillError if it is unknown."""
    weight = resolve_method(config.method).published_weight
    if weight is None:
        raise DistillError(
            f"distill.weight: no published weight is known for '{config.method.name}'; use a number or 'balanced'"
        )
    return weight


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
