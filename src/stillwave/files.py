"""Atomic writes: a reader sees the old file or the whole new one, never half of it."""

from __future__ import annotations

import json
import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


@contextmanager
def atomic_file(path: Path | str, *, sync: bool = True) -> Iterator[Path]:
    """Yield a temporary path beside `path`; rename it to `path` when the block succeeds.

    The temporary name keeps the suffix, so that writers that look at it choose the right format. The file gets the
    permissions of any new file there (the umask's), whatever its writer gave it. `sync=False` does not wait for the
    disk, for what can be made again.
    On any exception (Ctrl-C too) the temporary file is removed and `path` is left as it was.
    """
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.stem}.{_own()}.tmp{target.suffix}")
    mode = _mode_of_new_files(temporary)
    try:
        yield temporary
        temporary.chmod(mode)
        if sync:
            _sync(temporary)
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def atomic_folder(path: Path | str) -> Iterator[Path]:
    """As `atomic_file`, for a folder. An existing folder of that name is replaced as a whole."""
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.{_own()}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir()
    try:
        mode = _mode_of_new_files(temporary / ".mode")
        yield temporary
        for file in temporary.rglob("*"):
            if file.is_file():
                file.chmod(mode)
            _sync(file)
        old = target.with_name(f".{target.name}.{_own()}.old")
        if target.exists():
            target.rename(old)
        temporary.rename(target)
        shutil.rmtree(old, ignore_errors=True)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def write_text(path: Path | str, text: str) -> None:
    """Write UTF-8 text atomically."""
    with atomic_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path | str, value: Any) -> None:
    """Write indented JSON atomically. NaN and infinity are refused: they are not JSON."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def _own() -> str:
    """Part of a temporary name that no other process or thread uses now."""
    return f"{os.getpid()}-{threading.get_native_id()}"


def _mode_of_new_files(probe: Path) -> int:
    """The permissions that a new file gets there, found by making `probe` and removing it.

    The umask itself can only be read by setting it, which other threads would notice.
    """
    with probe.open("wb") as handle:
        mode = os.fstat(handle.fileno()).st_mode
    probe.unlink()
    return mode & 0o777


def _sync(path: Path) -> None:
    if path.is_file():
        with path.open("rb") as handle:
            os.fsync(handle.fileno())
