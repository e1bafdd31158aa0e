"""Models of transformers, read from a local folder."""

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
    """Return the folder of a model with `files` and one of WEIGHTS. Raises RecogniserError that lists the files."""
    wanted = f"the files of {example}: {', '.join(files)} and {' or '.join(WEIGHTS)}"
    if not path:
        raise RecogniserError(
            f"{kind}: expected {kind}:FOLDER, a folder with {wanted}; nothing is downloaded"
        )
    folder = Path(path).expanduser()
    missing = [name for name in files if not (folder / name).is_file()]
    if not any((folder / name).is_file() for name in WEIGHTS):
        missing.append(" or ".join(WEIGHTS))
    if missing:
        what = f"lacks {', '.join(missing)}" if folder.is_dir() else "is not a folder"
        raise RecogniserError(f"{kind}:{path}: {what}; copy {wanted} there; nothing is downloaded")
    if importlib.util.find_spec("transformers") is None:
        raise RecogniserError(
            f"{kind}:{path}: needs transformers and PyTorch: pip install transformers 'stillwave[train]'"
        )
    return folder


def weights(folder: Path) -> Path:
    """Return the file of weights that transformers reads."""
    return next(folder / name for name in WEIGHTS if (folder / name).is_file())


def fingerprint(file: Path) -> str:
    """Return the first 12 digits of the SHA-256 of a file."""
    digest = hashlib.sha256()
    with file.open("rb") as handle:
        for block in iter(lambda: handle.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()[:12]


def version(folder: Path) -> str:
    """Return the version of the weights and of the package."""
    return f"{fingerprint(weights(folder))}, transformers {importlib.metadata.version('transformers')}"


def read(kind: str, folder: Path, what: Any) -> Any:
    """Call `what.from_pretrained` offline. Raises RecogniserError if the folder cannot be read."""
    try:
        with quiet():
            return what.from_pretrained(str(folder), local_files_only=True)
    except Exception as error:  # its readers raise any exception
        reason = " ".join(str(error).split())[:200]
        raise RecogniserError(f"{kind}:{folder}: cannot be read ({type(error).__name__}: {reason})") from None


@contextmanager
def quiet() -> Iterator[None]:
    """Suppress the messages and progress bars of transformers."""
    import transformers

    log: Any = transformers.utils.logging
    before, bars = log.get_verbosity(), log.is_progress_bar_enabled()
    log.set_verbosity_error()
    log.disable_progress_bar()
    try:
        yield
    finally:
        log.set_verbosity(before)
        if bars:
            log.enable_progress_bar()


@contextmanager
def exact() -> Iterator[None]:
    """Disable gradients and use one thread, so that rounding, and thus transcripts, do not depend on the threads."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.inference_mode():
            yield
    finally:
        torch.set_num_threads(before)
