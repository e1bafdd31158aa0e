"""No distillation: L = L_SE, the reference of every comparison. In a run the teacher is not even loaded."""

from __future__ import annotations

from torch import Tensor

from stillwave.distill.method import BatchInputs, Method, ModelOutputs, Shapes, register
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

    def losses(self, student: ModelOutputs, teacher: ModelOutputs, given: BatchInputs) -> dict[str, Tensor]:
        """No loss."""
        return {}
