"""The enhancer: any rate, channels and length around a network for one rate, one channel and some seconds or frames."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from stillwave.audio import Resampler, Samples, check, check_rate
from stillwave.enhance.continuous import continuous
from stillwave.enhance.intake import Intake
from stillwave.enhance.whole import OnnxWhole, TorchWhole, Whole
from stillwave.enhance.windows import GRID, cut, join
from stillwave.errors import AudioError, MissingExtraError, StateError, StillwaveError

if TYPE_CHECKING:
    from stillwave.deploy.onnx_file import OnnxModel
    from stillwave.enhance.files import FileReport
    from stillwave.models import Denoiser
    from stillwave.runtime.engine import Engine
    from stillwave.runtime.stream import Stream

WINDOW_SECONDS, OVERLAP_SECONDS = 10.0, 2.0
"""Measured: docs/design.md, "Long recordings", by benchmarks/enhance_blocks.py."""
_BLOCK_SECONDS = 5


def load(model: Path | str | None = None, device: str | None = None, **options: Any) -> Enhancer:
    """An enhancer: by default with the model that ships as the default, which needs no PyTorch.

    `model` is a shipped model's name (`stillwave models` lists them; `NAME-int8` is the small form), an exported
    `.onnx` file, or, with PyTorch, a checkpoint or run folder. What exists on disk comes before a name (`weights`).
    `device` is for checkpoints: by default a GPU where there is one. `options` are those of `Enhancer`. Raises
    `CheckpointError`, and `MissingExtraError` for a folder without PyTorch.
    """
    from stillwave import weights  # pydantic behind it takes as long to import as all else

    place = weights.locate(model)
    if place.is_file():
        from stillwave.deploy.onnx_file import read

        return Enhancer(read(place), **options)
    try:
        import torch

        from stillwave import checkpoint as checkpoints
    except ModuleNotFoundError as error:
        if error.name not in ("torch", "safetensors"):
            raise
        raise MissingExtraError(
            "enhancing with a checkpoint rather than an exported .onnx file", "train"
        ) from None
    if device in (None, "auto"):
        device = "cuda" if torch.cuda.is_available() else "cpu"
    network, card = checkpoints.load(place, device)
    if network.causal:
        from stillwave.runtime.torch_engine import TorchEngine

        return Enhancer(TorchEngine(network, card.sha256), **options)
    return Enhancer(network, **options)


class Enhancer:
    """Denoises recordings and live sound with a network, at any rate.

    `model` is a `Denoiser` (or any module with `sample_rate` and `microphones`), an exported network
    (`deploy.onnx_file.read`), or an `Engine`.

    What goes out has the length, alignment, level and polarity of what came in. A network for one microphone
    takes each channel by itself; one for several takes that many channels and gives one. The sound is resampled to
    the network's rate and back, so that nothing is left above half of it (8 kHz), unless `limit_db` leaves
    some of the input there.

    A causal network goes through a recording frame by frame, and through live sound (`open`, `process`) with the
    same result. Any other gets recordings up to `window_seconds` at one go; longer ones in windows of that
    length which overlap by `overlap_seconds` (see `windows.py`). Memory does not grow with the length. `batch`
    is how many windows (of different channels or times) the network gets at once; by default 8 on a GPU and
    1 on a CPU.
    """

    def __init__(
        self,
        model: Denoiser | OnnxModel | Engine,
        *,
        window_seconds: float = WINDOW_SECONDS,
        overlap_seconds: float = OVERLAP_SECONDS,
        batch: int | None = None,
    ) -> None:
        if not 0 < overlap_seconds <= window_seconds / 2:
            raise StillwaveError(
                f"windows of {window_seconds} s cannot overlap by {overlap_seconds} s; "
                "the overlap must be above 0 and at most half a window"
            )
        self.model = model
        self.engine: Engine | None
        """What runs a causal network; None for one that sees whole windows."""
        self.engine, self._whole = _runner(model)
        runner = self.engine or self._whole
        assert runner is not None
        self.sample_rate, self.microphones = runner.sample_rate, runner.microphones
        self.overlap = _on_grid(overlap_seconds * self.sample_rate)
        self.window = max(_on_grid(window_seconds * self.sample_rate), 2 * self.overlap)
        self.device = self._whole.device if self._whole else getattr(self.engine, "device", "cpu")
        self.batch = batch or (1 if self.device == "cpu" else 8)
        self._live: Stream | None = None

    def open(self, rate: int | None = None, streams: int = 1, limit_db: float | None = None) -> Stream:
        """Begin one or many streams of live sound at `rate` Hz, by default the network's (see `Stream`).

        They share the network, not its memory; streams that are opened together run together, at less cost.
        Raises `StateError` for a network that needs the whole signal, `AudioError` for a bad option.
        """
        from stillwave.runtime.stream import Stream

        if self.engine is None:
            raise StateError(
                "this network needs the whole signal, so it cannot stream; use a causal one (`model: bsrnn-s`, say)"
            )
        return Stream(self.engine, rate, streams, _share(limit_db))

    def process(self, block: NDArray[Any], rate: int | None = None) -> Samples:
        """The next block of live sound, on a stream of the enhancer's own: as `Stream.process`.

        The first block opens it, at `rate` (by default the network's) and with one stream for each row.
        """
        if self._live is None:
            rows = (
                len(block)
                if isinstance(block, np.ndarray) and block.ndim == (2 if self.microphones == 1 else 3)
                else 1
            )
            self._live = self.open(rate, rows)
        return self._live.process(block, rate)

    def flush(self) -> Samples:
        """The end of what `process` was given; the next block may have another rate and shape."""
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
    ) -> Samples:
        """Denoise `[channels, n]` or `[n]` at `rate` Hz (types as `audio.check`); the same shape, float32.

        `limit_db` is by how much noise is lowered at most: that share of the input stays in the mix, at all
        frequencies; None lowers it as far as the network does, 0 returns the input. `rate_out` asks for
        another rate than the input's. Silence gives silence. Raises `AudioError`.
        """
        rows = check(samples)
        size = _BLOCK_SECONDS * check_rate(rate)
        blocks = (rows[:, i : i + size] for i in range(0, rows.shape[1], size))
        pieces = self.stream(blocks, rate, len(rows), limit_db=limit_db, rate_out=rate_out)
        out = np.concatenate([*pieces, np.zeros((self.channels_out(len(rows)), 0), np.float32)], axis=1)
        return out[0] if samples.ndim == 1 else out

    def enhance_file(self, source: Path | str, target: Path | str, **options: Any) -> FileReport:
        """Denoise a recording into another file, in constant memory; see `files.enhance_file`."""
        from stillwave.enhance.files import enhance_file

        return enhance_file(self, source, target, **options)

    def channels_out(self, channels: int) -> int:
        """How many channels come out for so many in; `AudioError` where the network cannot take them."""
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
        """`enhance` for a recording that comes in blocks `[channels, n]`, float32 and finite.

        Gives blocks of other sizes, of `round(n · rate_out / rate)` samples in all, up to a window later.
        """
        rates = check_rate(rate), check_rate(rate if rate_out is None else rate_out)
        outputs = self.channels_out(channels)
        share = _share(limit_db)
        if self.engine is not None:
            given = continuous(self.engine, blocks, channels, rates, share)
        else:
            given = self._in_windows(blocks, channels, outputs, rates, share)
        yield from (samples for samples in given if samples.shape[1])

    def _in_windows(
        self, blocks: Iterable[Samples], channels: int, outputs: int, rates: tuple[int, int], share: float
    ) -> Iterator[Samples]:
        rate, rate_out = rates
        intake = Intake(blocks, rate, self.sample_rate, rate_out, channels, outputs, share > 0)
        pieces = cut(intake, self.window, self.overlap)
        down = Resampler(self.sample_rate, rate_out, outputs)
        given = 0
        # An empty block behind the others flushes the resampler.
        end = np.zeros((outputs, 0), np.float32)
        for estimate in chain(join(self._estimates(pieces, outputs), self.overlap), [end]):
            samples = down.push(estimate, last=estimate is end)
            if intake.length is not None:
                samples = samples[:, : intake.length - given]
            given += samples.shape[1]
            if share > 0:
                samples = samples + np.float32(share) * (intake.take(samples.shape[1]) - samples)
            yield samples

    def _estimates(
        self, pieces: Iterator[tuple[int, Samples]], outputs: int
    ) -> Iterator[tuple[int, Samples]]:
        """Run the network over pieces, as many at once as fill a batch; pieces at once have one length."""
        together = max(1, self.batch // outputs)
        while group := list(islice(pieces, together)):
            while group:
                length = group[0][1].shape[1]
                same = [piece for piece in group if piece[1].shape[1] == length]
                group = [piece for piece in group if piece[1].shape[1] != length]
                estimates = self._run(np.stack([piece for _, piece in same]))
                yield from ((start, one) for (start, _), one in zip(same, estimates, strict=True))

    def _run(self, noisy: Samples) -> Samples:
        """Pieces `[pieces, channels, n]` to estimates of the same shape, with one channel for arrays."""
        rows = noisy.reshape(-1, noisy.shape[-1]) if self.microphones == 1 else noisy
        estimates = np.zeros((len(rows), noisy.shape[-1]), np.float32)
        # Digital silence stays silent, whatever the network's biases would make of it.
        sounding = np.flatnonzero(rows.reshape(len(rows), -1).any(axis=1))
        for first in range(0, len(sounding), self.batch):
            chosen = sounding[first : first + self.batch]
            estimates[chosen] = self._network(rows[chosen])
        return estimates.reshape(len(noisy), -1, noisy.shape[-1])

    def _network(self, rows: Samples) -> Samples:
        assert self._whole is not None
        out = self._whole(rows)
        if not np.isfinite(out).all():
            raise StillwaveError("the network's estimate is not finite; its weights may be damaged")
        return out


def _runner(model: Any) -> tuple[Engine | None, Whole | None]:
    """What runs `model`: frame by frame if it is causal, else on whole windows."""
    if hasattr(model, "step") and hasattr(model, "begin"):
        return model, None
    if hasattr(model, "session"):
        from stillwave.runtime.engine import OnnxEngine

        return (OnnxEngine(model), None) if model.meta.kind == "stream" else (None, OnnxWhole(model))
    if getattr(model, "causal", False):
        from stillwave.runtime.torch_engine import TorchEngine

        return TorchEngine(model), None
    return None, TorchWhole(model)


def _share(limit_db: float | None) -> float:
    if limit_db is None:
        return 0.0
    if not limit_db >= 0:
        raise AudioError(
            f"limit_db: expected 0 dB or more, the most that noise is lowered by; got {limit_db}"
        )
    return float(10.0 ** (-limit_db / 20))


def _on_grid(samples: float) -> int:
    return max(GRID, round(samples / GRID) * GRID)
