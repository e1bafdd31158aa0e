"""Several processes as one: started by `torchrun`, they share each batch and agree on every number.

Without `torchrun` (no WORLD_SIZE) all of this is the identity of one process.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from stillwave.errors import RecipeError

T = TypeVar("T")


@dataclass(frozen=True)
class World:
    """A process among its peers, and the device it computes on."""

    rank: int
    size: int
    device: torch.device

    @property
    def is_main(self) -> bool:
        """Whether this is the process that writes and speaks."""
        return self.rank == 0

    def mean(self, values: Tensor) -> Tensor:
        """Mean of a tensor over the processes; NaN in one is NaN in all."""
        if self.size > 1:
            dist.all_reduce(values)
            values /= self.size
        return values

    def largest(self, value: int) -> int:
        """The largest of the processes' values: true if any is."""
        if self.size == 1:
            return value
        tensor = torch.tensor(value, device=self.device)
        dist.all_reduce(tensor, dist.ReduceOp.MAX)
        return int(tensor)

    def gather_rows(self, tensor: Tensor) -> Tensor:
        """The whole batch: everybody's rows, in the order of the ranks. Without gradient."""
        if self.size == 1:
            return tensor
        parts = [torch.empty_like(tensor) for _ in range(self.size)]
        dist.all_gather(parts, tensor.contiguous())
        return torch.cat(parts)

    def all_gather(self, value: T) -> list[T]:
        """The processes' values (picklable), in the order of the ranks."""
        if self.size == 1:
            return [value]
        values: list[Any] = [None] * self.size
        dist.all_gather_object(values, value)
        return values

    def broadcast(self, value: T) -> T:
        """The first process's value."""
        return self.all_gather(value)[0]


@contextmanager
def join(device: str) -> Iterator[World]:
    """Find the device and, under `torchrun`, the peers (NCCL on GPUs, gloo on CPU). Raises RecipeError."""
    size = int(os.environ.get("WORLD_SIZE", "1"))
    rank = int(os.environ.get("RANK", "0"))
    place = find_device(device, int(os.environ.get("LOCAL_RANK", "0")))
    if size == 1:
        yield World(0, 1, place)
        return
    ours = not dist.is_initialized()
    if ours:
        if place.type == "cuda":
            torch.cuda.set_device(place)
        dist.init_process_group("nccl" if place.type == "cuda" else "gloo")
    try:
        yield World(rank, size, place)
    finally:
        if ours:
            gc.collect()  # DDP is a cycle that holds the group: one that outlives this aborts the process at exit
            dist.destroy_process_group()


def find_device(name: str, local_rank: int = 0) -> torch.device:
    """`auto` (a GPU if there is one), `cpu`, `cuda`, `cuda:1`, … as a device. Raises RecipeError."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda":
        name = f"cuda:{local_rank}"
    try:
        place = torch.device(name)
        torch.empty(1, device=place)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise RecipeError(
            f"train.device: '{name}' cannot be used here ({reason}); 'auto' takes what there is"
        ) from None
    return place


def share(batch: int, world: World) -> int:
    """The share of each process in a global batch. Raises RecipeError where it is not a whole number."""
    if batch % world.size:
        raise RecipeError(
            f"train.batch_size: {batch} examples cannot be shared evenly by {world.size} processes; "
            f"make it a multiple of {world.size}"
        )
    return batch // world.size
