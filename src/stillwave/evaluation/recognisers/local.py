"""Models through transformers, from a folder on this machine alone."""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from stillwave.evaluation.recognisers.contract import RecogniserError

WEIGHTS = ("model.safetensors", "pytorch_model.bin")


def find(kind: str, path: str, files: tuple[str, ...], example: str) -> Path:
    """A folder that holds a model: `files` and one of WEIGHTS. Raises RecogniserError that says what to put where."""
    wanted = f"the files of {example}: {', '.join(files)} and {' or '.join(WEIGHTS)}"
    if not path:
        raise RecogniserError(f"{kind}: write {kind}:FOLDER, a folder with {wanted}; nothing is downloaded")
    folder = Path(path).expanduser()
    missing = [name for name in files if not (folder / name).is_file()]
    if not any((folder / name).is_file() for name in WEIGHTS):
        missing.append(" or ".join(WEIGHTS))
    if missing:
        what = f"lacks {', '.join(missing)}" if folder.is_dir() else "is no folder"
        raise RecogniserError(f"{kind}:{path}: {what}; put {wanted} there; nothing is downloaded")
    if importlib.util.find_spec("transformers") is None:
        raise RecogniserError(
            f"{kind}:{path}: needs transformers and PyTorch: pip install transformers 'stillwave[train]'"
        )
    return folder


def weights(folder: Path) -> Path:
    """The file that transformers reads."""
    return next(folder / name for name in WEIGHTS if (folder / name).is_file())


def fingerprint(file: Path) -> str:
    """The first of the SHA-256 of a file, which is a model's only sure name."""
    digest = hashlib.sha256()
    with file.open("rb") as handle:
        for block in iter(lambda: handle.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()[:12]


def version(folder: Path) -> str:
    """That of the weights and of the package."""
    return f"{fingerprint(weights(folder))}, transformers {importlib.metadata.version('transformers')}"


def read(kind: str, folder: Path, what: Any) -> Any:
    """`what.from_pretrained`, offline. Raises RecogniserError where the folder is not what it should be."""
    try:
        with quiet():
            return what.from_pretrained(str(folder), local_files_only=True)
    except Exception as error:  # it raises whatever its readers raise
        reason = " ".join(str(error).split())[:200]
        raise RecogniserError(f"{kind}:{folder}: cannot be read ({type(error).__name__}: {reason})") from None


@contextmanager
def quiet() -> Iterator[None]:
    """Neither transformers' advice nor its progress bars."""
    import transformers

    speech: Any = transformers.utils.logging
    before, bars = speech.get_verbosity(), speech.is_progress_bar_enabled()
    speech.set_verbosity_error()
    speech.disable_progress_bar()
    try:
        yield
    finally:
        speech.set_verbosity(before)
        if bars:
            speech.enable_progress_bar()


@contextmanager
def exact() -> Iterator[None]:
    """No gradients, and one thread: roundings, and so in the end words, do not depend on the number of threads."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.inference_mode():
            yield
    finally:
        torch.set_num_threads(before)
