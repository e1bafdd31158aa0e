"""Private temporary folders, which are removed after a request and, after a crash, at the next start."""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from stillwave.errors import StillwaveError

_LOCK = ".lock"


class Spool:
    """A folder of this process, with a folder for each request; only its user can read them.

    The folder holds a lock that ends with the process. Folders whose lock is free belong to processes that were
    killed, and are removed.

    Args:
        root: Folder for all processes; by default `stillwave-web-UID` in the system's folder for temporary files.

    Raises:
        StillwaveError: `root` belongs to another user or can be read by others.

    """

    def __init__(self, root: Path | None = None) -> None:
        self.root = root or default_root()
        _make_private(self.root)
        with FileLock(self.root / _LOCK, timeout=30):
            self._remove_left_over()
            self.path = Path(tempfile.mkdtemp(prefix="process-", dir=self.root))
            self._lock = FileLock(self.path / _LOCK, timeout=0)
            self._lock.acquire()

    def _remove_left_over(self) -> None:
        for folder in self.root.glob("process-*"):
            lock = FileLock(folder / _LOCK, timeout=0)
            try:
                lock.acquire()
            except (Timeout, OSError):
                continue
            shutil.rmtree(folder, ignore_errors=True)
            lock.release()
            shutil.rmtree(folder, ignore_errors=True)  # where an open lock file cannot be removed

    @contextmanager
    def folder(self) -> Iterator[Path]:
        """Yield a new folder, which is removed at the end."""
        path = Path(tempfile.mkdtemp(prefix="request-", dir=self.path))
        try:
            yield path
        finally:
            shutil.rmtree(path, ignore_errors=True)

    def close(self) -> None:
        """Remove the folder of this process."""
        shutil.rmtree(self.path, ignore_errors=True)
        self._lock.release()
        shutil.rmtree(self.path, ignore_errors=True)


def default_root() -> Path:
    """Return the folder that the processes of this user share."""
    user = os.getuid() if hasattr(os, "getuid") else "user"
    return Path(tempfile.gettempdir()) / f"stillwave-web-{user}"


def _make_private(root: Path) -> None:
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = root.lstat()
    if os.name != "posix":
        return
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise StillwaveError(
            f"{root}: must be a folder that only the user of the service can open; remove it, or set TMPDIR to "
            "another folder"
        )
