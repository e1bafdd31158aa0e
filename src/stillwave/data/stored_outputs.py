"""A folder with the outputs of a denoiser for a corpus of pairs: estimates that a student can be distilled from.

The files are named as the noisy files. Their sampling rate may differ; delay and level are measured against the clean
references of a few pairs, which must agree, and compensated.
"""

from __future__ import annotations

import contextlib
import hashlib
import statistics
from collections.abc import Iterator, Sequence
from math import ceil, gcd
from pathlib import Path

import numpy as np

from stillwave.audio import Samples, open_reader, probe, resample
from stillwave.data.manifest import ManifestError
from stillwave.data.multichannel import MOST_APART
from stillwave.data.pair_manifest import Pair
from stillwave.data.pair_sets import by_name
from stillwave.errors import AudioError
from stillwave.external.calibration import DRIFT_S, Calibration, UnlikeError, measured
from stillwave.files import printable, sha256
from stillwave.schema import SAMPLE_RATE

MEASURED = 8
"""Number of pairs whose delay and level are measured,"""
LONGEST_S = 20
"""and the seconds that are read of each."""
CLEAR = 0.5
"""Smallest correlation of output and reference at which the delay counts."""
MARGIN = SAMPLE_RATE // 10
"""Samples that are read before and after a segment, for the filter of the resampler."""


class StoredOutputs:
    """The outputs for the pairs of a corpus, as functions of pair and position.

    Args:
        folder: The outputs; every pair must have one, other files are ignored.
        pairs: The corpus.

    Attributes:
        calibration: Rate of the files, and the delay and level that are compensated.

    Raises:
        ManifestError: Outputs are missing, or have several channels, another length or different rates or delays.
        ExternalError: An output is silent or does not resemble its reference.
        AudioError: A file cannot be read.

    """

    def __init__(self, folder: Path | str, pairs: Sequence[Pair]) -> None:
        self.folder = Path(folder)
        self._files = self._matched(pairs)
        rates = {self._checked(pair) for pair in pairs}
        if len(rates) > 1:
            raise ManifestError(
                f"{self.folder}: its files have {' and '.join(map(str, sorted(rates)))} Hz; "
                "all outputs must have the same sampling rate"
            )
        self.calibration = self._measured(pairs, rates.pop())

    @property
    def identity(self) -> str:
        """SHA-256 of the names and contents of the outputs, in hexadecimal."""
        digest = hashlib.sha256()
        for name, file in sorted(self._files.items()):
            digest.update(f"{name} {sha256(file)}\n".encode())
        return digest.hexdigest()

    def summary(self) -> str:
        """Return the number of outputs and the calibration as one line."""
        return f"{self.folder}: {len(self._files)} outputs, {self.calibration.summary()}"

    def read(self, pair: Pair, start: int, frames: int) -> Samples:
        """Return the estimate `[frames]` at 16 kHz for a pair from sample `start` on, with zeros after its end.

        Raises:
            AudioError: The file cannot be read, or has NaN.

        """
        rate, delay = self.calibration.rate, self.calibration.delay
        step = SAMPLE_RATE // gcd(rate, SAMPLE_RATE)  # positions that are whole at both rates
        begin = max(0, (start - MARGIN) // step * step)
        first = begin * rate // SAMPLE_RATE + delay
        count = ceil((start - begin + frames + MARGIN) * rate / SAMPLE_RATE)
        samples = np.pad(
            _part(self._files[pair.id], max(0, first), count + min(0, first)), (max(0, -first), 0)
        )
        part = resample(samples[None], rate, SAMPLE_RATE)[0][start - begin :][:frames]
        aligned = np.pad(part, (0, frames - len(part)))
        return np.asarray(aligned / self.calibration.gain, np.float32)

    def _matched(self, pairs: Sequence[Pair]) -> dict[str, Path]:
        """Return the outputs by the id of their pair."""
        found = by_name(self.folder)
        matched = {
            pair.id: found[name]
            for pair in pairs
            for name in (pair.id, printable(pair.noisy.stem))
            if name in found
        }
        missing = [pair for pair in pairs if pair.id not in matched]
        if missing:
            raise ManifestError(
                f"{self.folder}: has outputs for {len(matched)} of {len(pairs)} mixtures, and none for "
                f"'{missing[0].id}'; add the others, named as the noisy files"
            )
        return matched

    def _checked(self, pair: Pair) -> int:
        """Return the rate of an output. Raise ManifestError for several channels or another length."""
        file = self._files[pair.id]
        found, noisy = probe(file), probe(pair.noisy)
        if found.channels > 1:
            raise ManifestError(f"{file}: has {found.channels} channels; an output has one")
        apart = found.frames / found.sample_rate - noisy.frames / noisy.sample_rate
        if found.exact and noisy.exact and abs(apart) > MOST_APART / SAMPLE_RATE:
            raise ManifestError(
                f"{file}: lasts {found.frames / found.sample_rate:.3f} s and {pair.noisy} "
                f"{noisy.frames / noisy.sample_rate:.3f} s; an output has the length of its mixture"
            )
        return found.sample_rate

    def _measured(self, pairs: Sequence[Pair], rate: int) -> Calibration:
        found = list(self._calibrations(pairs, rate))
        if not found:
            raise ManifestError(
                f"{self.folder}: no output resembles the clean reference of its mixture; give the outputs for these "
                "mixtures"
            )
        delays = [one.delay for one in found]
        if max(delays) - min(delays) > max(2, round(DRIFT_S * rate)):
            raise ManifestError(
                f"{self.folder}: its files are late by {min(delays)} to {max(delays)} samples; "
                "the delay must be the same in all"
            )
        delay = int(statistics.median_low(delays))
        gains = sorted(one.gain for one in found)
        level = statistics.median(one.level_db for one in found)
        return Calibration(rate, delay, gains[len(gains) // 2], level, found[0].correlation)

    def _calibrations(self, pairs: Sequence[Pair], rate: int) -> Iterator[Calibration]:
        """Yield the calibrations of evenly spaced pairs, except of those without speech or a clear delay."""
        count = min(MEASURED, len(pairs))
        for pair in (pairs[i * len(pairs) // count] for i in range(count)):
            clean = _part(pair.clean, 0, LONGEST_S * SAMPLE_RATE)
            if not clean.any():
                continue
            reference = resample(clean[None], SAMPLE_RATE, rate)[0]
            output = _part(self._files[pair.id], 0, len(reference))
            output = np.pad(output, (0, len(reference) - len(output)))
            with contextlib.suppress(UnlikeError):
                found = measured(str(self._files[pair.id]), reference, output, rate)
                if found.correlation >= CLEAR:
                    yield found


def _part(path: Path, start: int, frames: int) -> Samples:
    """Return up to `frames` samples `[n]` of the first channel, from `start` on."""
    with open_reader(path) as reader:
        if frames <= 0 or start >= reader.info.frames:
            return np.zeros(0, np.float32)
        if start:
            reader.seek(start)
        samples = np.asarray(reader.read(frames)[0])
    if not np.isfinite(samples).all():
        raise AudioError(f"{path}: has values that are NaN or infinite; write it again")
    return samples
