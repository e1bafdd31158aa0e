"""Read single keys from the terminal without blocking."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def keyboard() -> Iterator[Callable[[], str]]:
    """Yield a function that returns the key that was pressed, or "". Without a terminal it always returns ""."""
    if not sys.stdin.isatty():
        yield lambda: ""
    elif sys.platform == "win32":
        import msvcrt

        yield lambda: msvcrt.getwch() if msvcrt.kbhit() else ""
    else:
        with _unbuffered() as pressed:
            yield pressed


@contextmanager
def _unbuffered() -> Iterator[Callable[[], str]]:
    import os
    import select
    import termios
    import tty

    terminal = sys.stdin.fileno()
    before = termios.tcgetattr(terminal)

    def pressed() -> str:
        # Unbuffered: `select` does not see keys in Python's buffer.
        waiting = select.select([terminal], [], [], 0)[0]
        return os.read(terminal, 1).decode("latin-1") if waiting else ""

    try:
        tty.setcbreak(terminal)  # Ctrl-C still interrupts
        yield pressed
    finally:
        termios.tcsetattr(terminal, termios.TCSADRAIN, before)
