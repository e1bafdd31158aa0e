"""Live sound through a causal network: a block in, a block of the same shape out, a constant delay behind it."""

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
"""Samples that go through at once, at most: bounds the memory for what is in between."""


class Stream:
    """One or many streams of one model, in step with one another. Made by `Enhancer.open`.

    Every `process` gives as many samples as it takes. What goes out now is the estimate of what came in
    `delay_samples` before (the first `delay_samples` out are silence); `flush` gives the rest.

    NaN, infinity and values beyond ±2³² in a block count as silence and are counted in `repaired`; nothing of them is
    left in the stream. If a network's estimate is not finite all the same, its frames are silent and the network
    begins anew, counted in `restarts`: it recovers with the next frame. Digital silence gives digital silence.

    Calls from several threads are run one after the other. A stream can be pickled and copied, with all that it
    remembers; the copy goes on by itself.
    """

    def __init__(
        self, backend: Backend, rate: int | None = None, streams: int = 1, dry_mix: float = 0.0
    ) -> None:
        if isinstance(streams, bool) or not isinstance(streams, (int, np.integer)) or streams < 1:
            raise AudioError(f"streams: expected a whole number from 1 on, got {streams!r}")
        self.backend = backend
        self.rate = backend.sample_rate if rate is None else check_rate(rate)
        self.streams = int(streams)
        self.delay_samples = delay(backend.sample_rate, self.rate, backend.hop)
        """Samples, at `rate`, by which the output is behind the input."""
        self.repaired = 0
        """Samples that were NaN, infinite or beyond ±2³², and were taken as silence."""
        self._dry_mix = dry_mix
        self._restarts = 0
        self._lock = threading.RLock()
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

    def __copy__(self) -> Stream:
        """A stream of the same engine with a memory of its own."""
        return copy.deepcopy(self, {id(self.backend): self.backend})

    @property
    def delay_seconds(self) -> float:
        """`delay_samples` in seconds."""
        return self.delay_samples / self.rate

    @property
    def restarts(self) -> int:
        """How often a stream's network had to begin anew because its estimate was not finite."""
        return self._restarts + self._pipeline.restarts

    def process(self, block: NDArray[Any], rate: int | None = None) -> Samples:
        """The next samples, of any number (none, too): `[n]` of one stream, or `[streams, n]`. Types as `audio.check`.

        With several microphones, `[microphones, n]` of one stream gives `[n]`, and `[streams, microphones, n]`
        gives `[streams, n]`. `rate`, where given, must be the stream's: a stream cannot change its rate.

        Raises AudioError for another shape or type, StateError for another rate.
        """
        if rate is not None and check_rate(rate) != self.rate:
            raise StateError(
                f"this stream runs at {self.rate} Hz, the block is at {rate} Hz; flush it and open another one"
            )
        with self._lock:
            rows = self._rows(block)
            out = self._advance(rows)
        return out[0] if block.ndim == (1 if self.backend.microphones == 1 else 2) else out

    def flush(self) -> Samples:
        """The last `delay_samples` samples, `[m]` of one stream or `[streams, m]`; the stream then begins anew."""
        silence = np.zeros((self.streams, self.backend.microphones, self.delay_samples), np.float32)
        with self._lock:
            rest = self._advance(silence)
            self.reset()
        return rest[0] if self.streams == 1 else rest

    def reset(self) -> None:
        """Forget what came so far: the next block is the beginning of a signal. The counts stay."""
        with self._lock:
            self._restarts += self._pipeline.restarts
            self._begin()

    def _begin(self) -> None:
        self._pipeline = StreamingPipeline(self.backend, self.streams, self.rate, self.rate, self._dry_mix)
        self._ahead = np.zeros((self.streams, self.delay_samples), np.float32)  # ready, and not given out yet

    def state(self) -> Arrays:
        """A copy of all that the stream remembers: NumPy arrays by name (`numpy.savez` keeps them)."""
        with self._lock:
            return {
                "model": np.array(self.backend.fingerprint),
                "rate": np.array(self.rate),
                "ahead": self._ahead.copy(),
                **self._pipeline.state(),
            }

    def restore(self, state: Arrays) -> None:
        """Go on from a state: of this model, at this rate, with as many streams. Raises StateError otherwise."""
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
        """A block as finite float32 `[S, M, n]`."""
        block = check_array(block, "block")
        microphones = self.backend.microphones
        wanted = (self.streams, microphones)
        if wanted != _leading(block, microphones):
            turned = block.ndim > 1 and wanted == _leading(np.swapaxes(block, -1, -2), microphones)
            hint = "; transpose it (block.T)" if turned else ""
            raise AudioError(f"block: expected the shape {self._shapes()}, got {list(block.shape)}{hint}")
        if block.dtype.kind != "f" and block.size:
            return check(block.reshape(-1, block.shape[-1]), "block").reshape(*wanted, -1)
        with np.errstate(over="ignore"):
            rows = block.reshape(*wanted, block.shape[-1]).astype(np.float32, copy=False)
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
            raise StateError(f"state: expected what Stream.state gives, got {type(state).__name__}")
        own = self.state()
        strange = sorted(set(own) ^ set(state))
        if strange or str(state["model"]) != str(own["model"]):
            raise StateError(
                "this state is of another model; restore it to a stream of the model that it is of"
            )
        if int(state["rate"]) != self.rate:
            raise StateError(
                f"this state is of a stream at {int(state['rate'])} Hz, this one runs at {self.rate} Hz"
            )
        found = len(state["ahead"])
        if found != self.streams:
            raise StateError(f"this state holds {found} streams, this one has {self.streams}")
        for name, array in state.items():
            # What is held back for the next block varies in length; all else has one shape.
            fixed = array.shape if name.startswith("network.") else array.shape[:-1]
            ours = own[name].shape if name.startswith("network.") else own[name].shape[:-1]
            if fixed != ours:
                raise StateError(f"this state is damaged: '{name}' is {list(array.shape)}")


def delay(model_rate: int, rate: int, hop: int) -> int:
    """The least delay, in samples at `rate`, at which blocks of any size can be answered in full.

    After n samples are in, the network has completed c = hop·(⌊up(n)/hop⌋ − 1) samples at its own rate, and
    down(c) of them are ready; the delay is the largest n − down(c). It is largest just before a frame is complete.
    At the network's own rate that is 2·hop − 1: a window, less the sample that completes it.
    """
    up, down = StreamingResampler(rate, model_rate, 1), StreamingResampler(model_rate, rate, 1)
    # n for frame k and n for frame k + up.up are `up.down · hop` apart, and so are the outputs: one period is all.
    frames = np.arange(1, min(up.up, 2**16) + 2 * (up.reach + down.reach) // hop + 8, dtype=np.int64)
    before = up.needed(frames * hop) - 1
    ready = down.ready(np.maximum(0, frames - 2) * hop)
    return int((before - ready).max())


def _leading(block: NDArray[Any], microphones: int) -> tuple[int, int] | None:
    """(streams, microphones) of a block's shape; None for a shape that no stream has."""
    if microphones == 1:
        return {1: (1, 1), 2: (block.shape[0], 1)}.get(block.ndim) if block.ndim in (1, 2) else None
    if block.ndim == 2:
        return (1, block.shape[0])
    return (block.shape[0], block.shape[1]) if block.ndim == 3 else None
