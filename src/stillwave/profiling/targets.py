"""Targets of `stillwave probe`: checkpoints, presets, ONNX files, and PyTorch callables by name."""

from __future__ import annotations

import copy
import importlib
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from stillwave import pretrained
from stillwave.errors import StillwaveError, nearest
from stillwave.inference.metadata import ESTIMATE, NOISY
from stillwave.profiling.probe import ProbeTarget, Run, Signal
from stillwave.schema import PRESETS, SAMPLE_RATE

if TYPE_CHECKING:
    from stillwave.inference.backend import Backend
    from stillwave.models import Denoiser


def find(target: str | None, rate: int = SAMPLE_RATE) -> ProbeTarget:
    """Return the model that `target` names.

    `target`: checkpoint or run folder, `.onnx` file, shipped model, preset, or `module:attribute` (also from the
    working folder) of a callable for `[1, N]` samples; by default the default model. Existing paths take precedence
    over names. Raises StillwaveError if `target` is unknown or cannot be loaded.
    """
    known = target is None or Path(target).exists() or pretrained.SHIPPED.has(target)
    if not known and target in PRESETS:
        from stillwave.models import build

        return of_denoiser(build(PRESETS[target]), target)
    if target is not None and not known and ":" in target:
        return of_callable(_attribute(target), target, rate)
    path = pretrained.SHIPPED.locate(target, PRESETS)
    if path.is_file() and path.suffix == ".onnx":
        return of_file(path, target or pretrained.default())
    from stillwave import checkpoint

    return of_denoiser(checkpoint.load(path)[0], str(path))


def of_denoiser(model: Denoiser, name: str = "") -> ProbeTarget:
    """Return a probe target for a copy of a network, in float64 and evaluation mode."""
    import torch

    pristine = copy.deepcopy(model).cpu().double().eval()

    def fresh() -> Run:
        own = copy.deepcopy(pristine)

        def run(noisy: Signal) -> Signal:
            waveform = torch.from_numpy(noisy)
            with torch.inference_mode():
                output = own(waveform if model.microphones == 1 else waveform[None])
            answer: Signal = output[0].numpy()
            return answer

        return run

    return ProbeTarget(
        name or type(model).__name__,
        fresh,
        model.sample_rate,
        model.microphones,
        n_fft=model.stft.n_fft,
        hop=model.stft.hop,
    )


def of_file(path: Path, name: str | None = None) -> ProbeTarget:
    """Return a probe target for an exported network; its name is by default its path.

    A streaming graph is run on all frames at once, an int8 one frame by frame: its activation ranges may be measured
    in each call, which would make every frame depend on all others.
    """
    from stillwave.inference.backend import OnnxBackend
    from stillwave.inference.onnx_model import read

    model = read(path)
    meta = model.meta
    by_frame = meta.kind == "stream" and meta.precision == "int8"
    backend = OnnxBackend(model) if meta.kind == "stream" else None

    def offline(noisy: Signal) -> Signal:
        rows = noisy.astype(np.float32)
        feed = {NOISY: rows if meta.microphones == 1 else rows[None]}
        answer: Signal = model.session.run([ESTIMATE], feed)[0][0].astype(np.float64)
        return answer

    return ProbeTarget(
        name or str(path),
        lambda: offline if backend is None else _streamed(backend, by_frame),
        meta.sample_rate,
        meta.microphones,
        "float32",
        meta.stft.n_fft,
        meta.stft.hop,
        "frame by frame" if by_frame else "whole signals",
    )


def _streamed(backend: Backend, by_frame: bool) -> Run:
    """Return a function that runs analysis, the network from its initial state, and synthesis."""
    from stillwave.inference.streaming_stft import Framer, OverlapAdder, analyze_frames

    def run(noisy: Signal) -> Signal:
        samples, hop = noisy.shape[1], backend.hop
        padded = np.pad(noisy.astype(np.float32), ((0, 0), (0, -samples % hop + hop)))
        spectrum = analyze_frames(Framer(backend.microphones, hop).push(padded))
        parts = np.concatenate([spectrum.real, spectrum.imag])[None]
        state, estimates = backend.begin(1), []
        for first in range(0, parts.shape[2], 1 if by_frame else parts.shape[2]):
            block = parts[:, :, first : first + (1 if by_frame else parts.shape[2])]
            estimate, state = backend.step(block, state)
            estimates.append(estimate[0])
        real, imaginary = np.concatenate(estimates, axis=1)
        output = OverlapAdder(1, backend.n_fft).push((real + 1j * imaginary)[None])
        answer: Signal = output[0, :samples].astype(np.float64)
        return answer

    return run


def of_callable(called: Callable[..., Any], name: str, rate: int = SAMPLE_RATE) -> ProbeTarget:
    """Return a probe target for a callable from a tensor `[1, N]` to N samples; modules are set to evaluation mode."""
    import torch

    from stillwave.models import Denoiser

    if isinstance(called, Denoiser):
        return of_denoiser(called, name)
    rate = getattr(called, "sample_rate", rate)
    for precision in ("float64", "float32"):
        pristine = _copy(called)
        if isinstance(pristine, torch.nn.Module):
            pristine = pristine.cpu().to(getattr(torch, precision)).eval()
        fresh = _fresh(pristine, getattr(torch, precision), name)
        try:
            fresh()(np.zeros((1, rate)))
        except StillwaveError:
            raise
        except Exception as error:  # a foreign model may raise anything for an unsupported type
            fault = error
            continue
        return ProbeTarget(name, fresh, rate, precision=precision)
    raise StillwaveError(f"{name}: fails on a tensor [1, {rate}] ({type(fault).__name__}: {fault})")


def _fresh(pristine: Callable[..., Any], dtype: Any, name: str) -> Callable[[], Run]:
    import torch

    def fresh() -> Run:
        own = _copy(pristine)

        def run(noisy: Signal) -> Signal:
            with torch.no_grad():
                output = own(torch.from_numpy(noisy).to(dtype))
            if not isinstance(output, torch.Tensor) or not output.is_floating_point():
                raise StillwaveError(
                    f"{name}: returned {type(output).__name__}; expected a tensor of samples"
                )
            if output.dtype != dtype:  # lower precision than requested: the thresholds would not apply
                raise TypeError(f"returned {output.dtype} for {dtype}")
            answer: Signal = output.double().squeeze().reshape(-1).numpy()
            return answer

        return run

    return fresh


def _copy(called: Callable[..., Any]) -> Callable[..., Any]:
    """Return a copy with its own state, or the object itself if it cannot be copied."""
    try:
        return copy.deepcopy(called)
    except Exception:  # a callable with a lock, a file or a session
        return called


def _attribute(target: str) -> Callable[..., Any]:
    module, _, name = target.partition(":")
    if not (module and name):
        raise StillwaveError(f"{target}: expected module:attribute, such as my_package.models:denoiser")
    here = os.getcwd()  # noqa: PTH109
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        found: Any = importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name and f"{module}.".startswith(f"{error.name}."):
            raise StillwaveError(f"{target}: there is no module '{module}' to import") from None
        raise StillwaveError(f"{target}: needs '{error.name}', which is not installed") from None
    for part in name.split("."):
        if not hasattr(found, part):
            raise StillwaveError(f"{target}: {module} has no '{part}'; {nearest(part, dir(found))}")
        found = getattr(found, part)
    if isinstance(found, type):
        found = found()
    if not callable(found):
        raise StillwaveError(f"{target}: is a {type(found).__name__}, which is not callable")
    called: Callable[..., Any] = found
    return called
