"""Guess the kind of recordings (speech, noise or rooms) for a scan, and check it before use."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from stillwave.data.manifest import Kind, ManifestError, Recording

_WORDS: dict[Kind, str] = {
    "speech": "speech clean speaker speakers talker talkers voice voices utterance utterances",
    "noise": "noise noises esc50 background backgrounds",
    "rooms": "room rooms rir rirs impulse impulses brir brirs",
}


def guess(folder: Path | str, output: Path | str = "") -> Kind | None:
    """Guess the kind from the name of a folder, the folders above it, or the manifest to write.

    The name nearest to the recordings decides. None if no name matches, one matches two kinds, or folder and manifest
    contradict each other.

    Examples:
        >>> guess("my/noise"), guess("musan/noise/free-sound"), guess("recordings"), guess("clean_and_noise")
        ('noise', 'noise', None, None)
        >>> guess("recordings", "rooms.jsonl"), guess("my/speech", "noise.jsonl")
        ('rooms', None)

    """
    place = Path(folder)
    parts = place.parts or (place.absolute().name,)
    inside = next((found for part in reversed(parts) if (found := _kinds_in(part))), set())
    outside = _kinds_in(Path(output).stem)
    found = inside if not outside else outside if not inside else inside & outside
    return next(iter(found)) if len(found) == 1 else None


def check_kind(recordings: Sequence[Recording], kind: Kind, name: str) -> None:
    """Raise ManifestError for recordings of another kind; `name` is that of the manifest.

    A manifest without kinds passes, unless noise or rooms have a speaker or a text, as a scan for speech writes.
    """
    for number, recording in enumerate(recordings, 1):
        other = recording.kind
        if not other and kind != "speech" and (recording.speaker or recording.text):
            other = "speech"
        if other and other != kind:
            raise ManifestError(
                f"{name}: lists {other} (recording {number} of {len(recordings)}, {recording.path.name}) where {kind} "
                f"is wanted; give a manifest of {kind}, or scan the folder again with --kind {kind}"
            )


def _kinds_in(name: str) -> set[Kind]:
    words = set(re.split(r"[^a-z0-9]+", name.lower()))
    return {kind for kind, known in _WORDS.items() if words & set(known.split())}
