"""Causal networks on live sound, without PyTorch: blocks of any size in and out, a constant delay, a state to keep."""

from stillwave.runtime.engine import Engine, OnnxEngine
from stillwave.runtime.stream import Stream

__all__ = ["Engine", "OnnxEngine", "Stream"]
