"""Inference: enhance arrays, files, folders and live signals with a trained network."""

from stillwave.inference.backend import Engine, OnnxEngine
from stillwave.inference.batch import Job, Plan, plan
from stillwave.inference.enhancer import Enhancer, load
from stillwave.inference.files import FileReport, enhance_file, enhance_pipe
from stillwave.inference.parallel import Outcome, Watcher, run
from stillwave.inference.stream import Stream

__all__ = [
    "Engine",
    "Enhancer",
    "FileReport",
    "Job",
    "OnnxEngine",
    "Outcome",
    "Plan",
    "Stream",
    "Watcher",
    "enhance_file",
    "enhance_pipe",
    "load",
    "plan",
    "run",
]
