"""Trace networks as ONNX graphs: streaming (states as inputs and outputs) and offline (with the STFT inside).

The network itself is traced. Its states are set from the graph's inputs before `estimate` and read after it, so no
layer needs a second implementation for export.
"""

from __future__ import annotations

import copy
import math
import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

import stillwave
from stillwave.inference.metadata import ESTIMATE, KEY, NEXT, NOISY, SPECTRUM, STATE, ModelMetadata
from stillwave.models import Denoiser
from stillwave.models.layers import ConvStage
from stillwave.models.streaming import get_state, stream_states, streaming

if TYPE_CHECKING:
    from onnx import ModelProto

OPSET = 17
Axes = dict[str, dict[int, str]]


class StreamingModule(nn.Module):
    """Compute `(estimate, *next states)` from `(spectrum, *states)`, states in the order of `names`.

    Keep it in eval mode: after tracing, PyTorch restores the mode of the module and of the network inside.
    """

    def __init__(self, model: Denoiser) -> None:
        super().__init__()
        self.model = model
        self.names = tuple(stream_states(model))

    def forward(self, spectrum: Tensor, *states: Tensor) -> tuple[Tensor, ...]:
        """Estimate from a spectrum `[S, 2·M, T, F]` and states `[S, …]`."""
        held = stream_states(self.model)
        for name, state in zip(self.names, states, strict=True):
            held[name].open, held[name].held = True, state
        estimate = self.model.estimate(spectrum)
        after = [held[name].held for name in self.names]
        return (estimate, *(tensor for tensor in after if tensor is not None))


class WaveformModule(nn.Module):
    """Compute the estimate `[B, N]` of a noisy waveform `[B, N]` or `[B, M, N]`, the STFT as two convolutions.

    Analysis is a convolution of stride `hop` with the windowed Fourier basis; overlap-add is its transpose. Runtimes
    support both for any length, while FFT operators are missing or slow in some.
    """

    def __init__(self, model: Denoiser) -> None:
        super().__init__()
        self.model, self.hop = model, model.stft.hop
        analysis, synthesis = fourier_bases(model.stft.n_fft)
        self.register_buffer("analysis", analysis[:, None])
        self.register_buffer("synthesis", synthesis[:, None])

    analysis: Tensor
    synthesis: Tensor

    def forward(self, noisy: Tensor) -> Tensor:
        """Estimate clean speech; N ≥ 1."""
        samples, microphones = noisy.shape[-1], self.model.microphones
        padded = nn.functional.pad(noisy, (self.hop, 2 * self.hop - 1)).reshape(
            -1, 1, samples + 3 * self.hop - 1
        )
        bins = nn.functional.conv1d(padded, self.analysis, stride=self.hop)  # [B·M, 2·F, T]
        parts = bins.reshape(-1, microphones, 2, self.hop + 1, bins.shape[2])
        spectrum = parts.permute(0, 2, 1, 4, 3).flatten(1, 2)  # [B, 2·M, T, F]
        estimate = self.model.estimate(spectrum).transpose(2, 3).flatten(1, 2)
        waveform = nn.functional.conv_transpose1d(estimate, self.synthesis, stride=self.hop)
        return waveform[:, 0, self.hop : self.hop + samples]


