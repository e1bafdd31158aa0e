"""Batches for a training loop, in a fixed order: example n is the same whatever the number of workers or
processes.

Global batch b holds the examples b·B … b·B + B − 1 of epoch 0, whose order has no end; a process of several
takes its contiguous share. A run is resumed exactly by asking for the batches from b on.
"""

from __future__ import annotations

import signal
from collections.abc import Generator, Iterator, Sequence
from typing import NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from stillwave.data.decoded_cache import CacheError
from stillwave.data.effects import Samples
from stillwave.data.manifest import ManifestError
from stillwave.errors import AudioError

_GRACE = 60
"""Seconds that a worker outlives SIGTERM, so that the loop has its batches until it ends (and ends the worker)."""


SUBSTITUTES = 8
"""Examples that are tried, one after the other, where recordings cannot be used."""


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
    faults: tuple[str, ...] = ()
    """Why recordings could not be used; other examples stand where those would have been."""


class Numbered(NamedTuple):
    """An example, its number, and why recordings that it should have held could not be used."""

    number: int
    signals: Signals
    faults: tuple[str, ...] = ()


class Examples(Dataset[Numbered]):
    """A source as PyTorch's map-style dataset; it has no length."""

    def __init__(self, source: Source) -> None:
        self.source = source

    def __getitem__(self, number: int) -> Numbered:
        return usable(self.source, number)


def usable(source: Source, number: int) -> Numbered:
    """Example `number` of epoch 0, or, where a recording cannot be used, that of epoch 1, 2, … in its place.

    So it stays a function of the number, of the seed, and of which recordings can be used.
    Raises AudioError when `SUBSTITUTES` in a row cannot, StoreError where decoded audio cannot be kept.
    """
    faults: list[str] = []
    for epoch in range(SUBSTITUTES):
        try:
            return Numbered(number, source(epoch, number), tuple(faults))
        except CacheError:
            raise
        except (AudioError, ManifestError, OSError) as error:
            faults.append(str(error))
    raise AudioError(f"{faults[-1]} ({SUBSTITUTES} examples in a row cannot be used)")


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


def collate(items: Sequence[Numbered]) -> Batch:
    """Stack numbered examples of one length."""
    noisy = torch.from_numpy(np.stack([item.signals.noisy for item in items]))
    clean = torch.from_numpy(np.stack([item.signals.clean for item in items]))
    faults = tuple(fault for item in items for fault in item.faults)
    return Batch(noisy, clean, torch.tensor([item.number for item in items]), faults)


def _settle(_: int) -> None:
    """In a worker: one thread, and time for the training loop to end on a signal that reaches the whole group."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: signal.alarm(_GRACE))
    if hasattr(signal, "SIGHUP"):
        signal.signal(signal.SIGHUP, signal.SIG_IGN)  # the loop ends, and ends its workers
    torch.set_num_threads(1)
