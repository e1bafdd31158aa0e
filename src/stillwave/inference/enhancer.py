"""The enhancer: any rate, channels and length around a network for one rate, one channel and some seconds or frames."""

from __future__ import annotations

import copy
import logging
import math
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from stillwave.audio import Samples, check, check_array, check_channels, check_rate, silence_faults
from stillwave.errors import AudioError, StateError, StillwaveError
from stillwave.inference.causal_file import causal_blocks
from stillwave.inference.loading import make_backend, open_model
from stillwave.inference.offline_file import OfflineBlocks
from stillwave.inference.windows import GRID

if TYPE_CHECKING:
    from stillwave.inference.backend import Backend
    from stillwave.inference.files import FileReport
    from stillwave.inference.offline_backend import OfflineBackend
    from stillwave.inference.onnx_model import OnnxModel
    from stillwave.inference.stream import Stream
    from stillwave.models import Denoiser

WINDOW_SECONDS, OVERLAP_SECONDS = 10.0, 2.0
"""Measured: docs/design.md, "Long recordings", by benchmarks/enhance_blocks.py."""
_BLOCK_SECONDS = 5
logger = logging.getLogger(__name__)


def load(
    model: Path | str | bytes | None = None,
    device: str | None = None,
    *,
    window_seconds: float = WINDOW_SECONDS,
    overlap_seconds: float = OVERLAP_SECONDS,
    batch: int | None = None,
) -> Enhancer:
    """An enhancer: by default with the model that ships as the default, which needs no PyTorch.

    `model` is a shipped model's name (`stillwave models` lists them; `NAME-int8` is the small form), an exported
    `.onnx` file, or, with PyTorch, a checkpoint or run folder. What exists on disk comes before a name (`weights`).
    `device` is for checkpoints: by default a GPU where there is one. The other options are those of `Enhancer`.
    Raises `CheckpointError`, and `MissingExtraError` for a folder without PyTorch.
    """
    network = open_model(model, device)
    return Enhancer(network, window_seconds=window_seconds, overlap_seconds=overlap_seconds, batch=batch)


