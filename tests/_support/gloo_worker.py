"""What each process of `test_processes.py` does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
import toys
from torch.nn.parallel import DistributedDataParallel

from stillwave.distill import Balance, Distiller, DistillError
from stillwave.distill.schedule import gradient_norm
from stillwave.schema import Frozen, I2srfTfckdConfig

WORLD = 2


def batch() -> torch.Tensor:
    return torch.randn(4, 96, generator=torch.Generator().manual_seed(3))


def step(noisy: torch.Tensor, example: torch.Tensor, config: Frozen, parallel: bool) -> dict[str, Any]:
    teacher, student = toys.pair()
    student.norm.eval()  # batch statistics are the network's own business
    student.dropout.p = 0.0
    torch.manual_seed(5)
    distiller = Distiller(teacher, student, config, example=example)
    student.norm.eval()
    run = DistributedDataParallel(distiller) if parallel else distiller
    estimate, losses = run(noisy, clean=0.5 * noisy)
    se, kd = estimate.abs().mean(), torch.stack(list(losses.values())).sum()
    weight = Balance(0.5, 3).weight(se, kd, student.parameters())
    norm = gradient_norm(kd, list(student.parameters()))
    (se + 2 * kd).backward()
    return {
        "losses": {name: loss.detach() for name, loss in losses.items()},
        "gradients": {name: p.grad for name, p in distiller.named_parameters() if p.requires_grad},
        "weight": weight,
        "norm": norm,
    }


def work(rank: int, folder: str, configs: dict[str, Frozen]) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=WORLD)
    try:
        mine = batch().chunk(WORLD)[rank]
        results = {name: step(mine, mine, config, parallel=True) for name, config in configs.items()}
        uneven = refusal(batch()[: rank + 1])
        torch.save({"results": results, "uneven": uneven}, Path(folder) / f"{rank}.pt")
    finally:
        dist.destroy_process_group()


def refusal(noisy: torch.Tensor) -> str:
    """Return the error for processes with different numbers of examples."""
    teacher, student = toys.pair()
    distiller = Distiller(teacher, student, I2srfTfckdConfig(fusion_channels=8), example=noisy)
    try:
        distiller(noisy)
    except DistillError as error:
        return str(error)
    return "nothing"
