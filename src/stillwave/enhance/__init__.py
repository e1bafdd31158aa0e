"""Denoise arrays, files, folders and pipes with a trained network."""

from stillwave.enhance.batch import Job, Plan, plan
from stillwave.enhance.enhancer import Enhancer, load
from stillwave.enhance.files import FileReport, enhance_file, enhance_pipe
from stillwave.enhance.parallel import Outcome, Watcher, run

__all__ = [
    "Enhancer",
    "FileReport",
    "Job",
    "Outcome",
    "Plan",
    "Watcher",
    "enhance_file",
    "enhance_pipe",
    "load",
    "plan",
    "run",
]
