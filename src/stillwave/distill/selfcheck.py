"""Analysis of the first step of a distillation, and warnings (`stillwave check`)."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from stillwave.distill.distiller import Distiller
from stillwave.distill.schedule import norms, published_weight
from stillwave.losses import EnhancementLoss
from stillwave.schema import DistillConfig

MAX_RATIO = 10.0
"""A term dominates if λ times its gradient norm exceeds that of the enhancement loss by this factor,"""
MAX_SHARE = 0.95
"""or if its share of the summed gradient norms of all terms is larger."""


@dataclass(frozen=True)
class Term:
    """One loss of the method.

    Attributes:
        name: Name of the loss.
        value: Value of the loss.
        gradient: Norm of its gradient at the student.
        against: λ · gradient, relative to the gradient norm of the enhancement loss.
        share: Share of the summed gradient norms of all terms.

    """

    name: str
    value: float
    gradient: float
    against: float
    share: float


@dataclass(frozen=True)
class Findings:
    """Analysis of one batch before any update.

    Attributes:
        enhancement: Value of the enhancement loss.
        gradient: Norm of its gradient at the student.
        weight: λ after this batch.
        terms: Losses of the method.
        parameters: Number of parameters of student, teacher and connectors.
        unreached: Names of connectors without gradient.
        warnings: Problems found.

    """

    enhancement: float
    gradient: float
    weight: float
    terms: tuple[Term, ...]
    parameters: Mapping[str, int]
    unreached: tuple[str, ...]
    warnings: tuple[str, ...] = field(default=())


def examine(
    distiller: Distiller,
    criterion: EnhancementLoss,
    config: DistillConfig,
    noisy: Tensor,
    clean: Tensor,
    teacher_estimate: Tensor | None = None,
) -> Findings:
    """Run one forward pass in training mode and one backward pass for each loss; no weight is changed.

    Args:
        distiller: Student, teacher and method.
        criterion: The enhancement loss.
        config: The `distill` section of the recipe.
        noisy: Input of both networks, [B, N].
        clean: Clean reference, [B, N].
        teacher_estimate: The teacher's estimates, [B, N], if they are stored.

    Raises:
        DistillError: As in `Distiller.forward`.

    """
    distiller.train()
    estimate, losses = distiller(noisy, clean=clean, teacher_estimate=teacher_estimate)
    enhancement = criterion(estimate, clean)["total"]
    student = [p for p in distiller.student.parameters() if p.requires_grad]
    found = norms(enhancement, losses, student)
    weight = _weight(config, found["enhancement"], found["distillation"])
    norm_sum = sum(found[f"distill.{name}"] for name in losses)
    terms = tuple(
        Term(
            name,
            float(loss.detach()),
            found[f"distill.{name}"],
            _ratio(weight * found[f"distill.{name}"], found["enhancement"]),
            _ratio(found[f"distill.{name}"], norm_sum),
        )
        for name, loss in losses.items()
    )
    unreached = tuple(_unreached(distiller.method, losses))
    findings = Findings(
        enhancement=float(enhancement.detach()),
        gradient=found["enhancement"],
        weight=weight,
        terms=terms,
        parameters=_sizes(distiller),
        unreached=unreached,
    )
    return Findings(**{**findings.__dict__, "warnings": tuple(_warnings(findings))})


def _weight(config: DistillConfig, enhancement: float, distillation: float) -> float:
    if config.weight == "balanced":
        return _ratio(config.rho * enhancement, distillation)
    return published_weight(config) if config.weight == "published" else config.weight


def _unreached(method: nn.Module, losses: Mapping[str, Tensor]) -> Iterator[str]:
    named = [(name, p) for name, p in method.named_parameters() if p.requires_grad]
    total = torch.stack([*losses.values()]).sum() if losses else None
    if not named or total is None:
        return
    if not total.requires_grad:
        yield from (name for name, _ in named)
        return
    gradients = torch.autograd.grad(total, [p for _, p in named], retain_graph=True, allow_unused=True)
    for (name, _), gradient in zip(named, gradients, strict=True):
        if gradient is None or not bool(gradient.any()):
            yield name


def _warnings(found: Findings) -> Iterator[str]:
    if not math.isfinite(found.enhancement + found.gradient):
        yield "the enhancement loss or its gradient is not finite"
    for term in found.terms:
        if not math.isfinite(term.value + term.gradient):
            yield f"{term.name}: the loss or its gradient is not finite; the first update would be rejected"
        elif term.value == 0:
            yield f"{term.name}: is 0 on this batch"
        elif term.gradient == 0:
            yield f"{term.name}: has no gradient at the student"
        if term.against > MAX_RATIO:
            yield (
                f"{term.name}: dominates, at {term.against:.0f} times the gradient of the enhancement loss; "
                "lower distill.weight, or set it to balanced"
            )
        if len(found.terms) > 1 and term.share > MAX_SHARE:
            yield f"{term.name}: dominates, with {term.share:.0%} of the gradient of all terms"
    if found.unreached:
        names = ", ".join(found.unreached[:5]) + (", …" if len(found.unreached) > 5 else "")
        yield f"{len(found.unreached)} tensors of the connectors have no gradient: {names}"


def _sizes(distiller: Distiller) -> dict[str, int]:
    return {
        "student": sum(p.numel() for p in distiller.student.parameters()),
        "teacher": sum(p.numel() for p in distiller.teacher.parameters()),
        "connectors": sum(p.numel() for p in distiller.connectors()),
    }


def _ratio(one: float, other: float) -> float:
    """Return one / other, and 0 for 0 / 0."""
    return one / other if other else 0.0 if one == 0 else math.inf
