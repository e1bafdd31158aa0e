"""Measure the delay, the polarity and the level of an external denoiser, and compensate them.

*Delay.* The lag with the largest absolute cross-correlation of input and output, both differentiated: speech has most
energy at low frequencies, where a denoiser's filters shift the phase. It is measured once over the whole signal, and
again in `SECTIONS` parts of it, which must agree.

*Level.* The gain of the frames that pass the denoiser best. It is compensated if these frames are copies of the input
(correlation of `COPY` or more) and the gain is `LEVEL_DB` or more away from 1; smaller differences belong to the
estimate. An inverted output is compensated by a negative gain.
"""

from __future__ import annotations

import itertools
from typing import NamedTuple

import numpy as np

from stillwave.audio import Samples, resample
from stillwave.external.contract import ExternalDenoiser, ExternalError
from stillwave.external.probe import LEAD_S, TAIL_S, probe

LONGEST_S = 0.5
"""The largest delay that is searched, in either direction."""
SECTIONS = 4
DRIFT_S = 1e-4
"""Delays of the sections may differ by this: filters delay frequencies differently."""
LEAST = 0.2
"""Smallest correlation of signal and output at which a delay is measured."""
CLEARLY = 0.05
"""The delay of a section differs if the correlation there is larger by this."""
SILENCE = 1e-3
"""An output whose root mean square is below this fraction of the input's is silence."""
FRAME_S = 0.05
COPY, LEVEL_DB = 0.95, 1.5


class UnlikeError(ExternalError):
    """An output does not resemble the signal, so that its delay cannot be measured."""


class Calibration(NamedTuple):
    """What is compensated in the output of a denoiser.

    Attributes:
        rate: Sampling rate of the denoiser in Hz.
        delay: Samples at `rate` that the output is late; negative: early.
        gain: Factor that the output is divided by; negative for opposite polarity, ±1 for a level that is kept.
        level_db: Measured level of the output relative to the input, in dB.
        correlation: Correlation of input and aligned output.

    """

    rate: int
    delay: int = 0
    gain: float = 1.0
    level_db: float = 0.0
    correlation: float = 1.0

    def summary(self) -> str:
        """Return the measured values as one line."""
        late = f"{abs(self.delay)} samples ({1000 * abs(self.delay) / self.rate:.1f} ms) "
        late += f"{'late' if self.delay >= 0 else 'early'} (compensated)"
        level = "compensated" if abs(self.gain) != 1 else "kept"
        inverted = ", polarity inverted (compensated)" if self.gain < 0 else ""
        return (
            f"{self.rate} Hz, {f'output {late}' if self.delay else 'no delay'}, "
            f"level {self.level_db + 0.0:+.1f} dB ({level}){inverted}"
        )


def calibrate(denoiser: ExternalDenoiser) -> Calibration:
    """Run a denoiser on the probe and measure it.

    Raises:
        ExternalError: It fails, returns something else than an estimate, silence, or an output whose delay drifts or
            cannot be measured.

    """
    signal = probe(denoiser.rate)
    output = denoiser.enhance(signal[None])[0]
    speech = slice(round(LEAD_S * denoiser.rate), len(signal) - round(TAIL_S * denoiser.rate))
    return measured(denoiser.name, signal, output, denoiser.rate, speech)


def measured(
    name: str, signal: Samples, output: Samples, rate: int, speech: slice = slice(None)
) -> Calibration:
    """Measure an output `[n]` against the signal `[n]` that it is an estimate of.

    Args:
        name: Name of the denoiser in messages.
        signal: Clean speech.
        output: The estimate.
        rate: Sampling rate of both in Hz.
        speech: The part of the signal with speech.

    Raises:
        UnlikeError: The output does not resemble the signal.
        ExternalError: The output is silent, or its delay is not constant.

    """
    loud = float(np.sqrt(np.mean(np.square(signal, dtype=np.float64))))
    if float(np.sqrt(np.mean(np.square(output, dtype=np.float64)))) < SILENCE * loud:
        raise ExternalError(f"{name}: returned silence for speech; it must return an estimate of the speech")
    delay = lag(signal, output, round(LONGEST_S * rate))
    aligned = shifted(output, delay)
    correlation = _correlation(signal, aligned)
    if abs(correlation) < LEAST:
        raise UnlikeError(
            f"{name}: its output does not resemble speech given to it (correlation {correlation:.2f}), so its delay "
            f"cannot be measured; it must take and return {rate} Hz"
        )
    _refuse_drift(name, signal[speech], aligned[speech], rate, delay)
    gain, copy = _level(signal, aligned, rate)
    level_db = 20 * float(np.log10(max(abs(gain), 1e-9)))
    changes = copy >= COPY and abs(level_db) >= LEVEL_DB
    factor = float(f"{abs(gain):.4g}") if changes else 1.0
    return Calibration(rate, delay, float(np.copysign(factor, correlation)), level_db, abs(correlation))


