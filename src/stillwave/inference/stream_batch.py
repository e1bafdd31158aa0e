"""Many independent live signals of one network, whose frames are processed in common calls.

A call of the network for one frame of 16 streams costs a few times that of one stream (docs/how-to/web.md), so a
service collects the frames that have arrived. Each stream has blocks of its own sizes, its own rate and its own end.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from stillwave.audio import Samples, silence_faults
from stillwave.errors import StateError
from stillwave.inference.backend import Backend, State
from stillwave.inference.pipeline import estimate_frames
from stillwave.inference.stream import delay
from stillwave.inference.streaming_resampler import StreamingResampler
from stillwave.inference.streaming_stft import OverlapAdder, synthesize_frames
from stillwave.inference.upper_band import GainEnvelope, frame_gains, has_upper_band

MOST_FRAMES = 8
"""Greatest number of frames of each stream in one call, which bounds the time that the others wait."""


class BatchedStream:
    """One live signal of several channels, each of which is processed separately. Opened by `StreamBatch.open`.

    The output belongs to the input sample by sample and is returned when it is complete, at most `delay_samples`
    later. After `finish` it has as many samples as the input.

    Attributes:
        rate: Sampling rate of input and output, in Hz.
        channels: Number of channels.
        delay_samples: Greatest delay of the output, in samples at `rate`.
        received: Samples per channel that were pushed.
        returned: Samples per channel that were returned.
        repaired: Values that were replaced by silence: NaN, infinity and values beyond ±2³².

    """

    def __init__(
        self, backend: Backend, rate: int, channels: int, dry_mix: float, slots: Sequence[int]
    ) -> None:
        self.rate, self.channels = rate, channels
        self.delay_samples = delay(backend.sample_rate, rate, backend.hop)
        self.received = self.returned = self.repaired = 0
        self.slots = list(slots)
        """Rows of the states in the batch."""
        self._hop, self._dry_mix = backend.hop, np.float32(dry_mix)
        self._up = StreamingResampler(rate, backend.sample_rate, channels)
        self._down = StreamingResampler(backend.sample_rate, rate, channels)
        self._adder = OverlapAdder(channels, backend.n_fft)
        self._held = np.zeros((channels, backend.hop), np.float32)
        self._dry = np.zeros((channels, 0), np.float32)
        self._envelope: GainEnvelope | None = None
        if has_upper_band(backend.sample_rate, rate, rate):
            self._envelope = GainEnvelope(channels, backend.hop, backend.sample_rate, rate)
        self._finished = False

    @property
    def frames(self) -> int:
        """Number of frames that can be processed."""
        return self._held.shape[1] // self._hop - 1

    @property
    def ended(self) -> bool:
        """Whether the signal is finished and all of its output was returned."""
        return self._finished and self.returned == self.received

    def push(self, block: Samples) -> None:
        """Append samples `[channels, n]`."""
        rows, faults = silence_faults(block)
        self.repaired += faults
        self.received += rows.shape[1]
        self._append(rows)

    def finish(self) -> None:
        """End the signal: the rest of the output can be processed."""
        self._finished = True
        self._append(np.zeros((self.channels, self.delay_samples), np.float32))

    def _append(self, rows: Samples) -> None:
        self._held = np.concatenate([self._held, self._up.push(rows)], axis=1)
        if self._envelope or self._dry_mix:
            self._dry = np.concatenate([self._dry, rows], axis=1)

    def take(self, count: int) -> Samples:
        """Return the next frames `[channels, count, n_fft]`."""
        hop = self._hop
        halves = self._held[:, : (count + 1) * hop].reshape(self.channels, count + 1, hop)
        self._held = self._held[:, count * hop :]
        return np.concatenate([halves[:, :-1], halves[:, 1:]], axis=2)

    @property
    def keeps_upper_band(self) -> bool:
        """Whether the output has a band above that of the network."""
        return self._envelope is not None

    def give(self, frames: Samples, gains: Samples) -> Samples:
        """Take processed frames and return the samples `[channels, m]` that are complete.

        Args:
            frames: Windowed frames `[channels, T, n_fft]`, less `gains` times the input if `keeps_upper_band`.
            gains: Gains `[channels, T]` of the upper band.

        """
        samples = self._down.push(self._adder.add(frames))
        count = min(samples.shape[1], self.received - self.returned)
        samples = samples[:, :count]
        self.returned += count
        if not self._envelope and not self._dry_mix:
            return samples
        dry, self._dry = self._dry[:, :count], self._dry[:, count:]
        if self._envelope:
            self._envelope.push(gains)
            samples = samples + self._envelope.take(count) * dry
        return samples + self._dry_mix * (dry - samples) if self._dry_mix else samples


class StreamBatch:
    """Streams of one network, for use by one thread.

    Args:
        backend: Executes the network, which has one microphone.

    Raises:
        StateError: The network has several microphones.

    """

    def __init__(self, backend: Backend) -> None:
        if backend.microphones != 1:
            raise StateError("streams of a network for several microphones cannot be processed together")
        self.backend = backend
        self.restarts = 0
        """How often the state of a stream was reset because the estimate was not finite."""
        self._state: State = backend.begin(0)
        self._free: list[int] = []

    def open(self, rate: int, channels: int = 1, dry_mix: float = 0.0) -> BatchedStream:
        """Open a stream; `dry_mix` as in `Stream`."""
        if len(self._free) < channels:
            self._grow(channels)
        slots = [self._free.pop() for _ in range(channels)]
        for name, value in self.backend.begin(channels).items():
            self._state[name][slots] = value
        return BatchedStream(self.backend, rate, channels, dry_mix, slots)

    def _grow(self, channels: int) -> None:
        size = next((len(value) for value in self._state.values()), 0)
        more = self.backend.begin(max(channels, size))
        self._state = {name: np.concatenate([value, more[name]]) for name, value in self._state.items()}
        self._free += range(size, size + max(channels, size))

    def close(self, stream: BatchedStream) -> None:
        """Release the states of a stream."""
        self._free += stream.slots
        stream.slots = []

    def step(self, streams: Sequence[BatchedStream]) -> list[Samples]:
        """Process the next frames of streams that have some, with one call of the network.

        All contribute the same number of frames: that of the stream with the fewest, at most `MOST_FRAMES`.

        Args:
            streams: Streams with `frames` ≥ 1.

        Returns:
            The samples `[channels, m]` of each stream that are complete.

        """
        count = min(MOST_FRAMES, *(stream.frames for stream in streams))
        frames = np.concatenate([stream.take(count) for stream in streams])
        slots = [slot for stream in streams for slot in stream.slots]
        state = {name: value[slots] for name, value in self._state.items()}
        estimate, noisy, state, restarts = estimate_frames(self.backend, frames, state)
        self.restarts += restarts
        for name, value in state.items():
            self._state[name][slots] = value
        counts = [stream.channels for stream in streams]
        kept = np.repeat([stream.keeps_upper_band for stream in streams], counts)
        gains = np.zeros(noisy.shape[:2], np.float32)
        gains[kept] = frame_gains(noisy[kept], estimate[kept])
        parts = synthesize_frames(estimate - gains[:, :, None] * noisy, self.backend.n_fft)
        bounds = np.cumsum(counts)[:-1]
        each = zip(streams, np.split(parts, bounds), np.split(gains, bounds), strict=True)
        return [stream.give(frames, own) for stream, frames, own in each]
