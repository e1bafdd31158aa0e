"""The steps of streaming inference: resample, frame, network, overlap-add, resample, upper band, dry mix.

A `StreamingPipeline` returns samples as soon as they are complete; `stream.py` adds the constant delay.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from stillwave.audio import Samples, energy
from stillwave.errors import AudioError
from stillwave.inference.backend import Backend, Spectra, State
from stillwave.inference.streaming_resampler import StreamingResampler
from stillwave.inference.streaming_stft import Framer, OverlapAdder, Spectrum, analyze_frames
from stillwave.inference.upper_band import GainEnvelope, frame_gains, has_upper_band

FRAMES_AT_ONCE = 64
"""Greatest number of frames per call of the network, which bounds memory."""
GREATEST = 1e20
"""Greatest valid magnitude of an estimated spectrum; the inverse transform of larger values could overflow."""
Arrays = dict[str, NDArray[Any]]


def dry_mix_of(limit_db: float | None) -> float:
    """Return the amplitude factor of the dry signal for a greatest reduction of noise in dB (None: no limit)."""
    if limit_db is None:
        return 0.0
    if not isinstance(limit_db, (int, float, np.integer, np.floating)) or not limit_db >= 0:
        raise AudioError(f"limit_db: expected 0 dB or more (the greatest reduction of noise), got {limit_db}")
    return float(10.0 ** (-limit_db / 20))


def limit_of_strength(strength: float) -> float | None:
    """Return the greatest reduction of noise in dB at which `strength`, 0 … 1, of the output is the estimate.

    The rest is the input. None, no limit, for a strength of 1.
    """
    if strength == 0:
        return 0.0
    return None if strength == 1 else -20 * math.log10(1 - strength)


class StreamingPipeline:
    """Enhance S streams of M microphones from `rate_in` to `rate_out`, aligned with the input.

    `dry_mix` is the amplitude factor of the dry signal in the output. `full_band` keeps the band above that of the
    network (`upper_band.py`). A frame of digital silence gives silence. If an estimate is not finite or too large, its
    frames are silenced and the state of that stream is reset, so finite input within ±`audio.contract.LOUDEST` gives
    finite output.
    """

    def __init__(
        self,
        backend: Backend,
        streams: int,
        rate_in: int,
        rate_out: int,
        dry_mix: float = 0.0,
        full_band: bool = True,
    ) -> None:
        rows = streams * backend.microphones
        self.backend, self.streams, self.dry_mix = backend, streams, np.float32(dry_mix)
        self.restarts = 0
        """How often the state of a stream was reset because of an invalid estimate."""
        self._up = StreamingResampler(rate_in, backend.sample_rate, rows)
        self._framer = Framer(rows, backend.hop)
        self._state: State = backend.begin(streams)
        self._adder = OverlapAdder(streams, backend.n_fft)
        self._down = StreamingResampler(backend.sample_rate, rate_out, streams)
        self._dry = StreamingResampler(rate_in, rate_out, streams)
        self._kept = np.zeros((streams, 0), np.float32)
        self._envelope: GainEnvelope | None = None
        if full_band and has_upper_band(backend.sample_rate, rate_in, rate_out):
            self._envelope = GainEnvelope(streams, backend.hop, backend.sample_rate, rate_out)

    def push(self, block: Samples) -> Samples:
        """Process a block `[S, M, n]` and return the samples `[S, m]` that are complete."""
        rows = block.reshape(block.shape[0] * block.shape[1], block.shape[2])
        frames = self._framer.push(self._up.push(rows))
        parts = [
            self._adder.push(self._estimate(frames[:, first : first + FRAMES_AT_ONCE]))
            for first in range(0, frames.shape[1], FRAMES_AT_ONCE)
        ]
        empty = np.zeros((self.streams, 0), np.float32)
        wet = self._down.push(parts[0] if len(parts) == 1 else np.concatenate([*parts, empty], axis=1))
        # Kept for any `dry_mix`, so that states fit streams with another one.
        self._kept = np.concatenate([self._kept, self._dry.push(block[:, 0])], axis=1)
        dry, self._kept = self._kept[:, : wet.shape[1]], self._kept[:, wet.shape[1] :].copy()
        if self._envelope:
            wet = wet + self._envelope.take(wet.shape[1]) * dry
        return wet + self.dry_mix * (dry - wet) if self.dry_mix else wet

    def _estimate(self, frames: Samples) -> Spectrum:
        """Return the spectra `[S, T, F]` to be synthesised for frames `[S·M, T, n_fft]`."""
        estimate, noisy, self._state, restarts = estimate_frames(self.backend, frames, self._state)
        self.restarts += restarts
        if self._envelope is None:
            return estimate
        gains = frame_gains(noisy, estimate)
        self._envelope.push(gains)
        return estimate - gains[:, :, None] * noisy

    def state(self) -> Arrays:
        """Return a copy of the state as arrays by name."""
        rates = {"up": self._up, "down": self._down, "dry": self._dry}
        arrays: Arrays = {f"network.{name}": value.copy() for name, value in self._state.items()}
        for name, rate in rates.items():
            arrays[f"{name}.held"] = rate.held.copy()
            arrays[f"{name}.numerator"] = np.array(rate.numerator)
        arrays["frames"], arrays["overlap"] = self._framer.held.copy(), self._adder.held.copy()
        arrays["kept"] = self._kept.copy()
        if self._envelope:
            arrays["gains"], arrays["gains.position"] = (
                self._envelope.gains.copy(),
                np.array(self._envelope.position),
            )
        return arrays

    def restore(self, arrays: Arrays) -> None:
        """Set the state from the result of `state`. The caller checks names and shapes."""
        self._state = {name: arrays[f"network.{name}"].copy() for name in self._state}
        for name, rate in {"up": self._up, "down": self._down, "dry": self._dry}.items():
            rate.held, rate.numerator = arrays[f"{name}.held"].copy(), int(arrays[f"{name}.numerator"])
        self._framer.held, self._adder.held = arrays["frames"].copy(), arrays["overlap"].copy()
        self._kept = arrays["kept"].copy()
        if self._envelope:
            self._envelope.gains = arrays["gains"].copy()
            self._envelope.position = int(arrays["gains.position"])


class Estimated(NamedTuple):
    """Result of `estimate_frames` for S streams."""

    estimate: Spectrum
    """Estimated spectra `[S, T, F]`."""
    noisy: Spectrum
    """Spectra of the first microphone `[S, T, F]`."""
    state: State
    restarts: int
    """How many streams were reset because their estimate was not finite."""


def estimate_frames(backend: Backend, frames: Samples, state: State) -> Estimated:
    """Process frames with a network.

    Args:
        backend: Executes the network.
        frames: `[S·M, T, n_fft]` for S streams of M microphones.
        state: State of the streams after their previous frames.

    """
    streams = len(frames) // backend.microphones
    spectra = analyze_frames(frames).reshape(streams, backend.microphones, frames.shape[1], -1)
    output, state = backend.step(np.concatenate([spectra.real, spectra.imag], axis=1), state)
    output, state, restarts = _without_faults(backend, output, state)
    estimate: Spectrum = np.empty_like(spectra[:, 0])
    estimate.real, estimate.imag = output[:, 0], output[:, 1]
    if not frames[:, :, backend.hop].all():  # a frame of digital silence has a zero there
        active: NDArray[np.bool_] = (
            (frames != 0).any(axis=2).reshape(streams, -1, frames.shape[1]).any(axis=1)
        )
        estimate[~active] = 0
    return Estimated(estimate, spectra[:, 0], state, restarts)


def _without_faults(backend: Backend, output: Spectra, state: State) -> tuple[Spectra, State, int]:
    """Replace invalid frames by silence and reset the state of their streams."""
    if math.isfinite(energy(output)):  # then no magnitude exceeds 2e19
        return output, state, 0
    with np.errstate(invalid="ignore"):
        values: NDArray[np.bool_] = np.abs(output) <= GREATEST
    finite: NDArray[np.bool_] = np.logical_and.reduce(values, axis=(1, 3))
    invalid: NDArray[np.bool_] = ~np.logical_and.reduce(finite, axis=1)
    initial = backend.begin(len(output))
    for name, value in state.items():
        initial[name][~invalid] = value[~invalid]
    return np.where(finite[:, None, :, None], output, np.float32(0)), initial, int(invalid.sum())
