"""What a run looks at on its way, without moving it: gradients of each term, and terms that stay at zero."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import nn

from stillwave.distill.balance import norms
from stillwave.schema import Recipe
from stillwave.training.objective import Terms

SILENT = 50
"""A term that is exactly 0 for so many updates in a row is reported."""


class GradientMonitor:
    """Looks at the first update, at the one at which λ is found, and at each that is validated.

    Each look costs a backward pass a term. Every process must look at the same updates.
    """

    def __init__(self, recipe: Recipe) -> None:
        self.every, self.last = recipe.train.validate_every, recipe.train.steps
        found = recipe.distill.balance_steps if recipe.distill is not None else 1
        self.special = {1, found, self.last}
        self._zeros: dict[str, int] = {}

    def due(self, step: int) -> bool:
        """Whether update `step` (from 0) is looked at."""
        return step + 1 in self.special or (step + 1) % self.every == 0

    def look(self, terms: Terms, parameters: Sequence[nn.Parameter]) -> dict[str, float]:
        """Gradient norms at the student, of losses as they are: λ not in them."""
        return norms(terms.enhancement["total"], terms.distillation, parameters)

    def silent(self, losses: Mapping[str, float]) -> list[str]:
        """The terms of which it is time to say that they are silent; once each (in one sitting)."""
        for name, value in losses.items():
            if name.startswith("distill."):
                self._zeros[name] = self._zeros.get(name, 0) + 1 if value == 0 else 0
        return [name for name in losses if self._zeros.get(name) == SILENT]
