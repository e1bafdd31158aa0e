"""The public class for recordings: resampling, channels, windows and limits around a network."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from stillwave.audio import Samples, check, check_channels, check_rate
from stillwave.errors import AudioError, StateError, StillwaveError
from stillwave.inference.causal_file import causal_blocks
from stillwave.inference.chunked_input import checked_blocks
from stillwave.inference.keep_clean import KeepClean
from stillwave.inference.loading import causal_backend, make_backend, open_model
from stillwave.inference.offline_file import GRID, OfflineBlocks
from stillwave.inference.pipeline import dry_mix_of

if TYPE_CHECKING:
    from stillwave.inference.backend import Backend
    from stillwave.inference.files import FileReport
    from stillwave.inference.offline_backend import OfflineBackend
    from stillwave.inference.onnx_model import OnnxModel
    from stillwave.inference.stream import Stream
    from stillwave.models import Denoiser

WINDOW_SECONDS, OVERLAP_SECONDS = 10.0, 2.0
"""Chosen by measurement: docs/design.md, "Long recordings"; benchmarks/enhance_blocks.py."""
_BLOCK_SECONDS = 5
Bandwidth = Literal["full", "model"]


def load(
    model: Path | str | bytes | None = None,
    device: str | None = None,
    *,
    window_seconds: float = WINDOW_SECONDS,
    overlap_seconds: float = OVERLAP_SECONDS,
    batch: int | None = None,
    bandwidth: Bandwidth = "full",
    keep_clean: bool = False,
) -> Enhancer:
    """Return an enhancer with a trained network.

    Args:
        model: Name of a shipped model (`stillwave models` lists them; `NAME-int8` has weights in 8 bits), an exported
            `.onnx` file, or, with PyTorch installed, a checkpoint or run folder. Existing paths take precedence over
            names. By default the default model, which needs no PyTorch.
        device: PyTorch device of a checkpoint; by default a GPU if there is one.
        window_seconds: See `Enhancer`.
        overlap_seconds: See `Enhancer`.
        batch: See `Enhancer`.
        bandwidth: See `Enhancer`.
        keep_clean: Leave recordings and passages that are clean already as they are; for causal networks.

    Raises:
        CheckpointError: `model` is unknown or cannot be read, or `device` is no device.
        MissingExtraError: A checkpoint folder is given and PyTorch is not installed.
        StillwaveError: `keep_clean` is set and the network is not causal.

    """
    network = open_model(model, device)
    options = {"window_seconds": window_seconds, "overlap_seconds": overlap_seconds}
    if keep_clean:
        network = KeepClean(causal_backend(network, "keep_clean"))
    return Enhancer(network, **options, batch=batch, bandwidth=bandwidth)


class Enhancer:
    """Enhance recordings of any rate, length and number of channels with a network.

    The output has the length, alignment, level and polarity of the input. A network for one microphone processes each
    channel separately; a network for several takes that many channels and returns one. Signals are resampled to the
    network's rate and back. The band above half of that rate (8 kHz at 16 kHz), which the network does not process, is
    attenuated as the uppermost third of the network's band, frame by frame; nothing is added to it.

    A causal network processes a recording frame by frame, with the same result as a live stream (`open`). A non-causal
    network processes up to `window_seconds` at once, and longer recordings in overlapping windows that are
    cross-faded. Memory does not grow with the length of a recording.

    Several threads may share an enhancer. It can be copied and pickled, and so be sent to other processes.

    Args:
        model: A `Denoiser` (or any PyTorch module with `sample_rate` and `microphones`), an exported network from
            `stillwave.inference.onnx_model.read`, or a backend.
        window_seconds: Length of a window for non-causal networks.
        overlap_seconds: Overlap of two windows, at most half of `window_seconds`.
        batch: Number of windows (of different channels or times) that are processed at once; by default 8 on a GPU
            and 1 on a CPU.
        bandwidth: `full`: the output has the bandwidth of the input. `model`: the output has nothing above half of the
            network's rate, unless `limit_db` keeps part of the input.

    Attributes:
        sample_rate: Rate of the network, in Hz.
        microphones: Number of input channels of the network.
        name: Name of the shipped model or file, or the class of the module.

    Raises:
        StillwaveError: An option is out of range, or `model` is not a network.

    Examples:
        >>> import numpy as np
        >>> import stillwave
        >>> enhancer = stillwave.load("bsrnn-xs")
        >>> noisy = 0.1 * np.random.default_rng(0).standard_normal((2, 48_000)).astype(np.float32)
        >>> enhancer.enhance(noisy, 48_000).shape
        (2, 48000)

    """

    def __init__(
        self,
        model: Denoiser | OnnxModel | Backend | OfflineBackend,
        *,
        window_seconds: float = WINDOW_SECONDS,
        overlap_seconds: float = OVERLAP_SECONDS,
        batch: int | None = None,
        bandwidth: Bandwidth = "full",
    ) -> None:
        if bandwidth not in ("full", "model"):
            raise StillwaveError(f"bandwidth: expected 'full' or 'model', got {bandwidth!r}")
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
        """Executes a causal network; None for a non-causal one."""
        self.backend, self._offline = make_backend(model)
        network = self.backend or self._offline
        assert network is not None
        self.sample_rate, self.microphones = network.sample_rate, network.microphones
        self.overlap = _on_grid(overlap_seconds * self.sample_rate)
        self.window = max(_on_grid(window_seconds * self.sample_rate), 2 * self.overlap)
        self.device = str(getattr(network, "device", "cpu"))
        self.batch = batch or (1 if self.device == "cpu" else 8)
        self.bandwidth = bandwidth
        self.name = str(getattr(network, "name", type(network).__name__))
        self.concurrent = bool(getattr(network, "concurrent", False))
        """Whether several threads can enhance at once, each on its core; PyTorch uses all cores for one call."""

    def __repr__(self) -> str:
        inputs = "1 microphone" if self.microphones == 1 else f"{self.microphones} microphones"
        if self.backend is None:
            mode = f"windows of {self.window / self.sample_rate:g} s, no streaming"
        else:
            delay = 2 * self.backend.hop - 1
            mode = f"streams with a delay of {delay} samples ({1000 * delay / self.sample_rate:.1f} ms)"
        return f"<Enhancer {self.name}: {self.sample_rate} Hz, {inputs}, {mode}>"

    def open(self, rate: int | None = None, streams: int = 1, limit_db: float | None = None) -> Stream:
        """Open a stream for live signals. All streams share the network, not its state.

        Args:
            rate: Sampling rate of input and output in Hz; by default the network's.
            streams: Number of parallel signals in one batch, which costs less than one stream each.
            limit_db: Greatest reduction of noise in dB, as in `enhance`.

        Raises:
            StateError: The network is not causal.
            AudioError: An option is out of range.

        """
        from stillwave.inference.stream import Stream

        if self.backend is None:
            raise StateError(
                "this network needs the whole signal, so it cannot stream; use a causal one, such as 'bsrnn-s'"
            )
        return Stream(self.backend, rate, streams, dry_mix_of(limit_db), self.bandwidth == "full")

    def enhance(
        self,
        samples: Samples,
        rate: int,
        *,
        limit_db: float | None = None,
        rate_out: int | None = None,
        progress: Callable[[int], object] | None = None,
    ) -> Samples:
        """Enhance a recording in memory.

        Args:
            samples: NumPy array `[n]` or `[channels, n]`: float16, float32 or float64 with full scale ±1, or uint8,
                int16 or int32. Values beyond ±2³² are replaced by silence, with a warning in the log.
            rate: Sampling rate in Hz.
            limit_db: Greatest reduction of noise in dB: the input stays in the output, reduced by that much, at all
                frequencies. None sets no limit; 0 returns the input.
            rate_out: Sampling rate of the output in Hz; by default `rate`.
            progress: Called with the number of samples per channel that were finished since the last call.

        Returns:
            The estimate, float32, in the shape of `samples` (one channel from a network for several microphones).
            Digital silence gives digital silence.

        Raises:
            AudioError: The type, shape or rate is not accepted, or `samples` contains NaN or infinity.

        """
        rows = check(samples)
        size = _BLOCK_SECONDS * check_rate(rate)
        blocks = (rows[:, i : i + size] for i in range(0, rows.shape[1], size))
        pieces = []
        for piece in self.enhance_blocks(blocks, rate, len(rows), limit_db=limit_db, rate_out=rate_out):
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
        """Enhance an audio or video file in constant memory; see `stillwave.inference.enhance_file`.

        Args:
            source: File to read.
            target: File to write; its suffix sets the format.
            limit_db: Greatest reduction of noise in dB, as in `enhance`.
            rate: Sampling rate of the output in Hz; by default the input's.
            overwrite: Replace an existing target.
            progress: Called with the number of samples per channel that were written since the last call.
            rate_out: The same as `rate`.

        Raises:
            AudioError: A file cannot be read or written, or `target` exists and `overwrite` is not set.

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
        """Return the number of output channels. Raises AudioError if the network does not accept `channels`."""
        channels = check_channels(channels, "channels")
        if self.microphones == 1:
            return channels
        if channels != self.microphones:
            raise AudioError(f"the network needs {self.microphones} channels, the recording has {channels}")
        return 1

    def enhance_blocks(
        self,
        blocks: Iterable[Samples],
        rate: int,
        channels: int,
        *,
        limit_db: float | None = None,
        rate_out: int | None = None,
    ) -> Iterator[Samples]:
        """Enhance a recording that is given as blocks, in constant memory (offline; for live signals see `open`).

        Args:
            blocks: Blocks `[channels, n]` of any sizes; types as in `enhance`.
            rate: Sampling rate in Hz.
            channels: Number of channels.
            limit_db: Greatest reduction of noise in dB, as in `enhance`.
            rate_out: Sampling rate of the output in Hz; by default `rate`.

        Yields:
            Blocks `[channels, m]` of other sizes, up to a window late; `round(n · rate_out / rate)` samples in total.

        Raises:
            AudioError: As `enhance`.

        """
        rates = check_rate(rate), check_rate(rate if rate_out is None else rate_out)
        outputs = self.channels_out(channels)
        dry_mix, full_band = dry_mix_of(limit_db), self.bandwidth == "full"
        blocks = checked_blocks(blocks, channels)
        if self.backend is not None:
            estimates = causal_blocks(self.backend, blocks, channels, rates, dry_mix, full_band)
        else:
            assert self._offline is not None
            offline = OfflineBlocks(self._offline, self.window, self.overlap, self.batch, full_band)
            estimates = offline.enhance(blocks, channels, outputs, rates, dry_mix)
        yield from (samples for samples in estimates if samples.shape[1])


def _on_grid(samples: float) -> int:
    return max(GRID, round(samples / GRID) * GRID)
