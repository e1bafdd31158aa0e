"""Gradient norms by loss term, and loss terms that stay at zero; training itself does not change."""

from __future__ import annotations

from collections.abc import Mapping

from stillwave.schema import Recipe

SILENT = 50
"""A term that is exactly 0 for this many updates in a row is reported."""


class GradientMonitor:
    """Measures at the first update, at the one that fixes λ, at each that is validated, and at the last.

    A measurement costs one backward pass for each term. All processes must measure at the same updates.
    """

    def __init__(self, recipe: Recipe) -> None:
        self.every, self.last = recipe.train.validate_every, recipe.train.steps
        balanced = recipe.distill.balance_steps if recipe.distill is not None else 1
        self.special = {1, balanced, self.last}
        self._zeros: dict[str, int] = {}

    def due(self, step: int) -> bool:
        """Return whether update `step` (from 0) is measured."""
        return step + 1 in self.special or (step + 1) % self.every == 0

    def silent(self, losses: Mapping[str, float]) -> list[str]:
        """Count zeros of distillation terms; return the terms that have just reached `SILENT` in a row."""
        for name, value in losses.items():
            if name.startswith("distill."):
                self._zeros[name] = self._zeros.get(name, 0) + 1 if value == 0 else 0
        return [name for name in losses if self._zeros.get(name) == SILENT]
