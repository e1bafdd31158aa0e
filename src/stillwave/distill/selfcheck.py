"""What a distillation would do at its first step, and what in it looks wrong: see `stillwave check`."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from stillwave.distill.balance import norms
from stillwave.distill.distiller import Distiller
from stillwave.distill.schedule import published_weight
from stillwave.losses import EnhancementLoss
from stillwave.schema import DistillConfig

LOUD = 10.0
"""A term is too loud if λ times its gradient is so many times that of the enhancement loss,"""
ALONE = 0.95
"""or if it has so great a share of the gradients of all terms together."""


@dataclass(frozen=True)
class Term:
    """One loss of the method: its size, the norm of its gradient at the student, and what that amounts to."""

    name: str
    value: float
    gradient: float
    against: float
    """λ · gradient, over the enhancement loss's gradient."""
    share: float
    """Of the sum of all terms' gradient norms."""


@dataclass(frozen=True)
class Findings:
    """Of one batch, before any update."""

    enhancement: float
    gradient: float
    """Of the enhancement loss, at the student."""
    weight: float
    """λ, as it would be after this batch."""
    terms: tuple[Term, ...]
    parameters: Mapping[str, int]
    """Of student, teacher and connectors."""
    unreached: tuple[str, ...]
    """Connectors that get no gradient."""
    warnings: tuple[str, ...] = field(default=())


def examine(
    distiller: Distiller, criterion: EnhancementLoss, config: DistillConfig, noisy: Tensor, clean: Tensor
) -> Findings:
    """Forward once in training mode, and backward for each loss; no weight moves. Raises DistillError."""
    distiller.train()
    estimate, losses = distiller(noisy, clean=clean)
    enhancement = criterion(estimate, clean)["total"]
    student = [p for p in distiller.student.parameters() if p.requires_grad]
    found = norms(enhancement, losses, student)
    weight = _weight(config, found["enhancement"], found["distillation"])
    together = sum(found[f"distill.{name}"] for name in losses)
    terms = tuple(
        Term(
            name,
            float(loss.detach()),
            found[f"distill.{name}"],
            _ratio(weight * found[f"distill.{name}"], found["enhancement"]),
            _ratio(found[f"distill.{name}"], together),
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
            yield f"{term.name}: the loss or its gradient is not finite; the first update would be refused"
        elif term.value == 0:
            yield f"{term.name}: is 0 on this batch, so it teaches nothing"
        elif term.gradient == 0:
            yield f"{term.name}: never reaches the student (its gradient there is 0)"
        if term.against > LOUD:
            yield (
                f"{term.name}: dominates, at {term.against:.0f} times the gradient of the enhancement loss; "
                "lower distill.weight, or set it to balanced"
            )
        if len(found.terms) > 1 and term.share > ALONE:
            yield f"{term.name}: dominates, with {term.share:.0%} of the gradient of all terms"
    if found.unreached:
        names = ", ".join(found.unreached[:5]) + (", …" if len(found.unreached) > 5 else "")
        yield f"{len(found.unreached)} tensors of the connectors get no gradient: {names}"


def _sizes(distiller: Distiller) -> dict[str, int]:
    return {
        "student": sum(p.numel() for p in distiller.student.parameters()),
        "teacher": sum(p.numel() for p in distiller.teacher.parameters()),
        "connectors": sum(p.numel() for p in distiller.connectors()),
    }


def _ratio(one: float, other: float) -> float:
    """Nothing over nothing is nothing."""
    return one / other if other else 0.0 if one == 0 else math.inf
