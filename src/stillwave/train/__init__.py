"""Training and distilling: one loop for both."""

from stillwave.train.interrupts import Stopped
from stillwave.train.loop import train

__all__ = ["Stopped", "train"]
