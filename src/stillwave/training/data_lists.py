"""The recordings that a run was started with: resuming with others is refused, or reported if it is allowed."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from stillwave.data.dataset import Signals, Source
from stillwave.data.manifest import Recording
from stillwave.data.mixing import Mixer
from stillwave.data.mixture import Mixture
from stillwave.data.pair_manifest import Pair
from stillwave.data.paired_dataset import PairedSegments
from stillwave.errors import StillwaveError
from stillwave.files import identity, read_json
from stillwave.training import run

Lists = dict[str, dict[str, Any]]
"""By recipe key: the number of recordings, and the SHA-256 of their entries."""


def lists_of(source: Source, development: Sequence[Signals]) -> Lists:
    """Return the lists of training and development data; data that is not from a recipe has none.

    Paths are relative to the common folder of a list, so that a corpus may be moved.
    """
    found: Lists = {}
    if isinstance(source, Mixer):
        for kind in ("speech", "noise", "rooms"):
            recordings: Sequence[Recording] = getattr(source, kind).recordings
            base = _common([recording.path for recording in recordings])
            found[f"data.train.{kind}"] = _digest([_of_recording(r, base) for r in recordings])
    elif isinstance(source, PairedSegments):
        base = _common([file for pair in source.pairs for file in (pair.noisy, pair.clean)])
        found["data.train.pairs"] = _digest([_of_pair(pair, base) for pair in source.pairs])
    mixtures = [item for item in development if isinstance(item, Mixture)]
    if mixtures:
        found["data.development"] = _digest([_of_mixture(item) for item in mixtures])
    return found


def check(folder: Path, found: Lists, *, step: int, allow: bool, known: dict[str, Any]) -> str:
    """Compare with the lists that the run began with (`known`, from `read`); return a remark if they differ.

    Raises StillwaveError if they differ and that is not allowed.
    """
    before: Lists = known.get("lists", {})
    changed = [key for key in found if key in before and before[key] != found[key]] if step else []
    if not changed:
        return ""
    key = changed[0]
    counts = f"{before[key]['recordings']} recordings then, {found[key]['recordings']} now"
    more = f" (and {len(changed) - 1} more)" if changed[1:] else ""
    if not allow:
        raise StillwaveError(
            f"{folder}: {key}{more} has changed since the run began ({counts}); restore the list, give another folder, "
            "or add --allow-changed-data to continue with the changed data"
        )
    return f"{folder}: {key}{more} has changed since the run began ({counts}); the new list applies from step {step} on"


def repeats(source: Source) -> list[str]:
    """Return a remark for each list in which a recording occurs more than once, by any path."""
    remarks = []
    for kind in ("speech", "noise", "rooms") if isinstance(source, Mixer) else ():
        paths = [recording.path for recording in getattr(source, kind).recordings]
        first: dict[object, Path] = {}
        again = [
            (path, first[key]) for path in paths if first.setdefault(key := identity(path), path) is not path
        ]
        if again:
            remarks.append(
                f"data.train.{kind}: {len(again)} of {len(paths)} entries repeat a recording (such as {again[0][0]}, "
                f"which is {again[0][1]}), so it is used more often than others; list each once, and use 'weight' to "
                "prefer a source"
            )
    return remarks


def read(folder: Path) -> dict[str, Any]:
    """Return the entry of a run folder; empty for a run of an earlier version."""
    return read_json(folder / run.DATA) or {}


def entry(found: Lists, *, step: int, changed: bool, known: dict[str, Any]) -> dict[str, Any]:
    """Return the entry for a run folder: the lists, and the steps at which they were replaced."""
    changes = known.get("changed_at", []) if step else []
    return {"lists": found, "changed_at": [*changes, step] if changed else changes}


def _of_recording(recording: Recording, base: Path) -> list[Any]:
    path = os.path.relpath(recording.path, base)
    return [
        path,
        recording.sample_rate,
        recording.channels,
        recording.seconds,
        recording.speaker,
        recording.source,
    ]


def _of_pair(pair: Pair, base: Path) -> list[Any]:
    files = [os.path.relpath(file, base) for file in (pair.noisy, *pair.also, pair.clean)]
    return [pair.id, files, pair.channels, pair.convention]


def _of_mixture(mixture: Mixture) -> list[Any]:
    facts = mixture.facts
    names = [Path(name).name for name in (*facts.speech, *facts.noises, facts.room or "")]
    return [names, len(mixture.clean)]


def _common(paths: Sequence[Path]) -> Path:
    return Path(os.path.commonpath([path.parent for path in paths])) if paths else Path()


def _digest(entries: list[list[Any]]) -> dict[str, Any]:
    text = json.dumps(entries, ensure_ascii=True)
    return {"recordings": len(entries), "sha256": hashlib.sha256(text.encode()).hexdigest()}
