"""Errors that a user can correct, as one sentence without a traceback."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class StillwaveError(Exception):
    """Bad input; the message names the file or key, what is wrong and what would be right."""


class AudioError(StillwaveError):
    """A recording that cannot be used."""


class RecipeError(StillwaveError):
    """A recipe with an unknown key, a wrong value or a missing file."""


class CheckpointError(StillwaveError):
    """A checkpoint that is missing, truncated, or does not match its card."""


class StateError(StillwaveError):
    """A streaming state that does not fit the network or the block."""


class MetricError(StillwaveError):
    """A metric that does not exist, or has no value for these signals (the message gives the reason)."""


class MissingExtraError(StillwaveError, ImportError):
    """A feature whose optional dependencies are not installed.

    Attributes:
        feature: What needs them.
        extra: The extra to install, as in `pip install 'stillwave[extra]'`.

    """

    def __init__(self, feature: str, extra: str) -> None:
        super().__init__(f"{feature} needs the '{extra}' extra: pip install 'stillwave[{extra}]'")
        self.feature, self.extra = feature, extra

    def __reduce__(self) -> tuple[type[MissingExtraError], tuple[str, str]]:
        return type(self), (self.feature, self.extra)


KEPT = "exists already; it is replaced only with overwrite=True"
"""The error for an existing output file."""


def on_terminal(message: str) -> str:
    """Replace the Python option in a message by that of the command line."""
    return message.replace(KEPT, KEPT.replace("overwrite=True", "--overwrite"))


def fault_text(error: BaseException) -> str:
    """Return an exception as one line: its message, with the type if it is not a `StillwaveError`.

    Examples:
        >>> fault_text(MemoryError())
        'MemoryError'
        >>> fault_text(StillwaveError("a.wav: the file is empty"))
        'a.wav: the file is empty'

    """
    message = " ".join(str(error).split())
    if isinstance(error, StillwaveError) and message:
        return message
    return ": ".join(part for part in (type(error).__name__, message) if part)


def nearest(name: str, known: Iterable[str]) -> str:
    """Return a hint for a mistyped name: the nearest known names, or all of them.

    Examples:
        >>> nearest("enhence", ["enhance", "train"])
        "did you mean 'enhance'?"
        >>> nearest("zzz", ["b", "a"])
        'known: a, b'

    """
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
    if close:
        return "did you mean " + " or ".join(f"'{n}'" for n in close) + "?"
    return "known: " + ", ".join(names)
