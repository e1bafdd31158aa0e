"""How loud speech and what is not speech are, before and after. Axes: samples `[N]` at 16 kHz, frames of 16 ms `[T]`.

Speech frames are those of the clean reference within 30 dB of its loudest (`stillwave.data.effects`), pauses those
that are at least two frames away from any of them, so that what a window smears is not taken for noise.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from stillwave.audio import Samples
from stillwave.data.effects import ACTIVE_RANGE_DB, FRAME

Mask = NDArray[np.bool_]
Wide = NDArray[np.float64]
MARGIN = 2
SILENT = 1e-20


def powers(samples: Samples) -> Wide:
    """Mean power of each whole frame."""
    frames: Wide = frames_of(samples)
    return np.asarray((frames**2).mean(1))


def frames_of(samples: Samples) -> Wide:
    """`[T, FRAME]`; what does not fill the last frame is left out."""
    whole = len(samples) // FRAME * FRAME
    return samples[:whole].astype(np.float64).reshape(-1, FRAME)


def speech_frames(clean: Samples) -> Mask:
    """Where the reference speaks; nowhere in silence."""
    power = powers(clean)
    return np.asarray((power > power.max(initial=0) * 10 ** (-ACTIVE_RANGE_DB / 10)) & (power > SILENT))


def pause_frames(clean: Samples, margin: int = MARGIN) -> Mask:
    """Where it does not, nor does it within `margin` frames."""
    near = np.convolve(speech_frames(clean), np.ones(2 * margin + 1), mode="same") > 0
    return np.asarray(~near)


def attenuation_db(clean: Samples, estimate: Samples) -> float:
    """By how much the reference's speech is lowered in the estimate: what of it lies along the reference, in dB.

    What is not correlated with the reference does not count, so that noise that is left does not hide lost speech.
    60 where nothing of it is left.
    """
    speech = speech_frames(clean)
    s, e = frames_of(clean)[speech], frames_of(estimate)[speech]
    gain = float((s * e).sum() / max(float((s * s).sum()), SILENT))
    return -20 * float(np.log10(max(gain, 1e-3)))


def lost_share(clean: Samples, estimate: Samples, below_db: float = 10.0) -> float:
    """Share of the speech frames in which the estimate is more than so many dB weaker than the reference."""
    speech = speech_frames(clean)
    if not speech.any():
        return 0.0
    ratio = powers(estimate)[speech] / powers(clean)[speech]
    return float((ratio < 10 ** (-below_db / 10)).mean())


def lowered_db(before: Samples, after: Samples, where: Mask | None = None) -> float:
    """Power before over power after, in dB, in some frames or in all samples; positive: it became weaker.

    NaN where there is nothing to compare.
    """
    if where is None:
        powers_of = [float(np.square(x, dtype=np.float64).mean()) for x in (before, after)]
    else:
        powers_of = [float(powers(x)[where].mean()) if where.any() else 0.0 for x in (before, after)]
    if powers_of[0] <= SILENT:
        return float("nan")
    return 10 * float(np.log10(powers_of[0] / max(powers_of[1], SILENT)))


def gains_db(estimate: Samples, parts: Sequence[Samples]) -> list[float]:
    """The gains, in dB, with which the parts `[N]` are best summed (least squares) to give the estimate.

    −60 for a part of which nothing is left.
    """
    matrix = np.stack([part.astype(np.float64) for part in parts], axis=1)
    gains = np.linalg.lstsq(matrix, estimate.astype(np.float64), rcond=None)[0]
    return [20 * float(np.log10(max(float(gain), 1e-3))) for gain in gains]
