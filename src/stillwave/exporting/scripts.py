"""Networks as TorchScript: the step of `graphs.Step` or the whole of `graphs.Whole`, for LibTorch without Python.

`torch.export` was tried and is not offered: it fixes the number of frames wherever a GRU runs over them, so its
file takes blocks of one size alone.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Sequence

import torch
from torch import nn

from stillwave.audio import Samples
from stillwave.exporting.graphs import (
    StreamingModule,
    WaveformModule,
    offline_example,
    prepared,
    stream_example,
)
from stillwave.exporting.verify import Runner
from stillwave.inference.metadata import KEY, ModelMetadata
from stillwave.models import Denoiser

EXTRA_FILE = f"{KEY}.json"
"""Entry of the file that holds its metadata (`_extra_files` of `torch.jit.load`)."""


def trace(model: Denoiser, meta: ModelMetadata) -> bytes:
    """The bytes of a file for `torch.jit.load`: `(spectrum, *states)` to `(estimate, *next states)`, or `noisy` to
    `estimate`. States come in the order of the metadata, which lie in the file as `stillwave.json`.
    """
    model = prepared(model)
    module: nn.Module
    if meta.kind == "stream":
        module, example = StreamingModule(model), stream_example(model, meta.states)
    else:
        module, example = WaveformModule(model), (offline_example(model),)
    with warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter("ignore")  # the tracer warns of every check of a shape
        traced = torch.jit.trace(module.eval(), example, check_trace=False)  # type: ignore[no-untyped-call]
        buffer = io.BytesIO()
        torch.jit.save(traced, buffer, _extra_files={EXTRA_FILE: meta.model_dump_json()})
    return buffer.getvalue()


def runner(data: bytes) -> Runner:
    """A file's network, for comparing it with its source."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        module = torch.jit.load(io.BytesIO(data))  # type: ignore[no-untyped-call]

    def run(inputs: Sequence[Samples]) -> list[Samples]:
        with torch.inference_mode():
            found = module(*(torch.from_numpy(value) for value in inputs))
        return [tensor.numpy() for tensor in (found if isinstance(found, tuple) else (found,))]

    return run
