"""Seconds of audio that one core trains on in a second, for each network, and where the time goes.

    python benchmarks/training_step.py [--networks bsrnn-m framenet-m …] [--batch 8] [--json FILE]

A network is a preset or a checkpoint in weights/. One update: forward pass, the loss of `denoiser-student`, backward
pass, AdamW. The compiled kernels and PyTorch's own operators take turns in one process, so that their ratio holds on a
busy machine; processor time is counted. Shown are medians, of the ratio with its 10th and 90th percentiles over turns.
The bound is what the network's multiply-accumulates would take at the speed of one large matrix product, measured in
the same run: three times the work of the forward pass.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import statistics
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.profiler import ProfilerActivity, profile

import stillwave
from stillwave import checkpoint
from stillwave.losses import EnhancementLoss
from stillwave.models import Denoiser, build, kernels
from stillwave.profiling.complexity import measure
from stillwave.schema import PRESETS, SAMPLE_RATE, LossConfig

SHIPPED = Path(__file__).parents[1] / "weights"
NETWORKS = ("bsrnn-xs", "bsrnn-s", "bsrnn-m", "denoiser-teacher", "framenet-xs", "framenet-m", "dpdcrn-xs")
SECONDS = 2
LOSS = LossConfig(compressed=1.0, si_sdr=0.01, perceptual=0.03)
PARTS = {  # of the profile: what operators' names hold
    "matrix products": ("aten::mm", "aten::addmm", "aten::bmm"),
    "kernels": ("_Gru", "_Stage"),
    "convolution": ("conv",),
    "attention": ("scaled_dot_product",),
    "norms": ("norm",),
    "copies": ("copy_", "cat", "pad", "fill_", "clone", "index"),
    "elementwise": ("add", "mul", "silu", "sigmoid", "tanh", "pow", "sub", "div", "sqrt"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--networks", nargs="+", default=NETWORKS)
    parser.add_argument("--batch", type=int, default=8, help=f"segments of {SECONDS} s")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    print(
        f"Batches of {options.batch} × {SECONDS} s, {options.threads} thread(s), medians of {options.repeats} turns, "
        f"the ratio with its 10th and 90th percentiles; PyTorch {torch.__version__}, "
        f"stillwave {stillwave.__version__}.\nSeconds of audio per second of processor time.\n"
    )
    print("| network | MMAC/s | with kernels | PyTorch alone | ratio | bound by MACs | share of it |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    found = {}
    for name in options.networks:
        found[name] = one(name, options.batch, options.repeats)
        print(row(name, found[name]), flush=True)
    kinds = [*PARTS, "other"]
    print("\nTime with the kernels by operation, share of an update:\n")
    print(f"| network | {' | '.join(kinds)} |\n{'| --- ' * (1 + len(kinds))}|")
    for name in options.networks:
        shares = profiled(Update(name, options.batch))
        print(f"| {name} | {' | '.join(f'{shares.get(kind, 0):.0%}' for kind in kinds)} |", flush=True)
        found[name]["profile"] = shares
    print("\nThe loss and the STFT cost the same for all networks.")
    if options.json:
        options.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


class Update:
    """One network's training step on random signals."""

    def __init__(self, name: str, batch: int) -> None:
        torch.manual_seed(0)
        given = PRESETS[name] if name in PRESETS else checkpoint.read_card(SHIPPED / name).model
        config = given.model_copy(update={"level_normalized": True})
        self.model: Denoiser = build(config)
        self.loss = EnhancementLoss(LOSS)
        self.optimiser = torch.optim.AdamW(self.model.parameters(), 1e-3)
        self.noisy = 0.05 * torch.randn(batch, SECONDS * SAMPLE_RATE)
        self.clean = 0.03 * torch.randn(batch, SECONDS * SAMPLE_RATE)

    def __call__(self) -> float:
        """Run it; return the processor time."""
        started = time.process_time()
        self.optimiser.zero_grad()
        self.loss(self.model(self.noisy), self.clean)["total"].backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 5.0)
        self.optimiser.step()
        return time.process_time() - started


def one(name: str, batch: int, repeats: int) -> dict[str, Any]:
    """Times with and without the kernel, in turns, and the speed of a large product beside them."""
    update = Update(name, batch)
    times: dict[bool, list[float]] = {True: [], False: []}
    products = []
    for turn in range(repeats + 1):
        for kernel in times:
            with contextlib.nullcontext() if kernel else kernels.switched_off():
                seconds = update()
            if turn:
                times[kernel].append(seconds)
        products.append(product_speed())
    macs = sum(measure(update.model).macs.values())
    speeds = {kernel: batch * SECONDS / statistics.median(seconds) for kernel, seconds in times.items()}
    ratios = [slow / fast for fast, slow in zip(times[True], times[False], strict=True)]
    return {
        "macs": macs,
        "kernel": speeds[True],
        "pytorch": speeds[False],
        "ratio": np.percentile(ratios, [10, 50, 90]).tolist(),
        "bound": statistics.median(products) / (3 * macs),
    }


def product_speed(size: int = 768) -> float:
    """Multiply-accumulates a second of one large product in float32."""
    a, b = torch.randn(size, size), torch.randn(size, size)
    started = time.process_time()
    for _ in range(3):
        torch.mm(a, b)
    return 3 * size**3 / (time.process_time() - started)


def row(name: str, found: dict[str, Any]) -> str:
    low, ratio, high = found["ratio"]
    kernel, bound = found["kernel"], found["bound"]
    speeds = f"{kernel:.1f} | {found['pytorch']:.1f} | {ratio:.2f} ({low:.2f} … {high:.2f}) | {bound:.0f}"
    return f"| {name} | {found['macs'] / 1e6:.0f} | {speeds} | {kernel / bound:.0%} |"


def profiled(update: Update) -> dict[str, float]:
    """Shares of the processor time by kind of operator, of three updates."""
    update()
    with profile(activities=[ProfilerActivity.CPU]) as recorded:
        for _ in range(3):
            update()
    times: dict[str, float] = defaultdict(float)
    for event in recorded.key_averages():
        part = next((p for p, names in PARTS.items() if any(n in event.key for n in names)), "other")
        times[part] += event.self_cpu_time_total
    whole = sum(times.values())
    return {part: time / whole for part, time in sorted(times.items(), key=lambda item: -item[1])}


if __name__ == "__main__":
    main()
