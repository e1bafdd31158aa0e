"""Read the channels of a pair for a number of microphones, in one convention."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from stillwave.audio import Samples, measure, open_reader
from stillwave.data.manifest import ManifestError
from stillwave.data.pair_manifest import Pair
from stillwave.data.scenes.ambisonics import convert
from stillwave.errors import AudioError
from stillwave.schema import SAMPLE_RATE

MOST_APART = SAMPLE_RATE // 50
"""Largest difference in samples of noisy and clean, such as a block of a codec; the longer one is cut."""


def files_for(pair: Pair, microphones: int) -> tuple[Path, ...]:
    """Return the files with the channels of so many microphones."""
    return (pair.noisy,) if microphones <= 4 or not pair.also else (pair.noisy, *pair.also)


def check_channels(pairs: Sequence[Pair], microphones: int) -> None:
    """Raise ManifestError unless every pair has the channels for a network with so many microphones.

    One microphone is the first channel of any recording; several are all channels, or those of the first file.
    """
    counts = sorted({pair.channels for pair in pairs})
    if microphones == 1:
        return
    if counts[1:]:
        raise ManifestError(
            f"the pairs have {' or '.join(map(str, counts))} channels ({pairs[0].id} has {pairs[0].channels}); "
            "a network needs the same number for all: scan them again with --microphones 1"
        )
    possible = {counts[0], counts[0] // (1 + len(pairs[0].also)), 1}
    if microphones not in possible:
        raise ManifestError(
            f"model.microphones is {microphones} and the pairs have {counts[0]} channels; set it to "
            f"{' or '.join(map(str, sorted(possible)))}"
        )


def frames_of(pair: Pair, microphones: int = 1) -> int:
    """Return the length of a pair in samples. Raises ManifestError if its files differ by more than `MOST_APART`."""
    noisy = [_frames(file) for file in files_for(pair, microphones)]
    clean = _frames(pair.clean)
    if len(set(noisy)) > 1:
        raise ManifestError(
            f"{pair.also[0]}: lasts {noisy[1]} samples and {pair.noisy} {noisy[0]}; microphones must be of one length"
        )
    if abs(noisy[0] - clean) > MOST_APART:
        raise ManifestError(
            f"{pair.noisy}: lasts {noisy[0] / SAMPLE_RATE:.3f} s and {pair.clean} "
            f"{clean / SAMPLE_RATE:.3f} s; the two must be aligned"
        )
    return min(noisy[0], clean)


def load_noisy(pair: Pair, microphones: int, start: int = 0, frames: int = -1) -> Samples:
    """Read the noisy signal: `[N]` of one microphone (the first channel), `[M, N]` of several; ambisonics as ACN/SN3D.

    Raises AudioError for a file that cannot be read, or has fewer channels than the pair states.
    """
    rows = np.concatenate([read_at(file, start, frames) for file in files_for(pair, microphones)])
    if len(rows) < microphones:
        raise AudioError(
            f"{pair.noisy}: has {len(rows)} channels, expected {microphones}; scan the folder again"
        )
    if len(rows) % 4 == 0:
        rows = convert(rows, pair.convention, "acn_sn3d")
    return np.ascontiguousarray(rows[0] if microphones == 1 else rows[:microphones])


def read_at(path: Path, start: int, frames: int) -> Samples:
    """Read `frames` samples from `start` on, `[channels, n]`, of a recording at 16 kHz."""
    with open_reader(path) as reader:
        if reader.info.sample_rate != SAMPLE_RATE:
            raise AudioError(f"{path}: has {reader.info.sample_rate} Hz; a corpus of pairs has {SAMPLE_RATE}")
        if start:
            reader.seek(start)
        return np.asarray(reader.rest() if frames < 0 else reader.read(frames))


def _frames(path: Path) -> int:
    return measure(path).frames