def fourier_bases(n_fft: int) -> tuple[Tensor, Tensor]:
    """Return the windowed Fourier bases `[2·F, n_fft]` of analysis and synthesis, real parts first.

    X_k = Σ_n w(n) x(n) e^(−2πikn/N), and x(n) = w(n)/N · Σ_k c_k (Re X_k cos(2πkn/N) − Im X_k sin(2πkn/N)) with
    c_k = 1 for the first and last bin and 2 for the others, which accounts for the bins above the Nyquist frequency.
    """
    n, k = torch.arange(n_fft, dtype=torch.float64), torch.arange(n_fft // 2 + 1, dtype=torch.float64)
    window = torch.sin(n * (math.pi / n_fft))
    angle = 2 * math.pi / n_fft * (torch.outer(k, n) % n_fft)
    weight = torch.full((len(k), 1), 2.0, dtype=torch.float64)
    weight[[0, -1]] = 1
    analysis = torch.cat([angle.cos(), -angle.sin()]) * window
    synthesis = torch.cat([angle.cos() * weight, -angle.sin() * weight]) * window / n_fft
    return analysis.float(), synthesis.float()


def prepared(model: Denoiser) -> Denoiser:
    """Return a copy to trace: on the CPU, in float32 and eval mode, with standard operators only."""
    model = copy.deepcopy(model).cpu().float().eval()
    model.fold()
    for stage in model.modules():
        if isinstance(stage, ConvStage) and isinstance(stage.norm, nn.InstanceNorm2d):
            stage.norm = nn.Sequential(stage.norm)  # a bare one would run as a fused custom function
    return model


def state_shapes(model: Denoiser) -> dict[str, list[int]]:
    """Return the shape of every state without its stream axis. Raises StateError for a non-causal network."""
    with torch.inference_mode(), streaming(model):
        model.estimate(torch.zeros(1, 2 * model.microphones, 1, model.stft.bins))
        return {name: list(tensor.shape[1:]) for name, tensor in get_state(model).items()}


def stream_graph(model: Denoiser) -> ModelProto:
    """Return the streaming graph. Raises StateError for a non-causal network."""
    model = prepared(model)
    shapes = state_shapes(model)
    inputs = [SPECTRUM, *(STATE + name for name in shapes)]
    outputs = [ESTIMATE, *(NEXT + name for name in shapes)]
    axes: Axes = {name: {0: "streams"} for name in (*inputs, *outputs)}
    for name in (SPECTRUM, ESTIMATE):
        axes[name] = {0: "streams", 2: "frames"}
    # Two streams of three frames: sizes that no fixed axis of a network has.
    random = torch.Generator().manual_seed(0)
    spectrum = torch.randn(2, 2 * model.microphones, 3, model.stft.bins, generator=random)
    example = (spectrum, *(torch.zeros(2, *shape) for shape in shapes.values()))
    return _trace(StreamingModule(model), example, inputs, outputs, axes)


def offline_graph(model: Denoiser) -> ModelProto:
    """Return the offline graph, from waveform to waveform."""
    model = prepared(model)
    shape = (2, 3000) if model.microphones == 1 else (2, model.microphones, 3000)  # no whole number of frames
    noisy = 0.1 * torch.randn(shape, generator=torch.Generator().manual_seed(0))
    axes: Axes = {NOISY: {0: "batch", noisy.ndim - 1: "samples"}, ESTIMATE: {0: "batch", 1: "samples"}}
    return _trace(WaveformModule(model), (noisy,), [NOISY], [ESTIMATE], axes)


def serialise(graph: ModelProto, meta: ModelMetadata) -> bytes:
    """Return the bytes of the file, with `meta` in its metadata."""
    import onnx

    named = onnx.ModelProto()
    named.CopyFrom(graph)
    onnx.helper.set_model_props(named, {KEY: meta.model_dump_json()})
    del named.graph.value_info[:]  # intermediate shapes, which runtimes infer
    named.producer_name, named.producer_version = "stillwave", stillwave.__version__
    onnx.checker.check_model(named)
    data: bytes = named.SerializeToString()
    return data


def _trace(
    module: nn.Module, example: tuple[Tensor, ...], inputs: Sequence[str], outputs: Sequence[str], axes: Axes
) -> ModelProto:
    import onnx

    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings(), torch.inference_mode():
        file = Path(folder) / "traced.onnx"
        warnings.simplefilter("ignore")  # the tracer warns about every shape check
        torch.onnx.export(
            module.eval(),
            example,
            file,
            dynamo=False,
            opset_version=OPSET,
            input_names=list(inputs),
            output_names=list(outputs),
            dynamic_axes=axes,
        )
        return onnx.load(file)
