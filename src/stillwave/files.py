"""Atomic writes, locks, folder listings and file names that are not UTF-8."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from stillwave.errors import StillwaveError

LOCK = ".lock"
"""Name of the file that `locked` holds in a folder."""
_LONGEST_SUFFIX = 16
"""Longest suffix in bytes that a temporary name keeps."""


@contextmanager
def atomic_file(path: Path | str, *, replace: bool = True, sync: bool = True) -> Iterator[Path]:
    """Yield a temporary path in the folder of `path`; rename it to `path` if the `with` block succeeds.

    The temporary name is short and unique, and keeps the suffix, by which writers choose a format. On any exception
    (Ctrl-C too) the temporary file is removed and `path` stays unchanged. The file gets the permissions of the umask.

    Args:
        path: Path of the file; folders above it are created.
        replace: Replace an existing file.
        sync: Wait until the data is on the disk; False for data that can be generated again.

    Raises:
        FileExistsError: `path` exists, without `replace`.

    """
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    suffix = target.suffix if len(os.fsencode(target.suffix)) <= _LONGEST_SUFFIX else ""
    temporary = _temporary(target, f".tmp{suffix}")
    try:
        mode = _mode_of_new_files(temporary)
        yield temporary
        temporary.chmod(mode)
        if sync:
            _sync(temporary)
        if replace:
            temporary.replace(target)
        else:
            _move_to_free_name(temporary, target)
    except OSError as error:
        _name_target(error, temporary, target)
        raise
    finally:
        with suppress(OSError):  # a read-only file system
            temporary.unlink(missing_ok=True)


def _name_target(error: OSError, temporary: Path, target: Path) -> None:
    """Name the path that the user asked for in an error that names the temporary one, or none (a full disk)."""
    if error.filename is None and error.errno is not None:
        error.filename = str(target)
    elif isinstance(error.filename, str) and Path(error.filename).is_relative_to(temporary):
        error.filename = str(target / Path(error.filename).relative_to(temporary))


def _temporary(target: Path, ending: str) -> Path:
    return target.with_name(f".{_host()}-{os.getpid()}-{secrets.token_hex(6)}{ending}")


@cache
def _host() -> str:
    """Return a hash of what makes a process number unique: the machine, its last start and the container."""
    parts = [platform.node()]
    with suppress(OSError):  # Linux only
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text())
        parts.append(os.readlink("/proc/self/ns/pid"))  # noqa: PTH115 # no path
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:8]


_LEFT = re.compile(r"\.([0-9a-f]{8})-(\d+)-[0-9a-f]{12}\.tmp(\..*)?")


def remove_left_over(folder: Path) -> None:
    """Remove temporary files of `atomic_file` whose process was killed.

    Files of running processes, of other machines and of other containers are kept.
    """
    if os.name != "posix":
        return
    with suppress(OSError):  # a folder that does not exist or is read-only
        for path in folder.iterdir():
            found = _LEFT.fullmatch(path.name)
            if found and found[1] == _host() and not _runs(int(found[2])) and path.is_file():
                path.unlink(missing_ok=True)


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):  # a process of another user; not a process number
        return True
    return True


def _move_to_free_name(temporary: Path, target: Path) -> None:
    """Rename `temporary` to `target`; raise FileExistsError if that exists."""
    try:
        os.link(temporary, target)
    except FileExistsError:
        raise
    except OSError:  # a file system without hard links
        if os.path.lexists(target):
            raise FileExistsError(f"{target}: exists already") from None
        temporary.replace(target)


@contextmanager
def atomic_folder(path: Path | str) -> Iterator[Path]:
    """Yield a temporary folder; rename it to `path` if the `with` block succeeds. An existing folder is replaced."""
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = _temporary(target, ".tmp")
    try:
        temporary.mkdir()
        mode = _mode_of_new_files(temporary / ".mode")
        yield temporary
        for file in temporary.rglob("*"):
            if file.is_file():
                file.chmod(mode)
            _sync(file)
        old = _temporary(target, ".old")
        if target.exists():
            target.rename(old)
        temporary.rename(target)
        shutil.rmtree(old, ignore_errors=True)
    except OSError as error:
        _name_target(error, temporary, target)
        raise
    except StillwaveError as error:
        error.args = tuple(str(part).replace(str(temporary), str(target)) for part in error.args)
        raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


@contextmanager
def locked(folder: Path, busy: str) -> Iterator[None]:
    """Hold the lock of a folder, which also ends with the process.

    Raises StillwaveError with the sentence `busy` where another process or thread holds it.
    """
    from filelock import FileLock, Timeout  # in the extra `train`

    with ExitStack() as stack:
        try:
            stack.enter_context(FileLock(folder / LOCK, timeout=0))
        except Timeout:
            raise StillwaveError(f"{folder}: {busy}") from None
        yield


def sha256(file: Path) -> str:
    """Return the hexadecimal SHA-256 of a file."""
    with file.open("rb") as handle:
        digest = hashlib.sha256()
        while block := handle.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def write_text(path: Path | str, text: str) -> None:
    r"""Write UTF-8 text atomically; bytes of file names that are not UTF-8 become escapes such as `\udce9`."""
    with atomic_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="backslashreplace")


def write_json(path: Path | str, value: Any) -> None:
    """Write indented JSON atomically. Raises ValueError for NaN and infinity."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: Path | str) -> dict[str, Any] | None:
    """Return the JSON object in a file; None if the file is missing, unreadable or holds something else."""
    try:
        found = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def _mode_of_new_files(probe: Path) -> int:
    """Return the permissions of new files, by creating `probe`: reading the umask would change it for other threads."""
    with probe.open("wb") as handle:
        mode = os.fstat(handle.fileno()).st_mode
    probe.unlink()
    return mode & 0o777


