"""Compare a manifest with its files: existence, headers, duplicates, speakers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from stillwave.audio import measure
from stillwave.console import in_threads
from stillwave.data.manifest import Recording
from stillwave.errors import AudioError
from stillwave.files import sha256

_TOLERANCE = 0.02
"""Seconds by which a manifest's duration may differ from the file's: tables are rounded."""


def check(recordings: Sequence[Recording], jobs: int | None = None) -> dict[str, Any]:
    """Compare recordings with their files; plain data for JSON. `faults` lists (path, what is wrong)."""
    results = in_threads(_look, recordings, "check", jobs)
    faults = [(str(r.path), fault) for r, (fault, _) in zip(recordings, results, strict=True) if fault]
    twice = [path for path, count in Counter(recording.path for recording in recordings).items() if count > 1]
    faults += [(str(path), "is listed more than once") for path in twice]
    faults += _same_content(recordings, [digest for _, digest in results])
    return {
        "recordings": len(recordings),
        "hours": round(sum(recording.seconds for recording in recordings) / 3600, 3),
        "speakers": len({recording.speaker for recording in recordings if recording.speaker}),
        "without_speaker": sum(not recording.speaker for recording in recordings),
        "rates": {str(k): v for k, v in sorted(Counter(r.sample_rate for r in recordings).items())},
        "faults": [{"path": path, "fault": fault} for path, fault in faults],
    }


def _look(recording: Recording) -> tuple[str, str]:
    """Return what is wrong with a recording, empty for nothing, and the SHA-256 of its file."""
    try:
        info = measure(recording.path)
    except AudioError as error:
        return str(error).removeprefix(f"{recording.path}: "), ""
    faults = []
    if info.sample_rate != recording.sample_rate:
        faults.append(f"has {info.sample_rate} Hz, the manifest says {recording.sample_rate}")
    if info.channels != recording.channels:
        faults.append(f"has {info.channels} channels, the manifest says {recording.channels}")
    if abs(info.seconds - recording.seconds) > _TOLERANCE:
        faults.append(f"lasts {info.seconds:.3f} s, the manifest says {recording.seconds:.3f}")
    return "; ".join(faults), sha256(recording.path)


def _same_content(recordings: Sequence[Recording], digests: Sequence[str]) -> list[tuple[str, str]]:
    first: dict[str, Path] = {}
    faults = []
    for recording, digest in zip(recordings, digests, strict=True):
        other = first.setdefault(digest, recording.path) if digest else recording.path
        if other != recording.path:
            faults.append((str(recording.path), f"is the same file as {other}"))
    return faults
