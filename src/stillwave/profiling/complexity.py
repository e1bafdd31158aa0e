"""Count the complexity of a network: MACs by layer type, parameters, bytes and receptive field.

Convention. One MAC is one multiplication with its addition inside a convolution, a linear layer, a recurrent
layer (input and hidden products) or attention (its projections and both of its matrix products). Biases,
norms, activations, element-wise products and the STFT are not counted. Under this convention DPDCRN needs
13.26 GMAC for 63 frames with 128 channels and 4 blocks, and 2.42 GMAC with 64 channels and 1 block.
"""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from stillwave.models.denoiser import Denoiser
from stillwave.models.layers import Attention
from stillwave.models.streaming import get_state, streaming
from stillwave.profiling import probe
from stillwave.profiling.probe import ReceptiveField
from stillwave.profiling.targets import of_denoiser

KINDS: tuple[tuple[str, tuple[type[nn.Module], ...]], ...] = (
    ("attention", (Attention, nn.MultiheadAttention)),
    ("recurrent", (nn.RNNBase, nn.RNNCellBase)),
    ("convolution", (nn.modules.conv._ConvNd,)),
    ("linear", (nn.Linear,)),
)
"""Layer types by priority: a linear layer inside attention counts as attention."""


@dataclass(frozen=True)
class Complexity:
    """Complexity of a network. `macs` holds MAC/s by layer type, counted on a signal of `seconds`."""

    parameters: int
    size_bytes: int
    seconds: float
    macs: dict[str, float]
    receptive_field: ReceptiveField
    state_bytes: int | None
    """State of one stream; None for a non-causal network."""

    @property
    def total_macs(self) -> float:
        """Total MAC/s."""
        return sum(self.macs.values())


def measure(model: Denoiser, seconds: float = 1.0) -> Complexity:
    """Return the complexity of a network, counted on a signal of `seconds`.

    Attention over time grows with the square of the length, so its MAC/s depend on `seconds`.
    """
    samples = round(seconds * model.sample_rate)
    return Complexity(
        parameters=sum(p.numel() for p in model.parameters()),
        size_bytes=sum(t.numel() * t.element_size() for t in model.state_dict().values()),
        seconds=seconds,
        macs={kind: count / seconds for kind, count in count_macs(model, samples).items()},
        receptive_field=receptive_field(model, samples),
        state_bytes=state_bytes(model) if model.causal else None,
    )


def state_bytes(model: Denoiser) -> int:
    """Return the size in bytes of one stream's state of a causal network, in float32."""
    model = copy.deepcopy(model).cpu().float().eval()
    with torch.inference_mode(), streaming(model):
        model.estimate(torch.zeros(1, 2 * model.microphones, 1, model.stft.bins))
        return sum(tensor.numel() * tensor.element_size() for tensor in get_state(model).values())


def count_macs(model: Denoiser, samples: int) -> dict[str, int]:
    """Return MACs by layer type (`KINDS` or `other`) of one forward pass over `samples` samples."""
    model = copy.deepcopy(model).cpu().float().eval()
    with _counter() as counter:
        _run(model, torch.zeros(1, model.microphones, samples))
    root = type(model).__name__
    inclusive = {name: sum(ops.values()) // 2 for name, ops in counter.get_flop_counts().items()}
    own = Counter({name: count for name, count in inclusive.items() if name.partition(".")[0] == root})
    for name in list(own):
        parent = name.rpartition(".")[0]
        while parent and parent not in inclusive:  # containers of layers are never called
            parent = parent.rpartition(".")[0]
        if parent:
            own[parent] -= inclusive[name]
    total: Counter[str] = Counter()
    for name, count in own.items():
        total[_kind(model, name.partition(".")[2])] += count
    return {kind: count for kind, count in total.most_common() if count}


def count_frame_macs(model: Denoiser) -> int:
    """Return the MACs of one frame of a causal network in streaming, with attention over its full past.

    Raises StateError for a non-causal network.
    """
    model = copy.deepcopy(model).cpu().float().eval()
    with streaming(model), _counter() as counter:
        model.estimate(torch.zeros(1, 2 * model.microphones, 1, model.stft.bins))
    return counter.get_total_flops() // 2


def receptive_field(model: Denoiser, samples: int) -> ReceptiveField:
    """Estimate the receptive field with one change on each side. `stillwave probe` is more thorough."""
    return probe.receptive_field(of_denoiser(model), samples)


def _run(model: Denoiser, noisy: Tensor) -> Tensor:
    estimate: Tensor = model(noisy[:, 0] if model.microphones == 1 else noisy)
    return estimate


def _kind(model: nn.Module, name: str) -> str:
    """Return the layer type of a module: its own or that of an enclosing module."""
    parts = name.split(".") if name else []
    around = [model.get_submodule(".".join(parts[:n])) for n in range(len(parts) + 1)]
    for kind, types in KINDS:
        if any(isinstance(module, types) for module in around):
            return kind
    return "other"


@contextmanager
def _counter() -> Iterator[FlopCounterMode]:
    with torch.inference_mode(), _countable_attention(), FlopCounterMode(display=False) as counter:
        yield counter


@contextmanager
def _countable_attention() -> Iterator[None]:
    """Compute attention as matrix products: the counter does not support the fused kernels."""
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with sdpa_kernel(SDPBackend.MATH):
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
