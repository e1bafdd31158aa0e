"""Where a command writes: folders are created and files checked before the work whose result they take."""

from __future__ import annotations

import os
from pathlib import Path

from stillwave.errors import StillwaveError


def make_folder(folder: Path) -> None:
    """Create a folder, and those above it, for output. Raises StillwaveError if a file is in the way, or it fails."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise StillwaveError(_in_the_way(folder)) from None
    except OSError as error:
        raise StillwaveError(
            f"{folder}: cannot be created ({error.strerror or error}); give a folder that can be written"
        ) from None
    _check_writable(folder)


def check_output_file(file: Path) -> None:
    """Raise StillwaveError if `file` cannot be written, before the work whose result it takes; nothing is created."""
    if file.is_dir():
        raise StillwaveError(f"{file}: is a folder; give the name of a file")
    above = next(path for path in file.absolute().parents if os.path.lexists(path))
    if not above.is_dir():
        raise StillwaveError(_in_the_way(above))
    _check_writable(above)


def _check_writable(folder: Path) -> None:
    if not os.access(folder, os.W_OK | os.X_OK):
        raise StillwaveError(f"{folder}: cannot be written; give another folder, or change its permissions")


def _in_the_way(folder: Path) -> str:
    """Return that the last existing part of a path is no folder."""
    found = next(path for path in (folder, *folder.parents) if os.path.lexists(path))
    what = "is a broken link" if not found.exists() else "is a file"
    return f"{found}: {what}; expected a folder"
