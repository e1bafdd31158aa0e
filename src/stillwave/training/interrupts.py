"""Ctrl-C, SIGTERM and SIGHUP: the first ends a run after the current step, with a checkpoint; the second at once."""

from __future__ import annotations

import signal
import threading
from types import FrameType

from stillwave.errors import StillwaveError


class Stopped(StillwaveError):  # noqa: N818 - not an error: the user asked for it
    """A signal ended the run, with a checkpoint. `code` is the exit code of a shell, such as 130 or 143."""

    def __init__(self, message: str, number: int) -> None:
        super().__init__(message)
        self.code = 128 + number


class Interrupts:
    """Context manager that catches signals; `received` is the number of the first one, or 0."""

    def __init__(self) -> None:
        self.received = 0
        self._before: dict[int, object] = {}

    def __enter__(self) -> Interrupts:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._note)
            hangup = getattr(signal, "SIGHUP", None)  # not on Windows
            if hangup is not None and signal.getsignal(hangup) is not signal.SIG_IGN:  # as under nohup
                self._before[hangup] = signal.signal(hangup, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]
        self._before.clear()

    def _note(self, number: int, _: FrameType | None) -> None:
        if self.received:
            raise KeyboardInterrupt
        self.received = number
