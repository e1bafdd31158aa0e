"""Training and distillation."""

from stillwave.training.interrupts import Stopped
from stillwave.training.loop import TrainingData, train

__all__ = ["Stopped", "TrainingData", "train"]
