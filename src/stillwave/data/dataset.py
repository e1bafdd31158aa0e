"""Batches for training in a fixed order: example n does not depend on the number of workers or processes.

Global batch b has the examples b·B … b·B + B − 1 of epoch 0, whose order is infinite; each of several processes takes
a contiguous share. A run is resumed exactly by continuing at batch b.
"""

from __future__ import annotations

import signal
from collections.abc import Generator, Iterator, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from stillwave.audio import Samples
from stillwave.data.decoded_cache import CacheError
from stillwave.data.manifest import ManifestError
from stillwave.errors import AudioError

_GRACE = 60
"""Seconds that a worker continues after SIGTERM, so that the loop gets its batches until it ends."""


SUBSTITUTES = 8
"""Examples that are tried in sequence if recordings cannot be used."""


class Signals(Protocol):
    """A noisy signal `[N]` or `[M, N]` and a clean signal `[N]`, such as a `Mixture`."""

    @property
    def noisy(self) -> Samples: ...  # noqa: D102
    @property
    def clean(self) -> Samples: ...  # noqa: D102


class Source(Protocol):
    """An infinite sequence of examples, such as a `Mixer`."""

    def __call__(self, epoch: int, index: int) -> Signals: ...  # noqa: D102


class Batch(NamedTuple):
    """noisy [B, N] or [B, M, N], clean [B, N], and the numbers of the examples, [B]."""

    noisy: Tensor
    clean: Tensor
    indices: Tensor
    faults: tuple[str, ...] = ()
    """Why recordings could not be used; other examples replace theirs."""
    estimate: Tensor | None = None
    """The teacher's estimates, [B, N], if they are stored beside the recordings."""


class Numbered(NamedTuple):
    """An example, its number, and why recordings could not be used for it."""

    number: int
    signals: Signals
    faults: tuple[str, ...] = ()


class Examples(Dataset[Numbered]):
    """A source as a map-style dataset of PyTorch, without a length."""

    def __init__(self, source: Source) -> None:
        self.source = source

    def __getitem__(self, number: int) -> Numbered:
        return usable(self.source, number)


def usable(source: Source, number: int) -> Numbered:
    """Return example `number` of epoch 0, or of epoch 1, 2, … if a recording cannot be used.

    The result is a function of number, seed and which recordings can be used. Raises AudioError if `SUBSTITUTES`
    examples in a row cannot be used, CacheError if decoded audio cannot be written.
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
    """Yield the example numbers of one process in the global batches `first` … `last` − 1.

    Raises ValueError if the processes cannot share a batch equally.

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
    """Yield the share of one process of the global batches `first` … `last` − 1.

    `workers` processes load them (0: this process). Close the generator when leaving it early, which ends the workers.
    """
    loader = DataLoader(
        Examples(source),
        batch_sampler=shares(batch_size, first, last, rank, processes),  # any iterable of lists
        num_workers=workers,
        collate_fn=collate,
        worker_init_fn=_settle,
        pin_memory=pin_memory,
        prefetch_factor=4 if workers else None,
        # The default draws from the global generator, so that a resumed run would differ.
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
    stored: list[Any] = [getattr(item.signals, "estimate", None) for item in items]
    estimate = None if any(one is None for one in stored) else torch.from_numpy(np.stack(stored))
    return Batch(noisy, clean, torch.tensor([item.number for item in items]), faults, estimate)


def _settle(_: int) -> None:
    """Set up a worker: one thread, and signals of the process group do not end it before the training loop."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: signal.alarm(_GRACE))
    if hasattr(signal, "SIGHUP"):
        signal.signal(signal.SIGHUP, signal.SIG_IGN)  # the loop ends, and ends its workers
    torch.set_num_threads(1)
