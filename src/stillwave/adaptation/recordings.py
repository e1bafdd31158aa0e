"""Read a folder of noisy recordings at 16 kHz into one file on disk, and hold some of them out.

Recordings that cannot be used are counted with the reason; the others are used if they last `LEAST_S` in all. Reading
stops after `MOST_S`, in an order drawn from the seed. With `FEW` recordings or more, a fifth of them is held out, else
the last fifth of each.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from stillwave.audio import LOUDEST, Resampler, Samples, open_reader
from stillwave.console import track
from stillwave.data.scan import SILENT, SUFFIXES
from stillwave.errors import AudioError, StillwaveError
from stillwave.files import atomic_file, printable, read_json, walk, write_json
from stillwave.schema import SAMPLE_RATE

PIECE = 2 * SAMPLE_RATE
"""Samples of a piece: the unit that is judged and trained on."""
LEAST_S, MOST_S = 60.0, 3600.0
"""Seconds of usable recordings that are needed, and that are used."""
FEW = 5
"""Number of recordings below which a part of each is held out, instead of whole recordings."""
HELD_OUT = 0.2
_BLOCK_S = 20
_SAMPLES, _FACTS = "recordings.f32", "recordings.json"


@dataclass(frozen=True)
class Stretch:
    """A recording, or a part of it, within the samples of all."""

    name: str
    start: int
    frames: int
    held_out: bool


@dataclass(frozen=True)
class Material:
    """The recordings of a place."""

    samples: Samples
    """All recordings one after the other, `[n]` at 16 kHz, on disk."""
    stretches: tuple[Stretch, ...]
    unusable: tuple[str, ...]
    """A sentence for each recording that could not be used."""
    unread: int
    """Number of recordings that were not read because `MOST_S` had been reached."""
    digest: str
    """SHA-256 of names, sizes and dates of the files, and of the seed."""

    def seconds(self, *, held_out: bool) -> float:
        """Return the duration of the recordings to train on, or of those held out."""
        return sum(one.frames for one in self.stretches if one.held_out is held_out) / SAMPLE_RATE


def collect(folder: Path, work: Path, seed: int, leave_out: Path | None = None) -> Material:
    """Read the recordings of `folder` and its sub-folders into `work`; what an earlier call has read is used again.

    The first channel of each is used. `leave_out`: a folder to ignore, for outputs below `folder`.

    Raises:
        StillwaveError: There is no such folder, or its usable recordings last less than `LEAST_S` seconds.

    """
    files = _files(folder, leave_out)
    digest = _digest(files, seed)
    facts = read_json(work / _FACTS)
    if facts is None or facts.get("digest") != digest:
        facts = {**_read_all(folder, files, work, seed), "digest": digest}
        write_json(work / _FACTS, facts)
    unusable = tuple(facts["unusable"])
    total = sum(one["frames"] for one in facts["stretches"]) / SAMPLE_RATE
    if total < LEAST_S:
        raise StillwaveError(
            f"{folder}: {total:.0f} s of recordings can be used, and {LEAST_S:.0f} s are needed"
            + (f" ({len(unusable)} of {len(files)} files cannot be used: {unusable[0]})" if unusable else "")
        )
    samples = np.memmap(work / _SAMPLES, np.float32, "r")
    stretches = tuple(Stretch(**one) for one in facts["stretches"])
    return Material(samples, stretches, unusable, facts["unread"], digest)


def check_folder(folder: Path, leave_out: Path | None = None) -> None:
    """Raise StillwaveError if `folder` is no folder or contains no recordings; `leave_out` as in `collect`."""
    _files(folder, leave_out)


def _files(folder: Path, leave_out: Path | None) -> list[Path]:
    if not folder.is_dir():
        raise StillwaveError(f"{folder}: is not a folder; give the folder with the recordings of the place")
    found = [file for file in walk(folder).files if file.suffix.lower() in SUFFIXES]
    if leave_out is not None:
        found = [file for file in found if not file.resolve().is_relative_to(leave_out.resolve())]
    if not found:
        raise StillwaveError(
            f"{folder}: contains no recordings; give the folder with the recordings of the place"
        )
    return found


def _digest(files: list[Path], seed: int) -> str:
    facts: list[Any] = [seed]
    for file in files:
        status = file.stat()
        facts.append([printable(str(file)), status.st_size, status.st_mtime_ns])
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()


def _read_all(folder: Path, files: list[Path], work: Path, seed: int) -> dict[str, Any]:
    """Write the samples of all usable recordings; return stretches, unusable and unread recordings."""
    rng = np.random.default_rng([seed, len(files)])
    unusable: list[str] = []
    lengths: list[tuple[str, int]] = []
    left, unread = round(MOST_S * SAMPLE_RATE), 0
    with atomic_file(work / _SAMPLES, sync=False) as temporary, temporary.open("wb") as target:
        for file in track([files[i] for i in rng.permutation(len(files))], "reading"):
            if left < PIECE:
                unread += 1
                continue
            begun = target.tell()
            try:
                frames = _read(file, left, target)
            except AudioError as error:
                unusable.append(printable(str(error)))
                target.seek(begun)
                target.truncate()
                continue
            lengths.append((printable(str(file.relative_to(folder))), frames))
            left -= frames
    held = _held_out(lengths)
    return {"stretches": [asdict(one) for one in held], "unusable": unusable, "unread": unread}


def _read(file: Path, most: int, target: Any) -> int:
    """Append up to `most` samples of the first channel to `target`; return their number. Raise AudioError."""
    frames, peak = 0, 0.0
    for block in _blocks(file):
        part = block[: most - frames]
        target.write(part.tobytes())
        frames += len(part)
        peak = max(peak, float(np.abs(part).max(initial=0.0)))
        if frames == most:
            break
    if peak < SILENT:
        raise AudioError(f"{file}: is silent; it needs speech and noise")
    if peak > LOUDEST:
        raise AudioError(f"{file}: has values beyond ±2³²; write it again")
    if frames < PIECE:
        raise AudioError(
            f"{file}: lasts {frames / SAMPLE_RATE:.1f} s; it must last {PIECE / SAMPLE_RATE:.0f} s"
        )
    return frames


def _blocks(file: Path) -> Iterator[Samples]:
    with open_reader(file) as reader:
        rate = reader.info.sample_rate
        resampler = Resampler(rate, SAMPLE_RATE, 1)
        for block in reader.blocks(_BLOCK_S * rate):
            yield resampler.push(block[:1])[0]
        yield resampler.push(np.zeros((1, 0), np.float32), last=True)[0]


def _held_out(lengths: list[tuple[str, int]]) -> list[Stretch]:
    """Return the recordings in their order: the last ones are held out, or the last part of each."""
    stretches, start = [], 0
    whole = len(lengths) >= FEW
    first_held = len(lengths) - max(1, round(HELD_OUT * len(lengths)))
    for number, (name, frames) in enumerate(lengths):
        kept = frames if whole else round((1 - HELD_OUT) * frames)
        stretches.append(Stretch(name, start, kept, whole and number >= first_held))
        if kept < frames:
            stretches.append(Stretch(name, start + kept, frames - kept, True))
        start += frames
    return stretches
