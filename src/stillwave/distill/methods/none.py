"""No distillation: L = L_SE, the reference of every comparison. In a run the teacher is not even loaded."""

from __future__ import annotations

from torch import Tensor

from stillwave.distill.method import Given, Method, Observed, Shapes, register
from stillwave.schema.methods import NoneConfig


@register("none")
class Nothing(Method):
    """Compares nothing."""

    Config = NoneConfig
    title = "nothing: the student alone"
    uses_features = False

    @classmethod
    def build(cls, config: NoneConfig, shapes: Shapes) -> Nothing:
        """Never refuses."""
        return cls()

    def losses(self, student: Observed, teacher: Observed, given: Given) -> dict[str, Tensor]:
        """No loss."""
        return {}
