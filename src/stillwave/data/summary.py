"""Dataset statistics of recordings or pairs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from stillwave.audio import Samples, open_reader
from stillwave.console import in_threads
from stillwave.data import effects
from stillwave.data.manifest import ManifestError, Recording
from stillwave.data.pair_sets import Pair, load_pair, read_pairs
from stillwave.data.scan import load
from stillwave.errors import AudioError

T = TypeVar("T")
R = TypeVar("R")

_CLIPPED = 0.999
_SILENT_DB = -60.0
_FFT = 2048
_BAND_DB = 70.0
_BLOCK = 2**17


@dataclass(frozen=True)
class Measures:
    """Statistics of one recording: levels of all channels, bandwidth of the first."""

    seconds: float
    level_dbfs: float
    peak_dbfs: float
    clipped: float
    """Share of samples at 0.999 of full scale or above."""
    silent: float
    """Share of frames of 16 ms below −60 dBFS."""
    bandwidth_hz: float
    """Highest frequency at which the mean spectrum is within 70 dB of its highest point."""


def summarise(source: Path | str, jobs: int | None = None) -> dict[str, Any]:
    """Return statistics of a manifest, a folder of recordings, or a folder of pairs, as JSON values.

    Recordings that cannot be read are listed with a reason. Raises ManifestError for an unusable source.
    """
    source = Path(source)
    if _holds_pairs(source):
        return _of_pairs(read_pairs(source), jobs)
    return _of_recordings(load(source), jobs)


def measure(path: Path | str) -> Measures:
    """Measure a recording in blocks. Raises AudioError."""
    power, peak, clipped, silent, frames, count = 0.0, 0.0, 0, 0, 0, 0
    spectrum = np.zeros(_FFT // 2 + 1)
    with open_reader(path) as reader:
        info = reader.info
        width = max(1, round(0.016 * info.sample_rate))
        for block in reader.blocks(_BLOCK):
            magnitude = np.abs(block)
            peak = max(peak, float(magnitude.max()))
            clipped += int(np.count_nonzero(magnitude >= _CLIPPED))
            power += float(np.sum(np.square(block, dtype=np.float64)))
            count += block.size
            rows = _rows(block[0], width)
            silent += int(np.count_nonzero(np.mean(rows * rows, axis=1) < 10 ** (_SILENT_DB / 10)))
            frames += len(rows)
            spectrum += _mean_spectrum(block[0])
    return Measures(
        seconds=reader.position / info.sample_rate,
        level_dbfs=effects.decibels(power / count),
        peak_dbfs=2 * effects.decibels(peak),
        clipped=clipped / count,
        silent=silent / max(1, frames),
        bandwidth_hz=_bandwidth(spectrum, info.sample_rate),
    )


def spread(values: Sequence[float]) -> dict[str, float]:
    """Return minimum, 5th percentile, median, 95th percentile and maximum."""
    marks = np.percentile(values, [0, 5, 50, 95, 100])
    return {
        name: round(float(mark), 3)
        for name, mark in zip(("min", "p5", "median", "p95", "max"), marks, strict=True)
    }


def _holds_pairs(source: Path) -> bool:
    sides = ("noisy", "clean"), ("noisy_testset_wav", "clean_testset_wav")
    return any(all((source / side).is_dir() for side in both) for both in sides)


def _of_recordings(recordings: Sequence[Recording], jobs: int | None) -> dict[str, Any]:
    results = _parallel(measure, [recording.path for recording in recordings], jobs)
    named = {recording.speaker for recording in recordings if recording.speaker}
    labels = Counter(recording.label for recording in recordings if recording.label)
    return {
        "recordings": len(recordings),
        "hours": round(sum(recording.seconds for recording in recordings) / 3600, 3),
        "speakers": len(named),
        "with_text": sum(bool(recording.text) for recording in recordings),
        "labels": len(labels),
        "licences": dict(Counter(recording.licence or "unknown" for recording in recordings)),
        "rates": _counts(recording.sample_rate for recording in recordings),
        "channels": _counts(recording.channels for recording in recordings),
        **_figures(results),
    }


def _of_pairs(pairs: Sequence[Pair], jobs: int | None) -> dict[str, Any]:
    results = _parallel(measure, [pair.noisy for pair in pairs], jobs)
    snrs = _parallel(_measured_snr, pairs, jobs)
    good = [snr for snr in snrs if isinstance(snr, float)]
    stated = [pair.snr_db for pair in pairs if pair.snr_db is not None]
    return {
        "pairs": len(pairs),
        "hours": round(sum(m.seconds for m in results if isinstance(m, Measures)) / 3600, 3),
        "speakers": len({pair.speaker for pair in pairs if pair.speaker}),
        "with_text": sum(bool(pair.text) for pair in pairs),
        "reverberant": sum(bool(pair.rir) for pair in pairs),
        **({"snr_db_measured": spread(good)} if good else {}),
        **({"snr_db_stated": spread(stated)} if stated else {}),
        **_figures([*results, *(snr for snr in snrs if isinstance(snr, str))]),
    }


def _figures(results: Sequence[Measures | str | float]) -> dict[str, Any]:
    good = [result for result in results if isinstance(result, Measures)]
    bad = sorted({result for result in results if isinstance(result, str)})
    if not good:
        raise ManifestError(f"none of the recordings can be read; {bad[0] if bad else 'there are none'}")
    names = ("seconds", "level_dbfs", "peak_dbfs", "bandwidth_hz")
    return {
        **{name: spread([getattr(result, name) for result in good]) for name in names},
        "clipped_recordings": sum(result.clipped > 0 for result in good),
        "clipped_share": float(np.mean([result.clipped for result in good])),
        "silent_share": round(
            float(np.average([r.silent for r in good], weights=[r.seconds for r in good])), 4
        ),
        "unreadable": bad,
    }


def _measured_snr(pair: Pair) -> float:
    mixture = load_pair(pair)
    return effects.snr_db(mixture.clean, mixture.noisy - mixture.clean)


def _parallel(function: Callable[[T], R], items: Sequence[T], jobs: int | None) -> list[R | str]:
    """Return results in order, with a message for each item that cannot be used."""

    def guarded(item: T) -> R | str:
        try:
            return function(item)
        except (AudioError, ManifestError) as error:
            return str(error)

    return in_threads(guarded, items, "measure", jobs)


def _counts(values: Any) -> dict[str, int]:
    return {str(value): count for value, count in sorted(Counter(values).items())}


def _rows(samples: Samples, width: int) -> Samples:
    """Split into rows of `width`; fewer samples are one row."""
    whole = len(samples) // width * width
    return samples[:whole].reshape(-1, width) if whole else samples.reshape(1, -1)


def _mean_spectrum(samples: Samples) -> npt.NDArray[np.float64]:
    rows = _rows(samples, _FFT)[::4]
    windowed = rows * np.hanning(rows.shape[1]).astype(np.float32)
    return np.asarray(np.sum(np.abs(np.fft.rfft(windowed, _FFT)) ** 2, axis=0, dtype=np.float64))


def _bandwidth(spectrum: npt.NDArray[np.float64], rate: int) -> float:
    loud = np.flatnonzero(spectrum >= spectrum.max() * 10 ** (-_BAND_DB / 10))
    return float(loud[-1]) * rate / _FFT if spectrum.max() > 0 else 0.0
