"""Rate, sample format, channels and metadata of an output file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from stillwave.audio import AudioInfo, Kept, Resampler, Samples, nearest_rate, subtype_for, surround
from stillwave.audio import bitrate as bitrates
from stillwave.audio.ffmpeg import is_media
from stillwave.audio.metadata import inventory
from stillwave.errors import AudioError

if TYPE_CHECKING:
    from stillwave.inference.enhancer import Enhancer


@dataclass(frozen=True)
class OutputProperties:
    """Properties of an output file, decided before the first sample is read."""

    rate_in: int
    rate: int
    subtype: str
    inputs: int
    """Channels of the source."""
    outputs: int
    order: tuple[int, ...]
    """Source channel of each output channel; empty if the network combines several microphones."""
    untouched: int | None
    """Source channel that is copied unprocessed (LFE)."""
    kept: Kept
    lost: tuple[str, ...]

    def enhanced(
        self, enhancer: Enhancer, blocks: Iterable[Samples], limit_db: float | None
    ) -> Iterator[Samples]:
        """Yield the output `[outputs, m]` for the blocks `[inputs, n]` of the source."""
        if self.untouched is None:
            estimates = enhancer.enhance_blocks(
                blocks, self.rate_in, self.inputs, limit_db=limit_db, rate_out=self.rate
            )
        else:
            estimates = self._without_row(enhancer, blocks, self.untouched, limit_db)
        if self.order in ((), tuple(range(self.outputs))):
            yield from estimates
        else:
            yield from (np.ascontiguousarray(estimate[list(self.order)]) for estimate in estimates)

    def _without_row(
        self, enhancer: Enhancer, blocks: Iterable[Samples], row: int, limit_db: float | None
    ) -> Iterator[Samples]:
        """Enhance all channels except one, which is only resampled, and insert that one again."""
        resampler = Resampler(self.rate_in, self.rate, 1)
        held = np.zeros((1, 0), np.float32)

        def others() -> Iterator[Samples]:
            nonlocal held
            for block in blocks:
                held = np.concatenate([held, resampler.push(block[row : row + 1])], axis=1)
                yield np.delete(block, row, axis=0)

        rest = enhancer.enhance_blocks(
            others(), self.rate_in, self.inputs - 1, limit_db=limit_db, rate_out=self.rate
        )
        done = np.zeros((self.inputs - 1, 0), np.float32)
        for estimate in rest:  # the two resamplers have different delays
            done = np.concatenate([done, estimate], axis=1)
            ready = min(done.shape[1], held.shape[1])
            yield np.insert(done[:, :ready], row, held[0, :ready], axis=0)
            done, held = done[:, ready:], held[:, ready:]
        held = np.concatenate([held, resampler.push(np.zeros((1, _TAIL), np.float32), last=True)], axis=1)
        yield np.insert(done, row, held[0, : done.shape[1]], axis=0)


_TAIL = 4096
"""Samples of silence that flush the resampler."""


def find_output_properties(
    enhancer: Enhancer, info: AudioInfo, target: Path, rate_out: int | None
) -> OutputProperties:
    """Return the properties of the output. Raises AudioError if the target does not support them."""
    media = is_media(target)
    subtype = info.subtype if media else subtype_for(target, info.subtype)
    rate = rate_out
    if rate is None:
        rate = info.sample_rate if media else nearest_rate(target, subtype, info.sample_rate)
    try:
        outputs = enhancer.channels_out(info.channels)
    except AudioError as error:
        raise AudioError(f"{info.path}: {error}") from None
    speakers = surround.layout_of(info) if enhancer.microphones == 1 else None
    order = surround.order_for(speakers, outputs, target, subtype)
    same = info.format == "FLAC" and target.suffix.lower() == ".flac" and outputs == info.channels
    kept = Kept(
        extras=inventory(info.path, info.format, info.sample_rate),
        mask=None if same else order.mask,
        kbps=info.kbps if info.by_ffmpeg else bitrates.of_source(info.path, info.subtype, info.seconds),
    )
    return OutputProperties(
        rate_in=info.sample_rate,
        rate=rate,
        subtype=subtype,
        inputs=info.channels,
        outputs=outputs,
        order=order.channels if outputs == info.channels else (),
        untouched=speakers.lfe if speakers and outputs > 1 else None,
        kept=kept,
        lost=("channel layout",) if order.lost else (),
    )
