"""What one training step of a network costs on a CPU, by part, against a plain form with the same weights.

    python benchmarks/network_step.py --threads 3

The plain form is what one would write first: `nn.MultiheadAttention`, `nn.InstanceNorm2d`, `nn.PReLU`, and
feature maps in PyTorch's default layout. Both take turns, and the best of all turns counts: the machine may
be shared.
"""

from __future__ import annotations

import argparse
import copy
import json
import os
import platform
import statistics
import sys
import time
from collections import Counter, OrderedDict
from typing import Any

import torch
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile

from stillwave.models import DPDCRN
from stillwave.models.layers import Attention, ConvStage, apply_mask
from stillwave.schema import ModelConfig

PARTS = {  # a part of the step: what the names of its operators hold
    "convolution": ("conv",),
    "attention": ("scaled_dot_product", "softmax", "bmm"),
    "norm": ("norm",),
    "PReLU": ("prelu", "PReLU"),
    "matrix products (GRU, linear)": ("aten::mm", "aten::addmm", "aten::linear"),
    "gates (GRU)": ("sigmoid", "tanh"),
    "copies": ("copy_", "cat", "pad", "fill_", "clone"),
}
PLAIN_NAMES = {"inner.in_proj_": "input.", "inner.out_proj.": "output."}


class PlainAttention(nn.Module):
    """The same attention by PyTorch's module, which also averages the weights that nobody asks for."""

    def __init__(self, attention: Attention) -> None:
        super().__init__()
        channels = attention.output.in_features
        self.inner = nn.MultiheadAttention(channels, attention.heads, batch_first=True)
        with torch.no_grad():
            self.inner.in_proj_weight.copy_(attention.input.weight)
            self.inner.in_proj_bias.copy_(attention.input.bias)
        self.inner.out_proj.load_state_dict(attention.output.state_dict())

    def forward(self, x: Tensor) -> Tensor:
        """`[N, L, C]` to the same shape."""
        y: Tensor = self.inner(x, x, x)[0]
        return y


class PlainDPDCRN(DPDCRN):
    """DPDCRN from PyTorch's own modules, in its default layout."""

    def __init__(self, model: DPDCRN) -> None:
        super().__init__(model.config)
        self.load_state_dict(model.state_dict())
        for parent in list(self.modules()):
            for name, child in list(parent.named_children()):
                if isinstance(child, Attention):
                    setattr(parent, name, PlainAttention(child))
                elif isinstance(child, ConvStage):
                    setattr(parent, name, nn.Sequential(OrderedDict(child.named_children())))

    def estimate(self, spectrum: Tensor) -> Tensor:
        """As the network's own."""
        x = spectrum
        for stage in (*self.encoder, self.middle, *self.decoder):
            x = stage(x.contiguous())
        return apply_mask(x, spectrum[:, :: self.microphones])


def main() -> None:
    options = arguments()
    torch.set_num_threads(options.threads)
    networks = [measure(channels, blocks, options) for channels, blocks in options.sizes]
    result = {"machine": machine(options.threads), "networks": networks}
    print(json.dumps(result, indent=2) if options.json else markdown(result))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument(
        "--sizes", type=_size, nargs="+", default=[(24, 1), (64, 1)], metavar="CHANNELS/BLOCKS"
    )
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=2.0, help="length of each example")
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--json", action="store_true", help="JSON instead of the tables")
    return parser.parse_args()


def _size(text: str) -> tuple[int, int]:
    channels, _, blocks = text.partition("/")
    return int(channels), int(blocks or 1)


