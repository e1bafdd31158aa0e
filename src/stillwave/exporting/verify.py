"""Verify that an exported network computes what its source computes."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch

from stillwave.audio import Samples
from stillwave.console import track
from stillwave.errors import StillwaveError
from stillwave.inference.metadata import ModelMetadata
from stillwave.models import Denoiser
from stillwave.stft import Stft

if TYPE_CHECKING:
    from onnx import ModelProto

Runner = Callable[[Sequence[Samples]], list[Samples]]
"""Computes the outputs of an exported network, in order, from its inputs, in order."""

BOUND = 2.0**-15
"""Greatest allowed difference of a float32 file, relative to full scale: one step of 16-bit audio, −90 dB."""
BLOCKS: tuple[tuple[int, ...], ...] = ((1,), (2, 1, 7), (40,), (100_000,))
"""Block sizes in frames, used in turn; the last one covers a whole signal."""


class DifferenceError(StillwaveError):
    """The exported network does not compute what its source computes."""


def onnx_runner(model: ModelProto | bytes) -> Runner:
    """Return a runner for a graph: ONNX Runtime on one thread."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    raw = model if isinstance(model, bytes) else model.SerializeToString()
    session = onnxruntime.InferenceSession(raw, options, providers=["CPUExecutionProvider"])
    names = [entry.name for entry in session.get_inputs()]

    def run(inputs: Sequence[Samples]) -> list[Samples]:
        found: list[Samples] = session.run(None, dict(zip(names, inputs, strict=True)))
        return found

    return run


def enhance(run: Runner, meta: ModelMetadata, noisy: Samples, blocks: Sequence[int] = (1,)) -> Samples:
    """Return the estimates `[S, N]` of `[S, M, N]`; a streaming graph is given blocks of these sizes in frames."""
    if meta.kind == "offline":
        return run([noisy[:, 0] if meta.microphones == 1 else noisy])[0]
    states = [np.zeros((len(noisy), *shape), np.float32) for shape in meta.states.values()]
    estimates = []
    for block in blocks_of(spectra(meta, noisy), blocks):
        estimate, *states = run([block, *states])
        estimates.append(estimate)
    real, imaginary = torch.from_numpy(np.concatenate(estimates, axis=2)).unbind(1)
    stft = Stft(meta.stft.n_fft, meta.stft.hop)
    waveform: Samples = stft.synthesise(torch.complex(real, imaginary), noisy.shape[-1]).numpy()
    return waveform


def spectra(meta: ModelMetadata, noisy: Samples) -> Samples:
    """Return the spectra `[S, 2·M, T, F]` of `[S, M, N]`: real parts of all microphones, then imaginary parts."""
    spectrum = Stft(meta.stft.n_fft, meta.stft.hop).analyse(torch.from_numpy(noisy))
    parts: Samples = torch.cat([spectrum.real, spectrum.imag], dim=1).numpy()
    return parts


def blocks_of(spectrum: Samples, sizes: Sequence[int]) -> Iterator[Samples]:
    """Yield blocks `[S, 2·M, t, F]` of these sizes, in turn."""
    first = 0
    for size in itertools.cycle(sizes):
        if first >= spectrum.shape[2]:
            return
        yield np.ascontiguousarray(spectrum[:, :, first : first + size])
        first += size


def reference(model: Denoiser, noisy: Samples) -> Samples:
    """Return the source's estimates `[S, N]` of `[S, M, N]`, each signal separately and in one piece."""
    with torch.inference_mode():
        waves = torch.from_numpy(noisy[:, 0] if model.microphones == 1 else noisy)
        estimates: Samples = torch.cat([model(wave[None]) for wave in waves]).numpy()
    return estimates


def difference(run: Runner, meta: ModelMetadata, noisy: Samples, expected: Samples) -> float:
    """Return the greatest difference from `expected`: all signals in one batch, the first alone, all `BLOCKS`."""
    sizes = BLOCKS if meta.kind == "stream" else BLOCKS[:1]
    together = [
        enhance(run, meta, noisy, blocks) - expected for blocks in track(sizes, "compare with the source")
    ]
    single = enhance(run, meta, noisy[:1], sizes[0]) - expected[:1]
    return float(np.max([np.abs(error).max() for error in (*together, single)]))  # NaN if any is NaN


def check(run: Runner, meta: ModelMetadata, noisy: Samples, expected: Samples, bound: float = BOUND) -> float:
    """Return the difference relative to full scale. Raises DifferenceError if it is above `bound` or NaN."""
    found = difference(run, meta, noisy, expected)
    check_difference(found, bound)
    return found


def check_difference(found: float, bound: float = BOUND) -> None:
    """Raise DifferenceError if a difference relative to full scale is above `bound` or NaN."""
    if not found <= bound:
        raise DifferenceError(
            f"the exported network differs from its source by {found:.3g} of full scale; at most {bound:.3g} is "
            "allowed, so nothing was written"
        )


def similarity(run: Runner, meta: ModelMetadata, noisy: Samples, expected: Samples) -> float:
    """Return the lowest ratio in dB (at most 200) of `expected` to its difference from the estimate, frame by frame."""
    found = enhance(run, meta, noisy)
    wanted, error = (np.square(x).sum(1, dtype=np.float64) for x in (expected, found - expected))
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = 10 * (np.log10(wanted) - np.log10(np.maximum(error, 1e-20 * wanted)))
    return float(np.min(np.where((wanted == 0) & (error == 0), 200.0, ratios)))


def check_similarity(
    run: Runner, meta: ModelMetadata, noisy: Samples, expected: Samples, floor: float
) -> float:
    """Return the similarity in dB. Raises DifferenceError if it is below `floor` or NaN."""
    found = similarity(run, meta, noisy, expected)
    if not found >= floor:
        raise DifferenceError(
            f"{meta.precision}: estimates are {found:.1f} dB above their difference from float32; at least "
            f"{floor:g} dB is required, so nothing was written; export in float32"
        )
    return found
