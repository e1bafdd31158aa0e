"""Communication between the processes of a run that `torchrun` has started.

Without `torchrun` (no WORLD_SIZE) there is one process, and every operation is the identity.
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
    """The rank of this process, the number of processes, and the device of this one."""

    rank: int
    size: int
    device: torch.device

    @property
    def is_main(self) -> bool:
        """Whether this process writes files and prints."""
        return self.rank == 0

    def mean(self, values: Tensor) -> Tensor:
        """Return the mean of a tensor over the processes; NaN in one is NaN in all."""
        if self.size > 1:
            dist.all_reduce(values)
            values /= self.size
        return values

    def largest(self, value: int) -> int:
        """Return the largest value of all processes."""
        if self.size == 1:
            return value
        tensor = torch.tensor(value, device=self.device)
        dist.all_reduce(tensor, dist.ReduceOp.MAX)
        return int(tensor)

    def gather_rows(self, tensor: Tensor) -> Tensor:
        """Return the rows of all processes, in order of rank, without gradient."""
        if self.size == 1:
            return tensor
        parts = [torch.empty_like(tensor) for _ in range(self.size)]
        dist.all_gather(parts, tensor.contiguous())
        return torch.cat(parts)

    def all_gather(self, value: T) -> list[T]:
        """Return the values (picklable) of all processes, in order of rank."""
        if self.size == 1:
            return [value]
        values: list[Any] = [None] * self.size
        dist.all_gather_object(values, value)
        return values

    def broadcast(self, value: T) -> T:
        """Return the value of the main process."""
        return self.all_gather(value)[0]

    def barrier(self) -> None:
        """Wait until all processes have come here."""
        if self.size > 1:
            dist.barrier()


@contextmanager
def join(device: str) -> Iterator[World]:
    """Find the device and, under `torchrun`, join the other processes (NCCL on GPUs, else gloo). Raise RecipeError."""
    size = int(os.environ.get("WORLD_SIZE", "1"))
    rank = int(os.environ.get("RANK", "0"))
    place = find_device(device, int(os.environ.get("LOCAL_RANK", "0")))
    if size == 1:
        yield World(0, 1, place)
        return
    joined_here = not dist.is_initialized()
    if joined_here:
        if place.type == "cuda":
            torch.cuda.set_device(place)
        dist.init_process_group("nccl" if place.type == "cuda" else "gloo")
    try:
        yield World(rank, size, place)
    finally:
        if joined_here:
            gc.collect()  # a DDP object that outlives the group aborts the process at exit, and only gc frees it
            dist.destroy_process_group()


def find_device(name: str, local_rank: int = 0) -> torch.device:
    """Return the device named `auto` (a GPU if there is one), `cpu`, `cuda`, `cuda:1`, … Raise RecipeError."""
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
            f"train.device: '{name}' cannot be used here ({reason}); 'auto' selects an available device"
        ) from None
    return place


def share(batch: int, world: World) -> int:
    """Return the examples of a global batch for each process. Raise RecipeError if they are not a whole number."""
    if batch % world.size:
        raise RecipeError(
            f"train.batch_size: {batch} examples cannot be shared evenly by {world.size} processes; "
            f"make it a multiple of {world.size}"
        )
    return batch // world.size
