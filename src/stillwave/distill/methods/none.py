"""No distillation: L = L_SE, the baseline of every comparison. The teacher is not loaded."""

from __future__ import annotations

from torch import Tensor

from stillwave.distill.method import BatchInputs, Method, ModelOutputs, Shapes, register
from stillwave.schema.methods import NoneConfig


@register("none")
class Nothing(Method):
    """No loss."""

    Config = NoneConfig
    title = "no distillation: the baseline"
    uses_features = False

    @classmethod
    def build(cls, config: NoneConfig, shapes: Shapes) -> Nothing:
        """Return the method."""
        return cls()

    def losses(self, student: ModelOutputs, teacher: ModelOutputs, inputs: BatchInputs) -> dict[str, Tensor]:
        """Return no loss."""
        return {}
