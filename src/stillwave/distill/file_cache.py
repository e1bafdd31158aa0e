"""A folder of files with a bound on their bytes, shared by any number of processes.

Files appear whole or not at all, and are written one after the other under a lock, so that the bound holds whoever
writes. Nothing is synced to the disk: whoever reads a file must be able to tell that it is damaged.

When the bound is reached, the file whose last use lies furthest back makes room, but none that this object has used
itself. A training reads the same long sequence once: with the plain rule (drop what was used least recently) a
sequence longer than the bound would drop every file just before its turn. So the beginning of the sequence stays,
and what runs of other data left behind goes.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from stillwave.files import atomic_file

_LOCK, _TOTAL = ".lock", ".total"
_PATIENCE = 10.0
"""Seconds to wait for the lock; then the file is not kept."""


class BoundedFileCache:
    """Files by name (hexadecimal) in `folder`, of `limit` bytes together."""

    def __init__(self, folder: Path, limit: int, suffix: str) -> None:
        self.folder, self.limit, self.suffix = folder, limit, suffix
        self._lock = FileLock(folder / _LOCK, timeout=_PATIENCE)
        self._opened = time.time() - 1  # files are stamped by a clock that may lag
        self._counted = False
        self._oldest: Iterator[Path] | None = None

    def path(self, name: str) -> Path:
        """Where a file of this name stands, or would."""
        return self.folder / name[:2] / f"{name}{self.suffix}"

    def touch(self, name: str) -> None:
        """Say that a file is in use. One that is gone, or a folder that cannot be written, does no harm."""
        try:
            os.utime(self.path(name))
        except OSError:
            return

    def put(self, name: str, content: bytes) -> bool:
        """Keep a file, in place of one of its name. False where there is no room. Raises OSError."""
        try:
            with self._lock:
                return self._put(self.path(name), content)
        except Timeout:
            return False

    def total(self) -> int:
        """Bytes of all files, counted anew."""
        return sum(_size(path) for path in self._files())

    def _put(self, path: Path, content: bytes) -> bool:
        total = self._known_total() - _size(path)
        total = self._make_room(total, len(content), path)
        if total + len(content) > self.limit:
            return False
        # Counted before it is there: whatever a killed process leaves is too high a count, until the next recount.
        self._note(total + len(content))
        try:
            with atomic_file(path, sync=False) as temporary:
                temporary.write_bytes(content)
        except BaseException:
            with contextlib.suppress(OSError):
                self._note(total)
            raise
        return True

    def _known_total(self) -> int:
        """Counted file by file once; then as the processes note it."""
        if self._counted:
            try:
                return int((self.folder / _TOTAL).read_text())
            except (OSError, ValueError):
                pass
        for left in self.folder.glob("??/.*.tmp*"):  # nobody else writes now: a killed process left them
            left.unlink(missing_ok=True)
        self._counted = True
        return self.total()

    def _note(self, total: int) -> None:
        (self.folder / _TOTAL).write_text(str(total))

    def _make_room(self, total: int, wanted: int, spared: Path) -> int:
        """Remove files out of use until `wanted` bytes fit, if that can be. The total then."""
        if total + wanted <= self.limit or wanted > self.limit:
            return total
        if self._oldest is None:
            self._oldest = iter(sorted(self._files(), key=_last_use))
        for path in self._oldest:
            if path != spared and 0 < _last_use(path) < self._opened:
                total -= _size(path)
                path.unlink(missing_ok=True)
                self._note(total)
                if total + wanted <= self.limit:
                    break
        return total

    def _files(self) -> Iterator[Path]:
        return self.folder.glob(f"??/[!.]*{self.suffix}")


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _last_use(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0
