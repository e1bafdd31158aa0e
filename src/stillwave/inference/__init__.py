"""Inference: enhance arrays, files, folders and live signals with a trained network."""

from stillwave.inference.backend import Backend, OnnxBackend
from stillwave.inference.batch import FileBatch, FileJob, plan
from stillwave.inference.enhancer import Enhancer, load
from stillwave.inference.files import FileReport, enhance_file, enhance_pipe
from stillwave.inference.parallel import FileResult, Watcher, run
from stillwave.inference.stream import Stream

__all__ = [
    "Backend",
    "Enhancer",
    "FileBatch",
    "FileJob",
    "FileReport",
    "FileResult",
    "OnnxBackend",
    "Stream",
    "Watcher",
    "enhance_file",
    "enhance_pipe",
    "load",
    "plan",
    "run",
]