def _sync(path: Path) -> None:
    if path.is_file():
        with path.open("rb") as handle:
            os.fsync(handle.fileno())


@dataclass
class Walk:
    """Files of a folder, sorted by path, and what was skipped, with the reason."""

    files: list[Path] = field(default_factory=list)
    skipped: list[tuple[Path, str]] = field(default_factory=list)


def walk(folder: Path | str) -> Walk:
    """List the files of a folder and its sub-folders, linked ones too, in a fixed order.

    Skipped are links to a folder above, hidden files and folders (leading dot), broken links, folders that cannot be
    read, pipes and devices. Raises OSError only for `folder` itself.
    """
    found = Walk()
    _walk(Path(folder), (), found)
    return found


def _walk(folder: Path, above: tuple[tuple[int, int], ...], found: Walk) -> None:
    status = folder.stat()
    chain = (*above, (status.st_dev, status.st_ino))
    for path in sorted(folder.iterdir()):
        try:
            if path.name.startswith("."):
                found.skipped.append((path, "hidden folder" if path.is_dir() else "hidden file"))
            elif path.is_dir():
                status = path.stat()
                if (status.st_dev, status.st_ino) in chain:
                    found.skipped.append((path, "links to a folder that it lies in"))
                else:
                    _walk(path, chain, found)
            elif path.is_file():
                found.files.append(path)
            elif path.is_symlink():
                found.skipped.append((path, "broken link"))
            else:
                found.skipped.append((path, "neither a file nor a folder"))
        except OSError as error:
            found.skipped.append((path, f"cannot be read: {error.strerror or error}"))


def identity(path: Path | str) -> object:
    """Return a value that is equal for all paths and links of one file; the path itself if there is no file."""
    try:
        status = os.stat(path)  # noqa: PTH116 # called for every recording of a run
    except OSError:
        return path
    return status.st_dev, status.st_ino


def printable(text: str) -> str:
    r"""Return text that can be encoded as UTF-8; other bytes of file names become escapes, which are valid in JSON.

    Examples:
        >>> printable("caf\udce9.wav")
        'caf\\udce9.wav'

    """
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def is_unicode(path: Path | str) -> bool:
    """Return whether the name of a file can be written to a UTF-8 text file."""
    return printable(os.fspath(path)) == os.fspath(path)


def as_path(path: object, name: str = "path") -> Path:
    """Return text, bytes or a `Path` as a `Path`, with `~` expanded. Raises StillwaveError for other types."""
    if not isinstance(path, (str, bytes, os.PathLike)):
        raise StillwaveError(f"{name}: expected the path of a file or folder, got {path!r}")
    return Path(os.path.expanduser(os.fsdecode(path)))  # noqa: PTH111 # Path.expanduser fails for unknown users


def native(path: Path | str) -> str | bytes:
    """Return a path for C libraries: on POSIX the bytes of the name, which may not be UTF-8."""
    return os.fsencode(path) if os.name == "posix" else os.fspath(path)