def compensated(denoiser: ExternalDenoiser, calibration: Calibration, samples: Samples, rate: int) -> Samples:
    """Return the estimates `[B, n]` at `rate`, aligned with the input `[B, n]` and at its level.

    Raises:
        ExternalError: As in `ExternalDenoiser.enhance`.

    """
    source = resample(samples, rate, denoiser.rate)
    delay = calibration.delay
    # Zeros before the input of an early denoiser, after that of a late one: the output has all of the input.
    padded = np.pad(source, ((0, 0), (max(0, -delay), max(0, delay))))
    output = denoiser.enhance(padded)[:, max(0, delay) :][:, : source.shape[1]]
    back = resample(output / np.float32(calibration.gain), denoiser.rate, rate)[:, : samples.shape[1]]
    return np.pad(back, ((0, 0), (0, samples.shape[1] - back.shape[1])))


def lag(signal: Samples, output: Samples, most: int) -> int:
    """Return by how many samples, `most` or fewer, an output is late, from the peak of the cross-correlation.

    Examples:
        >>> noise = np.random.default_rng(0).standard_normal(8_000).astype(np.float32)
        >>> lag(noise, -np.roll(noise, 40), 400), lag(noise, np.roll(noise, -3), 400)
        (40, -3)

    """
    one, other = (np.diff(x.astype(np.float64), prepend=0.0) for x in (signal, output))
    most = min(most, len(one) - 1)
    size = 1 << (len(one) + most).bit_length()
    products = np.fft.irfft(np.fft.rfft(other, size) * np.conj(np.fft.rfft(one, size)), size)
    products = np.concatenate([products[size - most :], products[: most + 1]])  # lags −most … most
    return int(np.abs(products).argmax()) - most


def shifted(samples: Samples, delay: int) -> Samples:
    """Return `[n]` earlier by `delay` samples, with zeros where there is nothing."""
    if delay >= 0:
        return np.pad(samples[delay:], (0, min(delay, len(samples))))
    return np.pad(samples[:delay], (-delay, 0))


def _refuse_drift(name: str, signal: Samples, aligned: Samples, rate: int, delay: int) -> None:
    """Raise ExternalError if the delays of the sections differ."""
    edges = np.linspace(0, len(signal), SECTIONS + 1).astype(int)
    found = [delay + _remaining(signal[a:b], aligned[a:b]) for a, b in itertools.pairwise(edges)]
    if max(found) - min(found) > max(2, round(DRIFT_S * rate)):
        raise ExternalError(
            f"{name}: its delay drifts from {found[0]} to {found[-1]} samples over {len(signal) / rate:.1f} s; "
            "it must be constant"
        )


def _remaining(signal: Samples, aligned: Samples) -> int:
    """Return the delay that is left in a section; 0 if no other delay is clearly better, as within a vowel."""
    found = lag(signal, aligned, len(signal) // 4)
    here, there = (abs(_correlation(signal, shifted(aligned, delay))) for delay in (0, found))
    return found if there >= LEAST and there > here + CLEARLY else 0


def _level(signal: Samples, aligned: Samples, rate: int) -> tuple[float, float]:
    """Return the gain and the correlation of the frames that pass best."""
    size = max(1, round(FRAME_S * rate))
    count = len(signal) // size
    frames = [x[: count * size].reshape(count, size).astype(np.float64) for x in (signal, aligned)]
    power, product, other = ((a * b).sum(1) for a, b in itertools.combinations_with_replacement(frames, 2))
    loud = power > 0.1 * power.mean()
    correlation = np.abs(product[loud]) / np.sqrt(np.maximum(power[loud] * other[loud], 1e-30))
    best = np.argsort(correlation, kind="stable")[-max(1, int(loud.sum()) // 4) :]
    gains = product[loud][best] / power[loud][best]
    return float(np.median(gains)), float(np.median(correlation[best]))


def _correlation(one: Samples, other: Samples) -> float:
    a, b = one.astype(np.float64), other.astype(np.float64)
    return float((a * b).sum() / max(np.sqrt((a * a).sum() * (b * b).sum()), 1e-30))
