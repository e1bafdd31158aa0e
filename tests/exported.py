"""Exported networks of random weights, for tests of what runs them."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import onnx
import torch
from torch import nn

from stillwave.models.streaming import get_state, memories, streaming


class Step(nn.Module):
    """A causal network with its memories as inputs and outputs."""

    def __init__(self, model: nn.Module, names: list[str]) -> None:
        super().__init__()
        self.model, self.names = model, names

    def forward(self, spectrum, *state):
        held = memories(self.model)
        for name, tensor in zip(self.names, state, strict=True):
            held[name].open, held[name].held = True, tensor
        estimate = self.model.estimate(spectrum)
        return (estimate, *[held[name].held for name in self.names])


def export(model, path: Path, **changes) -> Path:
    """Write a streaming file; `changes` are made to what it says of itself."""
    model = model.eval()
    inputs = 2 * model.microphones
    with torch.no_grad(), streaming(model):
        model.estimate(torch.zeros(2, inputs, 3, model.stft.bins))
        state = {name: torch.zeros_like(tensor) for name, tensor in get_state(model).items()}
    names = list(state)
    axes = {"spectrum": {0: "streams", 2: "frames"}, "estimate": {0: "streams", 2: "frames"}}
    for name in names:
        axes[f"state.{name}"] = axes[f"next.{name}"] = {0: "streams"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            Step(model, names).eval(), (torch.randn(2, inputs, 3, model.stft.bins), *state.values()), str(path),
            dynamo=False, opset_version=17, dynamic_axes=axes,
            input_names=["spectrum", *(f"state.{name}" for name in names)],
            output_names=["estimate", *(f"next.{name}" for name in names)],
        )  # fmt: skip
    for memory in memories(model).values():
        memory.open, memory.held = False, None
    meta = {
        "format": 1, "kind": "stream", "sample_rate": 16_000, "microphones": model.microphones,
        "stft": {"n_fft": 512, "hop": 256, "window": "sqrt_hann"}, "lookahead_frames": 0, "delay_samples": 512,
        "precision": "float32", "states": {name: list(tensor.shape[1:]) for name, tensor in state.items()},
        "initial": "zeros", "card": {},
    }  # fmt: skip
    describe(path, json.dumps({**meta, **changes}))
    return path


def describe(path: Path, text: str | None) -> None:
    """Give an ONNX file what it says of itself; None takes it away."""
    proto = onnx.load(path)
    del proto.metadata_props[:]
    if text is not None:
        entry = proto.metadata_props.add()
        entry.key, entry.value = "stillwave", text
    onnx.save(proto, path)
