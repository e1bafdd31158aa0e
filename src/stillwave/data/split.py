"""Hold out whole speakers and whole noise recordings, so that no recording has clips on both sides.

Groups are ordered by a hash of seed and name: the split does not depend on the order of the manifest, and changes
little when a corpus grows.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Sequence
from typing import Literal

from stillwave.data.manifest import ManifestError, Recording
from stillwave.files import identity

By = Literal["auto", "speaker", "recording"]

_ESC50 = re.compile(r"^\d-(\d+)-[A-Z](?:-\d+)?$")
"""Clips of ESC-50 (Piczak, 2015) are named FOLD-SOURCE-TAKE-CLASS; SOURCE is the recording they are cut from.
"""


def source_of(recording: Recording, pattern: str | None = None) -> str:
    """Return the name of the recording that a clip was cut from.

    In this order: the first group of the regular expression `pattern` in the file's stem; the manifest's
    `source`; the source of an ESC-50 name; the stem.

    Examples:
        >>> source_of(Recording(path="a/1-17367-A.wav", sample_rate=16000, channels=1, seconds=5))
        '17367'

    """
    stem = recording.path.stem
    if pattern is not None:
        found = _compile(pattern).search(stem)
        if found:
            return found.group(1)
    if recording.source:
        return recording.source
    esc50 = _ESC50.match(stem)
    return esc50.group(1) if esc50 else stem


def group_of(
    recordings: Sequence[Recording], by: By = "auto", pattern: str | None = None
) -> Callable[[Recording], str]:
    """Return the function for the group of a recording: speaker (`auto`: if all recordings name one) or source."""
    unknown = sum(not recording.speaker for recording in recordings)
    if by == "speaker" and unknown:
        raise ManifestError(
            f"{unknown} of {len(recordings)} recordings name no speaker: split them by recording, or scan "
            "them with a pattern that finds it"
        )
    if by == "recording" or pattern is not None or unknown:
        return lambda recording: source_of(recording, pattern)
    return lambda recording: recording.speaker


def split(
    recordings: Sequence[Recording],
    fraction: float = 0.1,
    seed: int = 0,
    by: By = "auto",
    pattern: str | None = None,
) -> tuple[list[Recording], list[Recording]]:
    """Return (kept, held out), each in the given order, with about `fraction` of the duration held out.

    Raises ManifestError for fewer than two groups, or a recording without a speaker in a split by speaker.
    """
    if not 0 < fraction < 1:
        raise ManifestError(f"the fraction to hold out must lie between 0 and 1, not {fraction}")
    group = group_of(recordings, by, pattern)
    files = [identity(recording.path) for recording in recordings]
    of_file: dict[object, str] = {}  # links of one file stay together
    for file, recording in zip(files, recordings, strict=True):
        of_file[file] = min(of_file.get(file, group(recording)), group(recording))
    names = [of_file[file] for file in files]
    seconds: dict[str, float] = {}
    for name, recording in zip(names, recordings, strict=True):
        seconds[name] = seconds.get(name, 0.0) + recording.seconds
    if len(seconds) < 2:
        only = next(iter(seconds), "none")
        raise ManifestError(f"there is one group only ('{only}'): a split needs two speakers or recordings")
    held_out = _choose(seconds, fraction, seed)
    sides: tuple[list[Recording], list[Recording]] = ([], [])
    for name, recording in zip(names, recordings, strict=True):
        sides[name in held_out].append(recording)
    return sides


def _choose(seconds: dict[str, float], fraction: float, seed: int) -> set[str]:
    """Choose at least one group, and never all."""
    order = sorted(seconds, key=lambda name: hashlib.sha256(f"{seed}\0{name}".encode()).digest())
    wanted = fraction * sum(seconds.values())
    held_out: set[str] = set()
    total = 0.0
    for name in order[:-1]:
        # Taken if the total then is nearer to the wanted one.
        if held_out and abs(total + seconds[name] - wanted) >= abs(total - wanted):
            continue
        held_out.add(name)
        total += seconds[name]
    return held_out


def _compile(pattern: str) -> re.Pattern[str]:
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise ManifestError(f"the pattern '{pattern}' is not a regular expression: {error}") from None
    if compiled.groups < 1:
        raise ManifestError(f"the pattern '{pattern}' has no group: put the name in parentheses")
    return compiled