class Enhancer:
    """Denoises recordings and live sound with a network, at any rate.

    `model` is a `Denoiser` (or any module with `sample_rate` and `microphones`), an exported network
    (`deploy.onnx_file.read`), or an `Backend`.

    What goes out has the length, alignment, level and polarity of what came in. A network for one microphone
    takes each channel by itself; one for several takes that many channels and gives one. The sound is resampled to
    the network's rate and back, so that nothing is left above half of it (8 kHz), unless `limit_db` leaves
    some of the input there.

    A causal network goes through a recording frame by frame, and through live sound (`open`, `process`) with the
    same result. Any other gets recordings up to `window_seconds` at one go; longer ones in windows of that
    length which overlap by `overlap_seconds` (see `windows.py`). Memory does not grow with the length. `batch`
    is how many windows (of different channels or times) the network gets at once; by default 8 on a GPU and
    1 on a CPU.

    An enhancer may be used by several threads at once, but for `process` and `flush`, which are one stream. It can
    be pickled and copied, and so be sent to other processes, with what its own stream remembers.
    """

    def __init__(
        self,
        model: Denoiser | OnnxModel | Backend | OfflineBackend,
        *,
        window_seconds: float = WINDOW_SECONDS,
        overlap_seconds: float = OVERLAP_SECONDS,
        batch: int | None = None,
    ) -> None:
        if not 0 < overlap_seconds <= window_seconds / 2 < math.inf:
            raise StillwaveError(
                f"windows of {window_seconds} s cannot overlap by {overlap_seconds} s; "
                "the overlap must be above 0 and at most half a window"
            )
        if batch is not None and not (isinstance(batch, int) and batch >= 1):
            raise StillwaveError(
                f"batch: expected a whole number of windows at once, 1 or more, got {batch!r}"
            )
        self.model = model
        self.backend: Backend | None
        """What runs a causal network; None for one that sees whole windows."""
        self.backend, self._whole = make_backend(model)
        network = self.backend or self._whole
        assert network is not None
        self.sample_rate, self.microphones = network.sample_rate, network.microphones
        self.overlap = _on_grid(overlap_seconds * self.sample_rate)
        self.window = max(_on_grid(window_seconds * self.sample_rate), 2 * self.overlap)
        self.device = str(getattr(network, "device", "cpu"))
        self.batch = batch or (1 if self.device == "cpu" else 8)
        self.name = str(getattr(network, "name", type(network).__name__))
        """What `repr` calls the model: a shipped model's or file's name, or a class."""
        self.concurrent = bool(getattr(network, "concurrent", False))
        """Whether threads can enhance at once, each on its core; a PyTorch network uses all cores by itself."""
        self._live: Stream | None = None
        self._lock = threading.RLock()

    def __repr__(self) -> str:
        takes = "1 microphone" if self.microphones == 1 else f"{self.microphones} microphones"
        if self.backend is None:
            how = f"whole windows of {self.window / self.sample_rate:g} s, so it cannot stream"
        else:
            delay = 2 * self.backend.hop - 1
            how = f"streams with a delay of {delay} samples ({1000 * delay / self.sample_rate:.1f} ms)"
        return f"<Enhancer {self.name}: {self.sample_rate} Hz, {takes}, {how}>"

    def __getstate__(self) -> dict[str, Any]:
        with self._lock:
            return {name: value for name, value in vars(self).items() if name != "_lock"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state, _lock=threading.RLock())

    def __copy__(self) -> Enhancer:
        """An enhancer with the same network and a stream of its own."""
        other = Enhancer.__new__(Enhancer)
        other.__setstate__({**self.__getstate__(), "_live": copy.copy(self._live)})
        return other

    def open(self, rate: int | None = None, streams: int = 1, limit_db: float | None = None) -> Stream:
        """Begin one or many streams of live sound at `rate` Hz, by default the network's (see `Stream`).

        They share the network, not its memory; streams that are opened together run together, at less cost.
        Raises `StateError` for a network that needs the whole signal, `AudioError` for a bad option.
        """
        from stillwave.inference.stream import Stream

        if self.backend is None:
            raise StateError(
                "this network needs the whole signal, so it cannot stream; use a causal one (`model: bsrnn-s`, say)"
            )
        return Stream(self.backend, rate, streams, _dry_mix(limit_db))

    def process(self, block: NDArray[Any], rate: int | None = None) -> Samples:
        """The next block of live sound, on a stream of the enhancer's own: as `Stream.process`.

        The first block opens it, at `rate` (by default the network's) and with one stream for each row, and is
        refused if it has more rows than samples: that is `[samples, channels]`, as sounddevice gives it.
        """
        with self._lock:
            live = self._live or self._opened_for(check_array(block, "block"), rate)
            out = live.process(block, rate)
            self._live = live  # not before: a block that is refused opens nothing
            return out

    def _opened_for(self, block: NDArray[Any], rate: int | None) -> Stream:
        rows = len(block) if block.ndim == (2 if self.microphones == 1 else 3) else 1
        if rows > block.shape[-1] > 0 if block.ndim > 1 else False:
            shape, inner = list(block.shape), "samples" if self.microphones == 1 else "microphones, samples"
            raise AudioError(
                f"block: the shape {shape} means {rows} streams of {shape[-1]} samples; expected [streams, {inner}], "
                f"so transpose it (block.T), or open that many with open(streams={rows})"
            )
        return self.open(rate, rows)

    def flush(self) -> Samples:
        """The end of what `process` was given; the next block may have another rate and shape."""
        with self._lock:
            if self._live is None:
                raise StateError("there is nothing to flush; `process` a block first")
            live, self._live = self._live, None
            return live.flush()

    def enhance(
        self,
        samples: Samples,
        rate: int,
        *,
        limit_db: float | None = None,
        rate_out: int | None = None,
        progress: Callable[[int], object] | None = None,
    ) -> Samples:
        """Denoise `[channels, n]` or `[n]` at `rate` Hz (types as `audio.check`); the same shape, float32.

        `limit_db` is by how much noise is lowered at most: that share of the input stays in the mix, at all
        frequencies; None lowers it as far as the network does, 0 returns the input. `rate_out` asks for
        another rate than the input's. `progress` is called with the number of samples (of each channel) that are
        done since its last call. Silence gives silence. Raises `AudioError`, for NaN and infinity too; values beyond
        ±2³², which are no audio, are taken as silence with a warning in the log.
        """
        rows = check(samples)
        size = _BLOCK_SECONDS * check_rate(rate)
        blocks = (rows[:, i : i + size] for i in range(0, rows.shape[1], size))
        pieces = []
        for piece in self.stream(blocks, rate, len(rows), limit_db=limit_db, rate_out=rate_out):
            pieces.append(piece)
            if progress:
                progress(piece.shape[1])
        out = np.concatenate([*pieces, np.zeros((self.channels_out(len(rows)), 0), np.float32)], axis=1)
        return out[0] if samples.ndim == 1 else out

    def enhance_file(
        self,
        source: Path | str | bytes,
        target: Path | str | bytes,
        *,
        limit_db: float | None = None,
        rate: int | None = None,
        overwrite: bool = False,
        progress: Callable[[int], object] | None = None,
        rate_out: int | None = None,
    ) -> FileReport:
        """Denoise a recording into another file, in constant memory; see `files.enhance_file`.

        `rate` (or `rate_out`) is the output's sampling rate in Hz, by default the input's. `overwrite` replaces a
        target that exists. `progress` is called with the number of samples (of each channel) written since its last
        call.
        """
        from stillwave.inference.files import enhance_file

        rate_out = rate if rate_out is None else rate_out
        return enhance_file(
            self,
            source,
            target,
            limit_db=limit_db,
            rate_out=None if rate_out is None else check_rate(rate_out, "rate"),
            overwrite=overwrite,
            progress=progress,
        )

    def channels_out(self, channels: int) -> int:
        """How many channels come out for so many in; `AudioError` where the network cannot take them."""
        channels = check_channels(channels, "channels")
        if self.microphones == 1:
            return channels
        if channels != self.microphones:
            raise AudioError(
                f"this network takes recordings of {self.microphones} channels, this one has {channels}"
            )
        return 1

    def stream(
        self,
        blocks: Iterable[Samples],
        rate: int,
        channels: int,
        *,
        limit_db: float | None = None,
        rate_out: int | None = None,
    ) -> Iterator[Samples]:
        """`enhance` for a recording that comes in blocks `[channels, n]` (types as `audio.check`).

        Gives blocks of other sizes, of `round(n · rate_out / rate)` samples in all, up to a window later.
        """
        rates = check_rate(rate), check_rate(rate if rate_out is None else rate_out)
        outputs = self.channels_out(channels)
        dry_mix = _dry_mix(limit_db)
        blocks = _sound(blocks, channels)
        if self.backend is not None:
            given = causal_blocks(self.backend, blocks, channels, rates, dry_mix)
        else:
            assert self._whole is not None
            offline = OfflineBlocks(self._whole, self.window, self.overlap, self.batch)
            given = offline.enhance(blocks, channels, outputs, rates, dry_mix)
        yield from (samples for samples in given if samples.shape[1])


def _sound(blocks: Iterable[Samples], channels: int) -> Iterator[Samples]:
    """The same with silence for what is no audio; says at the end how much that was."""
    total = 0
    for block in blocks:
        rows = check_array(block, "block")
        if rows.ndim != 2 or len(rows) != channels:
            raise AudioError(f"block: expected the shape [{channels}, samples], got {list(rows.shape)}")
        if rows.dtype != np.float32:
            rows = check(rows, "block") if rows.size else rows.astype(np.float32)
        rows, count = silence_faults(rows)
        total += count
        yield rows
    if total:
        logger.warning("samples beyond any audio (±2³²), which were taken as silence: %d", total)


def _dry_mix(limit_db: float | None) -> float:
    if limit_db is None:
        return 0.0
    if not isinstance(limit_db, (int, float, np.integer, np.floating)) or not limit_db >= 0:
        raise AudioError(
            f"limit_db: expected 0 dB or more, the most that noise is lowered by; got {limit_db}"
        )
    return float(10.0 ** (-limit_db / 20))


def _on_grid(samples: float) -> int:
    return max(GRID, round(samples / GRID) * GRID)
