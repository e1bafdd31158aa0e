"""Plain folders: `FOLDER/SPEAKER/…`, or a regular expression that finds the speaker in the path."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from stillwave.data.manifest import ManifestError

KINDS = ("speech",)
LAYOUT = "FOLDER/SPEAKER/…/NAME.wav, or any folder"


def describe(path: Path) -> dict[str, str]:
    """Return the first sub-folder as speaker; none for files directly in the folder.

    Examples:
        >>> describe(Path("p225/day1/001.wav"))
        {'speaker': 'p225'}

    """
    return {"speaker": path.parts[0]} if len(path.parts) > 1 else {}


def describe_noise(path: Path) -> dict[str, str]:
    """Return the first sub-folder as class of a noise."""
    return {"label": path.parts[0]} if len(path.parts) > 1 else {}


def speaker_from(pattern: str | None) -> Callable[[Path], dict[str, str]]:
    """Return `describe` with a regular expression for the path below the folder; its first group is the speaker.

    Raises ManifestError for an invalid expression or one without a group.
    """
    if pattern is None:
        return describe
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise ManifestError(f"the pattern '{pattern}' is not a regular expression: {error}") from None
    if compiled.groups < 1:
        raise ManifestError(f"the pattern '{pattern}' has no group: put the speaker in parentheses")

    def described(path: Path) -> dict[str, str]:
        found = compiled.search(path.as_posix())
        return {"speaker": found.group(1)} if found and found.group(1) else {}

    return described