def measure(channels: int, blocks: int, options: argparse.Namespace) -> dict[str, Any]:
    """Best and median wall time of one step of both forms, their agreement, and the parts of ours."""
    torch.manual_seed(0)
    ours = DPDCRN(ModelConfig(channels=channels, blocks=blocks))
    plain = PlainDPDCRN(ours)
    noisy = 0.1 * torch.randn(options.batch, round(options.seconds * ours.sample_rate))
    difference = deviation(ours, plain, noisy[:2, : ours.sample_rate])
    times: dict[str, list[float]] = {"plain": [], "ours": []}
    for turn in range(-1, options.turns):  # turn -1 warms up
        print(f"{channels}/{blocks}: turn {turn + 1} of {options.turns}", file=sys.stderr)
        for name, model in (("plain", plain), ("ours", ours)):
            start = time.perf_counter()
            step(model, noisy)
            if turn >= 0:
                times[name].append(time.perf_counter() - start)
    return {
        "channels": channels,
        "blocks": blocks,
        "seconds": {name: min(values) for name, values in times.items()},
        "median_seconds": {name: statistics.median(values) for name, values in times.items()},
        "audio_seconds_per_second": options.batch * options.seconds / min(times["ours"]),
        "gradient_deviation": difference,
        "parts": {"plain": parts(plain, noisy), "ours": parts(ours, noisy)},
    }


def step(model: DPDCRN, noisy: Tensor) -> None:
    """One forward and backward pass."""
    model.zero_grad(set_to_none=True)
    model(noisy).square().mean().backward()


def deviation(ours: DPDCRN, plain: DPDCRN, noisy: Tensor) -> float:
    """Greatest difference between both forms' gradients, against the greatest gradient, in float64.

    In float32 the two differ by up to 1e-3, as each does from float64: rounding moves values across the kinks
    of PReLU and ReLU.
    """
    ours, plain = copy.deepcopy(ours).double(), copy.deepcopy(plain).double()
    step(ours, noisy.double())
    step(plain, noisy.double())
    pairs = zip(sorted_gradients(ours), sorted_gradients(plain), strict=True)
    scale = max(float(g.abs().max()) for g in sorted_gradients(plain))
    return max(float((a - b).abs().max()) for a, b in pairs) / scale


def sorted_gradients(model: DPDCRN) -> list[Tensor]:
    """Gradients in the order of construction, which both forms share up to renamed attention parameters."""
    return [p.grad for _, p in sorted(model.named_parameters(), key=_name) if p.grad is not None]


def _name(item: tuple[str, Tensor]) -> str:
    """One name for a parameter of both forms."""
    name = item[0]
    for plain, own in PLAIN_NAMES.items():
        name = name.replace(plain, own)
    return name


def parts(model: DPDCRN, noisy: Tensor) -> dict[str, float]:
    """Milliseconds of the main thread in one step, by what they were spent on."""
    with profile(activities=[ProfilerActivity.CPU]) as profiler:
        step(model, noisy)
    total: Counter[str] = Counter()
    for event in profiler.key_averages():
        kind = next((kind for kind, words in PARTS.items() if any(w in event.key for w in words)), "other")
        total[kind] += event.self_cpu_time_total / 1000
    return dict(total.most_common())


def machine(threads: int) -> str:
    """One line on what this was measured on."""
    load = os.getloadavg()[0]
    cores = f"{os.cpu_count()} cores, {threads} threads, load {load:.1f}"
    return f"{platform.machine()}, {cores}, torch {torch.__version__}"


def markdown(result: dict[str, Any]) -> str:
    """The tables of docs/benchmarks.md."""
    lines = [f"Machine: {result['machine']}", ""]
    lines += ["| channels/blocks | plain, s | ours, s | ratio | audio, s/s | gradients differ by |"]
    lines += ["|---|---|---|---|---|---|"]
    for n in result["networks"]:
        plain, ours = n["seconds"]["plain"], n["seconds"]["ours"]
        speed, apart = n["audio_seconds_per_second"], n["gradient_deviation"]
        size = f"{n['channels']}/{n['blocks']}"
        lines += [f"| {size} | {plain:.2f} | {ours:.2f} | {plain / ours:.2f} | {speed:.1f} | {apart:.1e} |"]
    for n in result["networks"]:
        kinds = n["parts"]
        lines += [
            "",
            f"CPU time by part, {n['channels']}/{n['blocks']}, ms:",
            "",
            "| part | plain | ours |",
            "|---|---|---|",
        ]
        lines += [f"| {k} | {kinds['plain'].get(k, 0):.0f} | {kinds['ours'].get(k, 0):.0f} |" for k in PARTS]
        lines += [f"| other | {kinds['plain'].get('other', 0):.0f} | {kinds['ours'].get('other', 0):.0f} |"]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
