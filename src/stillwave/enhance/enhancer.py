"""The enhancer: any rate, channels and length around a network for one rate, one channel and some seconds."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from stillwave.audio import Resampler, Samples, check, check_rate
from stillwave.enhance.windows import GRID, cut, join
from stillwave.errors import AudioError, MissingExtraError, StillwaveError

if TYPE_CHECKING:
    from stillwave.enhance.files import FileReport
    from stillwave.models import Denoiser

WINDOW_SECONDS, OVERLAP_SECONDS = 10.0, 2.0
"""Measured: docs/design.md, "Long recordings", by benchmarks/enhance_blocks.py."""
_BLOCK_SECONDS = 5


def load(checkpoint: Path | str, device: str | None = None, **options: Any) -> Enhancer:
    """An enhancer from a checkpoint folder, on `device`: by default a GPU where there is one.

    `options` are those of `Enhancer`. Raises `CheckpointError`, and `MissingExtraError` without PyTorch.
    """
    try:
        import torch

        from stillwave import checkpoint as checkpoints
    except ModuleNotFoundError as error:
        if error.name not in ("torch", "safetensors"):
            raise
        raise MissingExtraError("enhance", "train") from None
    if device in (None, "auto"):
        device = "cuda" if torch.cuda.is_available() else "cpu"
    model, _ = checkpoints.load(checkpoint, device)
    return Enhancer(model, **options)


class Enhancer:
    """Denoises recordings with a `Denoiser`, which may be any module with `sample_rate` and `microphones`.

    What goes out has the length, alignment, level and polarity of what came in. A network for one microphone
    takes each channel by itself; one for several takes that many channels and gives one.

    The recording is resampled to the network's rate and back, so that nothing is left above half of it
    (8 kHz), unless `limit_db` leaves some of the input there. Recordings up to `window_seconds` are denoised
    at one go; longer ones in windows of that length which overlap by `overlap_seconds` (see `windows.py`),
    in memory that does not grow with their length. `batch` is how many windows (of different channels or
    times) the network gets at once; by default 8 on a GPU and 1 on a CPU.
    """

    def __init__(
        self,
        model: Denoiser,
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
        self.model = model.eval()
        self.sample_rate = int(model.sample_rate)
        self.microphones = int(model.microphones)
        self.overlap = _on_grid(overlap_seconds * self.sample_rate)
        self.window = max(_on_grid(window_seconds * self.sample_rate), 2 * self.overlap)
        parameter = next(model.parameters(), None)
        self.device = "cpu" if parameter is None else str(parameter.device)
        self.batch = batch or (1 if self.device == "cpu" else 8)

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
        rate_out = check_rate(rate if rate_out is None else rate_out)
        outputs = self.channels_out(channels)
        share = _share(limit_db)
        intake = _Intake(blocks, check_rate(rate), self.sample_rate, rate_out, channels, outputs, share > 0)
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
            if samples.shape[1]:
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
        import torch

        try:
            with torch.inference_mode():
                estimate = self.model(torch.from_numpy(np.ascontiguousarray(rows)).to(self.device))
        except torch.cuda.OutOfMemoryError:
            raise StillwaveError(
                f"{self.device} has too little memory for {len(rows)} windows at once; "
                "use a smaller batch or the CPU"
            ) from None
        out: Samples = estimate.float().cpu().numpy()
        if not np.isfinite(out).all():
            raise StillwaveError("the network's estimate is not finite; its weights may be damaged")
        return out


class _Intake:
    """Brings blocks to the network's rate and keeps the input, at the output's rate, until `take`n."""

    def __init__(
        self,
        blocks: Iterable[Samples],
        rate: int,
        model_rate: int,
        rate_out: int,
        channels: int,
        outputs: int,
        keep: bool,
    ) -> None:
        self.length: int | None = None
        """Samples of the whole output, once the input has ended."""
        self._blocks = blocks
        self._rate, self._rate_out = rate, rate_out
        self._channels, self._outputs = channels, outputs
        self._up = Resampler(rate, model_rate, channels)
        self._dry = Resampler(rate, rate_out, outputs) if keep else None
        self._kept = np.zeros((outputs, 0), np.float32)
        # A little silence behind the end makes up for what two roundings of the length could lose.
        self._padding = 0 if rate == model_rate == rate_out else max(rate // model_rate, rate // rate_out) + 2

    def __iter__(self) -> Iterator[Samples]:
        count = 0
        for block in self._blocks:
            count += block.shape[1]
            self._keep(block)
            yield self._up.push(block)
        self.length = (2 * count * self._rate_out + self._rate) // (2 * self._rate)
        tail = np.zeros((self._channels, self._padding), np.float32)
        self._keep(tail, last=True)
        yield self._up.push(tail, last=True)

    def _keep(self, block: Samples, last: bool = False) -> None:
        if self._dry is not None:
            dry = self._dry.push(block[: self._outputs], last=last)
            self._kept = np.concatenate([self._kept, dry], axis=1)

    def take(self, count: int) -> Samples:
        """The next `count` samples of the input."""
        taken, self._kept = self._kept[:, :count], self._kept[:, count:]
        return taken


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
