"""A folder of files with a size limit, shared by processes.

Files are written atomically and one at a time under a lock, so that the limit holds for all processes. They are not
synced to the disk: readers must detect damaged files.

When the limit is reached, the least recently used files are removed, but none that this object has used itself. A
training reads the same long sequence once: plain least-recently-used removal would remove each file of a sequence
longer than the limit just before it is read. So the beginning of the sequence is kept, and files of other data are
removed.
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


class BoundedFileCache:
    """Files by name (hexadecimal).

    `lock_timeout`: seconds to wait for the lock; after that a file is not stored.
    """

    def __init__(self, folder: Path, limit: int, suffix: str, lock_timeout: float = 10.0) -> None:
        self.folder, self.limit, self.suffix = folder, limit, suffix
        self._lock = FileLock(folder / _LOCK, timeout=lock_timeout)
        self._opened = time.time() - 1  # the clock of the file system may lag
        self._counted = False
        self._oldest: Iterator[Path] | None = None

    def path(self, name: str) -> Path:
        """Return the path of a file, whether it exists or not."""
        return self.folder / name[:2] / f"{name}{self.suffix}"

    def touch(self, name: str) -> None:
        """Mark a file as used; errors are ignored."""
        try:
            os.utime(self.path(name))
        except OSError:
            return

    def put(self, name: str, content: bytes) -> bool:
        """Store or replace a file. Return False if there is no room. Raise OSError if writing fails."""
        try:
            with self._lock:
                return self._put(self.path(name), content)
        except Timeout:
            return False

    def total(self) -> int:
        """Count the size of all files in bytes."""
        return sum(_size(path) for path in self._files())

    def _put(self, path: Path, content: bytes) -> bool:
        total = self._known_total() - _size(path)
        total = self._make_room(total, len(content), path)
        if total + len(content) > self.limit:
            return False
        # Counted before it is written, so that a killed process leaves a total that is too high, not too low.
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
        """Count all files once, then read the total that the processes record."""
        if self._counted:
            try:
                return int((self.folder / _TOTAL).read_text())
            except (OSError, ValueError):
                pass
        for leftover in self.folder.glob(
            "??/.*.tmp*"
        ):  # left by killed processes, since this one holds the lock
            leftover.unlink(missing_ok=True)
        self._counted = True
        return self.total()

    def _note(self, total: int) -> None:
        (self.folder / _TOTAL).write_text(str(total))

    def _make_room(self, total: int, required: int, kept: Path) -> int:
        """Remove unused files until `required` bytes fit, if possible. Return the new total."""
        if total + required <= self.limit or required > self.limit:
            return total
        if self._oldest is None:
            self._oldest = iter(sorted(self._files(), key=_last_use))
        for path in self._oldest:
            if path != kept and 0 < _last_use(path) < self._opened:
                total -= _size(path)
                path.unlink(missing_ok=True)
                self._note(total)
                if total + required <= self.limit:
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
