"""Training and distilling: one loop for both."""

from stillwave.training.interrupts import Stopped
from stillwave.training.loop import train

__all__ = ["Stopped", "train"]
