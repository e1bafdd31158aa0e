"""Batches in a fixed order: example n of a run is the same whatever the number of workers or processes."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from stillwave.train.distributed import World, share

Samples = npt.NDArray[np.float32]


class Pair(Protocol):
    """A noisy and a clean signal of one length, [channels, samples]."""

    @property
    def noisy(self) -> Samples: ...  # noqa: D102
    @property
    def clean(self) -> Samples: ...  # noqa: D102


class Source(Protocol):
    """Examples without end, each a pure function of its place (`data.mixing.Mixer`)."""

    def __call__(self, epoch: int, index: int) -> Pair: ...  # noqa: D102


class Batch(NamedTuple):
    """What this process has of a batch: noisy [B, N] or [B, M, N], clean [B, N], and which examples they
    are, [B].
    """

    noisy: Tensor
    clean: Tensor
    indices: Tensor


class _Numbered(Dataset[tuple[int, Pair]]):
    def __init__(self, source: Source) -> None:
        self.source = source

    def __getitem__(self, number: int) -> tuple[int, Pair]:
        return number, self.source(0, number)


def batches(
    source: Source, batch_size: int, world: World, *, first: int, last: int, workers: int
) -> Iterator[Batch]:
    """Global batches `first` … `last - 1`; global batch b holds the examples b·B … b·B + B - 1.

    Rank r of R takes the r-th of R equal runs of them, so that the processes' rows in order are the batch.
    """
    part = share(batch_size, world)
    start = world.rank * part
    numbers = (list(range(b * batch_size + start, b * batch_size + start + part)) for b in range(first, last))
    loader = DataLoader(
        _Numbered(source),
        batch_sampler=numbers,
        num_workers=workers,
        collate_fn=_collate,
        worker_init_fn=_leave_signals_to_the_parent,
        pin_memory=world.device.type == "cuda",
        prefetch_factor=4 if workers else None,
        generator=torch.Generator(),  # the loader draws from it: not from the global one, which is saved
    )
    return iter(loader)


def _collate(items: list[tuple[int, Pair]]) -> Batch:
    noisy = torch.stack([torch.from_numpy(np.atleast_2d(pair.noisy)) for _, pair in items])
    clean = torch.stack([torch.from_numpy(np.atleast_2d(pair.clean)[0]) for _, pair in items])
    return Batch(noisy[:, 0] if noisy.shape[1] == 1 else noisy, clean, torch.tensor([n for n, _ in items]))


def _leave_signals_to_the_parent(_: int) -> None:
    """Ctrl-C and a supervisor's SIGTERM reach the whole process group; the loop decides when to end."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    torch.set_num_threads(1)
