"""A file that one thread writes while its request sends it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from stillwave.web.jobs import Cancellation


@dataclass(frozen=True)
class Head:
    """What is known of an output before its first sample."""

    name: str
    media_type: str
    size: int
    headers: dict[str, str]


class Output:
    """A growing file: written in a thread, read by the event loop.

    Args:
        path: Path of the file.
        cancellation: Ends the writer.

    """

    def __init__(self, path: Path, cancellation: Cancellation) -> None:
        self.path, self.cancellation = path, cancellation
        self.head: Head | None = None
        self.written = 0
        """Bytes that can be read."""
        self.changed = asyncio.Event()
        """Set whenever there is something new."""
        self._loop = asyncio.get_running_loop()
        self._handle: BinaryIO | None = None

    def begin(self, head: Head) -> None:
        """State what `write` will append."""
        self._handle = self.path.open("wb")
        self.head = head
        self._notify()

    def write(self, data: bytes) -> None:
        """Append to the file. Raises JobCancelledError."""
        assert self._handle is not None
        self.cancellation.check()
        self._handle.write(data)
        self._handle.flush()
        self.written += len(data)
        self._notify()

    def adopt(self, path: Path, name: str, media_type: str, headers: dict[str, str]) -> None:
        """Take a complete file as the output."""
        self.path, self.written = path, path.stat().st_size
        self.head = Head(name, media_type, self.written, headers)
        self._notify()

    def close(self) -> None:
        """Close the file."""
        if self._handle is not None:
            self._handle.close()

    def _notify(self) -> None:
        self._loop.call_soon_threadsafe(self.changed.set)
