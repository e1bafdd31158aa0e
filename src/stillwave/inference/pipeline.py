"""The way of a signal through a causal network: rate, frames, network, overlap-add, rate, and the mix.

A `StreamingPipeline` gives what is ready; `stream.py` makes a constant delay of it. All it remembers is in `state()`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from stillwave.audio import Samples
from stillwave.inference.backend import Backend, Spectra, State
from stillwave.inference.streaming_resampler import StreamingResampler
from stillwave.inference.streaming_stft import Framer, OverlapAdder, analyze_frames

FRAMES_AT_ONCE = 64
"""Frames given to the network in one call: enough to keep a core busy, few enough for constant memory."""
GREATEST = 1e20
"""An estimated spectrum beyond this is a fault: its inverse transform could overflow."""
Arrays = dict[str, NDArray[Any]]


class StreamingPipeline:
    """S streams of M microphones at `rate_in` to S streams at `rate_out`, aligned with their input.

    `dry_mix` of the input stays in the mix. A frame of digital silence gives silence, whatever the network would
    make of it. Where an estimate is not finite, or beyond any audio, that stream is silent and its network begins
    anew. So finite input within ±`audio.contract.LOUDEST` gives finite output.
    """

    def __init__(
        self, backend: Backend, streams: int, rate_in: int, rate_out: int, dry_mix: float = 0.0
    ) -> None:
        rows = streams * backend.microphones
        self.backend, self.streams, self.dry_mix = backend, streams, np.float32(dry_mix)
        self.restarts = 0
        """How often a network had to begin anew."""
        self._up = StreamingResampler(rate_in, backend.sample_rate, rows)
        self._framer = Framer(rows, backend.hop)
        self._state: State = backend.begin(streams)
        self._adder = OverlapAdder(streams, backend.n_fft)
        self._down = StreamingResampler(backend.sample_rate, rate_out, streams)
        self._dry = StreamingResampler(rate_in, rate_out, streams)
        self._kept = np.zeros((streams, 0), np.float32)

    def push(self, block: Samples) -> Samples:
        """Take `[S, M, n]` and give the `[S, m]` that are complete."""
        rows = block.reshape(block.shape[0] * block.shape[1], block.shape[2])
        frames = self._framer.push(self._up.push(rows))
        parts = [
            self._adder.push(self._estimate(frames[:, first : first + FRAMES_AT_ONCE]))
            for first in range(0, frames.shape[1], FRAMES_AT_ONCE)
        ]
        wet = self._down.push(np.concatenate([*parts, np.zeros((self.streams, 0), np.float32)], axis=1))
        # Kept even where nothing of it is mixed in, so that a state fits a stream of any `dry_mix`.
        self._kept = np.concatenate([self._kept, self._dry.push(block[:, 0])], axis=1)
        dry, self._kept = self._kept[:, : wet.shape[1]], self._kept[:, wet.shape[1] :].copy()
        return wet + self.dry_mix * (dry - wet) if self.dry_mix else wet

    def _estimate(self, frames: Samples) -> NDArray[np.complex64]:
        """Frames `[S·M, T, n_fft]` to estimated spectra `[S, T, F]`."""
        spectra = analyze_frames(frames).reshape(self.streams, self.backend.microphones, frames.shape[1], -1)
        both = np.concatenate([spectra.real, spectra.imag], axis=1)
        given, self._state = self.backend.step(np.ascontiguousarray(both, np.float32), self._state)
        given = self._without_faults(given)
        by_stream = frames.reshape(self.streams, -1, *frames.shape[1:])
        sounding: NDArray[np.bool_] = (by_stream != 0).any(axis=(1, 3))
        estimate: NDArray[np.complex64] = (given[:, 0] + 1j * given[:, 1]) * sounding[:, :, None]
        return estimate

    def _without_faults(self, given: Spectra) -> Spectra:
        """Replace faulty frames by silence; their networks begin anew, so that no fault lasts."""
        with np.errstate(invalid="ignore"):
            if given.min() >= -GREATEST and given.max() <= GREATEST:  # false for NaN
                return given
            values: NDArray[np.bool_] = np.abs(given) <= GREATEST
        finite: NDArray[np.bool_] = np.logical_and.reduce(values, axis=(1, 3))
        ill: NDArray[np.bool_] = ~np.logical_and.reduce(finite, axis=1)
        self.restarts += int(ill.sum())
        fresh = self.backend.begin(self.streams)
        for name, value in self._state.items():
            fresh[name][~ill] = value[~ill]
        self._state = fresh
        return np.where(finite[:, None, :, None], given, np.float32(0))

    def state(self) -> Arrays:
        """Copies of all that this line remembers."""
        rates = {"up": self._up, "down": self._down, "dry": self._dry}
        arrays: Arrays = {f"network.{name}": value.copy() for name, value in self._state.items()}
        for name, rate in rates.items():
            arrays[f"{name}.held"] = rate.held.copy()
            arrays[f"{name}.numerator"] = np.array(rate.numerator)
        arrays["frames"], arrays["overlap"] = self._framer.held.copy(), self._adder.held.copy()
        arrays["kept"] = self._kept.copy()
        return arrays

    def restore(self, arrays: Arrays) -> None:
        """Take over copies of what `state` gave; names and shapes are the caller's to check."""
        self._state = {name: arrays[f"network.{name}"].copy() for name in self._state}
        for name, rate in {"up": self._up, "down": self._down, "dry": self._dry}.items():
            rate.held, rate.numerator = arrays[f"{name}.held"].copy(), int(arrays[f"{name}.numerator"])
        self._framer.held, self._adder.held = arrays["frames"].copy(), arrays["overlap"].copy()
        self._kept = arrays["kept"].copy()
