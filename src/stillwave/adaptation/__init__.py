"""Adapt a network to a place or a microphone, from noisy recordings without clean references."""

from stillwave.adaptation.flow import adapt
from stillwave.adaptation.settings import Adapted, Settings

__all__ = ["Adapted", "Settings", "adapt"]
