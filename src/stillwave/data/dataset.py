"""Batches for a training loop, in a fixed order: example n is the same whatever the number of workers or
processes.

Global batch b holds the examples b·B … b·B + B − 1 of epoch 0, whose order has no end; a process of several
takes its contiguous share. A run is resumed exactly by asking for the batches from b on.
"""

from __future__ import annotations

import signal
from collections.abc import Generator, Iterator
from typing import NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from stillwave.data.effects import Samples

_GRACE = 60
"""Seconds that a worker outlives SIGTERM, so that the loop has its batches until it ends (and ends the worker)."""


class Signals(Protocol):
    """A noisy and a clean signal of one length, such as a `Mixture`: `[N]`, or `[M, N]` noisy."""

    @property
    def noisy(self) -> Samples: ...  # noqa: D102
    @property
    def clean(self) -> Samples: ...  # noqa: D102


class Source(Protocol):
    """Examples without end, such as a `Mixer`."""

    def __call__(self, epoch: int, index: int) -> Signals: ...  # noqa: D102


class Batch(NamedTuple):
    """noisy [B, N] or [B, M, N], clean [B, N], and the numbers of the examples, [B]."""

    noisy: Tensor
    clean: Tensor
    indices: Tensor


class Examples(Dataset[tuple[int, Signals]]):
    """A source as PyTorch's map-style dataset; it has no length."""

    def __init__(self, source: Source) -> None:
        self.source = source

    def __getitem__(self, number: int) -> tuple[int, Signals]:
        return number, self.source(0, number)


def shares(batch_size: int, first: int, last: int, rank: int = 0, processes: int = 1) -> Iterator[list[int]]:
    """The numbers of one process's examples in the global batches `first` … `last` − 1.

    Raises ValueError when the batch cannot be shared equally.

    Examples:
        >>> list(shares(4, 1, 3, rank=1, processes=2))
        [[6, 7], [10, 11]]

    """
    if batch_size % processes:
        raise ValueError(f"a batch of {batch_size} cannot be shared equally by {processes} processes")
    part = batch_size // processes
    for batch in range(first, last):
        start = batch * batch_size + rank * part
        yield list(range(start, start + part))


def batches(
    source: Source,
    batch_size: int,
    *,
    first: int = 0,
    last: int,
    workers: int = 0,
    rank: int = 0,
    processes: int = 1,
    pin_memory: bool = False,
) -> Generator[Batch, None, None]:
    """One process's share of the global batches `first` … `last` − 1, made by `workers` processes (0: by this one).

    Close the iterator when leaving it early: an error that it raises keeps it alive, and its processes with it.
    """
    loader = DataLoader(
        Examples(source),
        batch_sampler=shares(batch_size, first, last, rank, processes),  # any iterable of lists will do
        num_workers=workers,
        collate_fn=collate,
        worker_init_fn=_settle,
        pin_memory=pin_memory,
        prefetch_factor=4 if workers else None,
        # Else the loader draws from the global one, and a resumed run would differ.
        generator=torch.Generator(),
    )
    stream = iter(loader)
    try:
        yield from stream
    finally:
        end_workers = getattr(stream, "_shutdown_workers", None)
        if end_workers is not None:
            end_workers()


def collate(items: list[tuple[int, Signals]]) -> Batch:
    """Stack numbered examples of one length."""
    noisy = torch.from_numpy(np.stack([signals.noisy for _, signals in items]))
    clean = torch.from_numpy(np.stack([signals.clean for _, signals in items]))
    return Batch(noisy, clean, torch.tensor([number for number, _ in items]))


def _settle(_: int) -> None:
    """In a worker: one thread, and time for the training loop to end on a signal that reaches the whole group."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: signal.alarm(_GRACE))
    torch.set_num_threads(1)
