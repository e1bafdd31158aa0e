"""What a user can put right is raised as a `StillwaveError`: one sentence, no traceback."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class StillwaveError(Exception):
    """Bad input: names the file or key, what was wrong and what would be right."""


class AudioError(StillwaveError):
    """A recording that cannot be used."""


class RecipeError(StillwaveError):
    """A recipe with an unknown key, a wrong value or a missing file."""


class CheckpointError(StillwaveError):
    """A checkpoint that is absent, cut short, or not what it says it is."""


class StateError(StillwaveError):
    """A stream's state that does not belong to the network or the block it meets."""


class MetricError(StillwaveError):
    """A metric that does not exist, or has no value for these signals (the message is the reason)."""


class MissingExtraError(StillwaveError, ImportError):
    """A feature whose optional dependencies are not installed."""

    def __init__(self, feature: str, extra: str) -> None:
        super().__init__(f"{feature} needs the '{extra}' extra: pip install 'stillwave[{extra}]'")
        self._given = feature, extra

    def __reduce__(self) -> tuple[type[MissingExtraError], tuple[str, str]]:
        return type(self), self._given


KEPT = "exists already; it is replaced only with overwrite=True"
"""What is said of a target that is there."""


def on_terminal(message: str) -> str:
    """A message with the option of the command line for that of Python."""
    return message.replace(KEPT, KEPT.replace("overwrite=True", "--overwrite"))


def fault_text(error: BaseException) -> str:
    """Any exception as one line for a report: its message, with its type where it is not one of the package's own.

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
    """A hint for a mistyped name: the nearest known names, or all of them.

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
