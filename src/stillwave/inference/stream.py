"""The public class for live signals: blocks in, blocks of the same shape out, with a constant delay."""

from __future__ import annotations

import copy
import threading
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stillwave.audio import Samples, check, check_array, check_rate, silence_faults
from stillwave.errors import AudioError, StateError
from stillwave.inference.backend import Backend
from stillwave.inference.pipeline import Arrays, StreamingPipeline
from stillwave.inference.streaming_resampler import StreamingResampler

_AT_ONCE = 2**16
"""Greatest number of samples per call of the pipeline, which bounds memory."""


class Stream:
    """Enhance live signals block by block, with a constant delay. Opened by `Enhancer.open`.

    `process` returns as many samples as it is given. Its output is the estimate of the input `delay_samples` before
    (the first `delay_samples` samples are silence); `flush` returns the rest. The result equals `Enhancer.enhance` of
    the whole signal.

    NaN, infinity and values beyond ±2³² are replaced by silence and counted in `repaired`. If the network's estimate
    is not finite, its frames are silenced and its state is reset, counted in `restarts`; the output resumes with the
    next frame. Digital silence gives digital silence.

    Several threads may share a stream; their calls are serialised. A stream can be copied and pickled with its state.

    Args:
        backend: Executes the network.
        rate: Sampling rate of input and output in Hz; by default the network's.
        streams: Number of parallel signals.
        dry_mix: Amplitude factor, 0 … 1, of the dry signal in the output.
        full_band: Keep the band above that of the network; see `Enhancer`.

    Attributes:
        rate: Sampling rate, in Hz.
        streams: Number of parallel signals.
        delay_samples: Delay of the output, in samples at `rate`.
        repaired: Number of samples that were replaced by silence.

    Raises:
        AudioError: `rate` or `streams` is out of range.

    Examples:
        >>> import numpy as np
        >>> import stillwave
        >>> stream = stillwave.load("bsrnn-xs").open(rate=16_000)
        >>> noisy = 0.1 * np.random.default_rng(0).standard_normal(16_000).astype(np.float32)
        >>> parts = [stream.process(block) for block in np.split(noisy, 10)] + [stream.flush()]
        >>> clean = np.concatenate(parts)[stream.delay_samples :]
        >>> clean.shape, stream.delay_samples
        ((16000,), 511)

    """

    def __init__(
        self,
        backend: Backend,
        rate: int | None = None,
        streams: int = 1,
        dry_mix: float = 0.0,
        full_band: bool = True,
    ) -> None:
        if isinstance(streams, bool) or not isinstance(streams, (int, np.integer)) or streams < 1:
            raise AudioError(f"streams: expected a whole number from 1 on, got {streams!r}")
        self.backend = backend
        self.rate = backend.sample_rate if rate is None else check_rate(rate)
        self.streams = int(streams)
        self.delay_samples = delay(backend.sample_rate, self.rate, backend.hop)
        self.repaired = 0
        self._dry_mix, self._full_band = dry_mix, full_band
        self._restarts = 0
        self._lock = threading.RLock()
        self._prepare()
        self._begin()

    def __repr__(self) -> str:
        name = getattr(self.backend, "name", type(self.backend).__name__)
        count = "1 stream" if self.streams == 1 else f"{self.streams} streams"
        delayed = f"delay {self.delay_samples} samples ({1000 * self.delay_seconds:.1f} ms)"
        return f"<Stream of {name}: {self.rate} Hz, {count}, {delayed}>"

    def __getstate__(self) -> dict[str, Any]:
        with self._lock:
            return {name: value for name, value in vars(self).items() if name != "_lock"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state, _lock=threading.RLock())
        self._prepare()

    def __copy__(self) -> Stream:
        """Return a stream with the same backend and a copy of the state."""
        return copy.deepcopy(self, {id(self.backend): self.backend})

    @property
    def delay_seconds(self) -> float:
        """Delay of the output, in seconds."""
        return self.delay_samples / self.rate

    @property
    def restarts(self) -> int:
        """How often the state of a stream was reset because the estimate was not finite."""
        return self._restarts + self._pipeline.restarts

    def process(self, block: NDArray[Any], rate: int | None = None) -> Samples:
        """Enhance the next block.

        Args:
            block: NumPy array `[n]` of one stream or `[streams, n]`, n ≥ 0; for a network for several microphones
                `[microphones, n]` or `[streams, microphones, n]`. Types as in `Enhancer.enhance`.
            rate: Sampling rate of the block in Hz; checked against the stream's.

        Returns:
            Estimate `[n]` or `[streams, n]`, float32, delayed by `delay_samples`.

        Raises:
            AudioError: The shape or type is not accepted.
            StateError: `rate` differs from the stream's.

        """
        if rate is not None and check_rate(rate) != self.rate:
            raise StateError(
                f"the rate of this stream is {self.rate} Hz, that of the block {rate} Hz; "
                "flush it and open another stream"
            )
        with self._lock:
            rows = self._rows(block)
            out = self._advance(rows)
        return out[0] if block.ndim == (1 if self.backend.microphones == 1 else 2) else out

    def flush(self) -> Samples:
        """Return the last `delay_samples` samples, `[m]` of one stream or `[streams, m]`, and reset the stream."""
        silence = np.zeros((self.streams, self.backend.microphones, self.delay_samples), np.float32)
        with self._lock:
            rest = self._advance(silence)
            self.reset()
        return rest[0] if self.streams == 1 else rest

    def reset(self) -> None:
        """Start a new signal with the next block. `repaired` and `restarts` are kept."""
        with self._lock:
            self._restarts += self._pipeline.restarts
            self._begin()

    def _prepare(self) -> None:
        prepare = getattr(self.backend, "prepare_frames", None)
        if prepare and self.streams == 1:
            prepare()

    def _begin(self) -> None:
        self._pipeline = StreamingPipeline(
            self.backend, self.streams, self.rate, self.rate, self._dry_mix, self._full_band
        )
        self._ahead = np.zeros((self.streams, self.delay_samples), np.float32)  # complete, not yet returned

    def state(self) -> Arrays:
        """Return a copy of the state: NumPy arrays by name, which `numpy.savez` can store."""
        with self._lock:
            return {
                "model": np.array(self.backend.fingerprint),
                "rate": np.array(self.rate),
                "ahead": self._ahead.copy(),
                **self._pipeline.state(),
            }

    def restore(self, state: Arrays) -> None:
        """Continue from a state. Raises StateError for a state of another model, rate or number of streams."""
        with self._lock:
            self._check_state(state)
            self._pipeline.restore(state)
            self._ahead = state["ahead"].copy()

    def _advance(self, rows: Samples) -> Samples:
        count = rows.shape[2]
        parts = [self._pipeline.push(rows[:, :, i : i + _AT_ONCE]) for i in range(0, count, _AT_ONCE)]
        ready = np.concatenate([self._ahead, *parts], axis=1)
        self._ahead = ready[:, count:].copy()
        return ready[:, :count]

    def _rows(self, block: NDArray[Any]) -> Samples:
        """Return the block as finite float32 `[S, M, n]`."""
        block = check_array(block, "block")
        microphones = self.backend.microphones
        wanted = (self.streams, microphones)
        if wanted != _leading(block, microphones):
            fits_transposed = block.ndim > 1 and wanted == _leading(np.swapaxes(block, -1, -2), microphones)
            hint = "; transpose it (block.T)" if fits_transposed else ""
            raise AudioError(f"block: expected the shape {self._shapes()}, got {list(block.shape)}{hint}")
        if block.dtype.kind != "f" and block.size:
            return check(block.reshape(-1, block.shape[-1]), "block").reshape(*wanted, -1)
        rows = block.reshape(*wanted, block.shape[-1])
        if rows.dtype != np.float32:
            with np.errstate(over="ignore"):
                rows = rows.astype(np.float32)
        rows, count = silence_faults(rows)
        self.repaired += count
        return rows

    def _shapes(self) -> str:
        inner = (
            "samples" if self.backend.microphones == 1 else f"{self.backend.microphones} microphones, samples"
        )
        several = f"[{self.streams} streams, {inner}]"
        return several if self.streams > 1 else f"[{inner}]"

    def _check_state(self, state: Arrays) -> None:
        if not isinstance(state, Mapping):
            raise StateError(f"state: expected the result of Stream.state, got {type(state).__name__}")
        own = self.state()
        if str(state.get("model")) != str(own["model"]):
            raise StateError("this state belongs to another model; restore it to a stream of that model")
        if int(state["rate"]) != self.rate:
            raise StateError(f"this state has a rate of {int(state['rate'])} Hz, this stream {self.rate} Hz")
        if set(own) != set(state):
            raise StateError(
                "this state belongs to a stream of another bandwidth or version; open a stream as that one was"
            )
        found = len(state["ahead"])
        if found != self.streams:
            raise StateError(f"this state has {found} streams, this stream {self.streams}")
        for name, array in state.items():
            # Buffers vary in length; states of the network have fixed shapes.
            shape = array.shape if name.startswith("network.") else array.shape[:-1]
            own_shape = own[name].shape if name.startswith("network.") else own[name].shape[:-1]
            if shape != own_shape:
                raise StateError(f"this state is damaged: '{name}' has the shape {list(array.shape)}")


