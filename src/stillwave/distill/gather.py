"""Rows of all processes in every process, so that batch similarities are those of the global batch.

Why the gradients come out right. W processes hold equal parts of a batch; each gathers all features f = (f_1
… f_W) and computes the same loss L(f, φ) with connectors φ. Process r's features appear in all W copies of L,
so the backward pass of the gather *sums* over processes and hands r the gradient Σ_s ∂L_s/∂f_r = W·∂L/∂f_r.
Process r's student parameters then hold W·(∂L/∂f_r)(∂f_r/∂θ), and DistributedDataParallel's *mean* over
processes gives Σ_r (∂L/∂f_r)(∂f_r/∂θ) = ∂L/∂θ: the gradient of one process with the whole batch. Each process
holds the full ∂L/∂φ, and the mean of equal values is that value. A loss that is a mean over local examples
averages to the global mean as ever, so L_SE + λ·L_KD is right as a whole.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from stillwave.distill.method import BatchInputs, DistillError, ModelOutputs


def processes() -> int:
    """How many processes share the batch."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def gather_outputs(observed: ModelOutputs, estimate: bool) -> ModelOutputs:
    """All processes' features, in order of rank, and their estimates if asked for. Identity with one process.

    Raises:
        DistillError: on every process, if local batches differ in size or length.

    """
    if processes() == 1:
        return observed
    if observed.features:
        _check_even(observed.features)
    features = {name: [gather(f) for f in layers] for name, layers in observed.features.items()}
    return ModelOutputs(features, gather(observed.estimate) if estimate else observed.estimate)


def gather_inputs(given: BatchInputs, wanted: bool) -> BatchInputs:
    """All processes' signals, in order of rank, if they are looked at."""
    if processes() == 1 or not wanted:
        return given
    return BatchInputs(gather(given.noisy), None if given.clean is None else gather(given.clean))


def gather(local: Tensor) -> Tensor:
    """[b, …] of each process → [b·W, …] in all, in order of rank; gradients go back to their rows."""
    whole: Tensor = _Gather.apply(local)  # type: ignore[no-untyped-call]
    return whole


def _check_even(features: Mapping[str, list[Tensor]]) -> None:
    first = next(iter(features.values()))[0]
    mine = torch.tensor([first.shape[0], first.shape[2]], device=first.device)
    sizes = [torch.empty_like(mine) for _ in range(processes())]
    dist.all_gather(sizes, mine)
    listed = [tuple(size.tolist()) for size in sizes]
    if len(set(listed)) > 1:
        each = ", ".join(f"{b} × {t}" for b, t in listed)
        raise DistillError(
            f"processes hold batches of different sizes (examples × frames: {each}); batch similarities need "
            "the same on each: drop the last batch or choose a batch size that divides the data"
        )


class _Gather(torch.autograd.Function):
    """all_gather whose backward pass sums over processes (the one in torch.distributed.nn is deprecated)."""

    @staticmethod
    def forward(ctx: Any, local: Tensor) -> Tensor:
        ctx.rows = len(local)
        parts = [torch.empty_like(local, memory_format=torch.contiguous_format) for _ in range(processes())]
        dist.all_gather(parts, local.contiguous())
        return torch.cat(parts)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        total = gradient.clone(memory_format=torch.contiguous_format)
        dist.all_reduce(total)
        start = dist.get_rank() * ctx.rows
        return total[start : start + ctx.rows]
