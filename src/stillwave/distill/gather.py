"""Gather the batch of all processes in each process, so that batch similarities are those of the global batch.

Why the gradients are correct: W processes hold equal parts of a batch; each gathers all features f = (f_1 … f_W) and
computes the same loss L(f, φ) with connectors φ. The features of process r are part of all W copies of L, so the
backward pass of the gather *sums* over processes and returns Σ_s ∂L_s/∂f_r = W·∂L/∂f_r to r. The student's parameters
of process r then hold W·(∂L/∂f_r)(∂f_r/∂θ), and the *mean* over processes in DistributedDataParallel gives
Σ_r (∂L/∂f_r)(∂f_r/∂θ) = ∂L/∂θ: the gradient of one process with the whole batch. Each process holds the full ∂L/∂φ, and
the mean of equal values is that value. A loss that is a mean over local examples averages to the global mean, so
L_SE + λ·L_KD is correct as a whole.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from stillwave.distill.method import BatchInputs, DistillError, ModelOutputs


def processes() -> int:
    """Return the number of processes that share the batch."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def gather_outputs(outputs: ModelOutputs, estimate: bool) -> ModelOutputs:
    """Return the features of all processes in order of rank, and the estimates if `estimate` is set.

    Raises:
        DistillError: On every process, if the local batches differ in size or length.

    """
    if processes() == 1:
        return outputs
    if outputs.features:
        _check_even(outputs.features)
    features = {name: [gather(f) for f in layers] for name, layers in outputs.features.items()}
    return ModelOutputs(features, gather(outputs.estimate) if estimate else outputs.estimate)


def gather_inputs(inputs: BatchInputs, needed: bool) -> BatchInputs:
    """Return the signals of all processes in order of rank, if `needed`."""
    if processes() == 1 or not needed:
        return inputs
    return BatchInputs(gather(inputs.noisy), None if inputs.clean is None else gather(inputs.clean))


def gather(local: Tensor) -> Tensor:
    """Map [b, …] of each process to [b·W, …] in order of rank; gradients return to their rows."""
    result: Tensor = _Gather.apply(local)  # type: ignore[no-untyped-call]
    return result


def _check_even(features: Mapping[str, list[Tensor]]) -> None:
    first = next(iter(features.values()))[0]
    local = torch.tensor([first.shape[0], first.shape[2]], device=first.device)
    sizes = [torch.empty_like(local) for _ in range(processes())]
    dist.all_gather(sizes, local)
    listed = [tuple(size.tolist()) for size in sizes]
    if len(set(listed)) > 1:
        each = ", ".join(f"{b} × {t}" for b, t in listed)
        raise DistillError(
            f"processes have batches of different sizes (examples × frames: {each}); batch similarities require "
            "equal ones: drop the last batch or choose a batch size that divides the data"
        )


class _Gather(torch.autograd.Function):
    """all_gather with a backward pass that sums over processes (that of torch.distributed.nn is deprecated)."""

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