def delay(model_rate: int, rate: int, hop: int) -> int:
    """Return the least delay, in samples at `rate`, with which `process` can return blocks of any size.

    After n input samples, the network has completed c = hop·(⌊up(n)/hop⌋ − 1) samples at its own rate, and
    down(c) of them are resampled; the delay is the largest n − down(c). It is largest just before a frame is
    complete. At the network's rate it is 2·hop − 1: a window less one sample.
    """
    up, down = StreamingResampler(rate, model_rate, 1), StreamingResampler(model_rate, rate, 1)
    # Inputs and outputs of the frames k and k + up.up differ by the same time, so one period is sufficient.
    frames = np.arange(1, min(up.up, 2**16) + 2 * (up.reach + down.reach) // hop + 8, dtype=np.int64)
    before = up.needed(frames * hop) - 1
    ready = down.ready(np.maximum(0, frames - 2) * hop)
    return int((before - ready).max())


def _leading(block: NDArray[Any], microphones: int) -> tuple[int, int] | None:
    """Return (streams, microphones) of a block, or None for a shape that no stream accepts."""
    if microphones == 1:
        return {1: (1, 1), 2: (block.shape[0], 1)}.get(block.ndim) if block.ndim in (1, 2) else None
    if block.ndim == 2:
        return (1, block.shape[0])
    return (block.shape[0], block.shape[1]) if block.ndim == 3 else None
