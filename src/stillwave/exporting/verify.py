"""Does an exported network compute what its source computes? Measured on signals before a file is written."""

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
"""An exported network: its inputs in order to its outputs in order."""

BOUND = 2.0**-15
"""How far a float32 file may be from its source, as a share of full scale: one step of 16-bit audio, −90 dB."""
BLOCKS: tuple[tuple[int, ...], ...] = ((1,), (2, 1, 7), (40,), (100_000,))
"""Sizes of blocks in frames, in turn; the last is a whole signal."""


class DifferenceError(StillwaveError):
    """An exported network that does not compute what its source does."""


def onnx_runner(model: ModelProto | bytes) -> Runner:
    """A graph as the runtime computes it: one thread, inputs in the graph's order."""
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
    """Noisy `[S, M, N]` to estimates `[S, N]`; a streaming network gets blocks of these sizes in frames, in turn."""
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
    """`[S, M, N]` to `[S, 2·M, T, F]`: the reals of all microphones, then the imaginaries."""
    spectrum = Stft(meta.stft.n_fft, meta.stft.hop).analyse(torch.from_numpy(noisy))
    parts: Samples = torch.cat([spectrum.real, spectrum.imag], dim=1).numpy()
    return parts


def blocks_of(spectrum: Samples, sizes: Sequence[int]) -> Iterator[Samples]:
    """Blocks `[S, 2·M, t, F]` of these sizes, in turn, until the frames are used up."""
    first = 0
    for size in itertools.cycle(sizes):
        if first >= spectrum.shape[2]:
            return
        yield np.ascontiguousarray(spectrum[:, :, first : first + size])
        first += size


def reference(model: Denoiser, noisy: Samples) -> Samples:
    """The source's own estimates `[S, N]` of `[S, M, N]`, each signal by itself and in one piece."""
    with torch.inference_mode():
        waves = torch.from_numpy(noisy[:, 0] if model.microphones == 1 else noisy)
        estimates: Samples = torch.cat([model(wave[None]) for wave in waves]).numpy()
    return estimates


def difference(run: Runner, meta: ModelMetadata, noisy: Samples, expected: Samples) -> float:
    """Largest difference of any sample from `expected`, all signals at once and the first alone, in all `BLOCKS`."""
    sizes = BLOCKS if meta.kind == "stream" else BLOCKS[:1]
    together = [
        enhance(run, meta, noisy, blocks) - expected for blocks in track(sizes, "compare with the source")
    ]
    alone = enhance(run, meta, noisy[:1], sizes[0]) - expected[:1]
    return float(np.max([np.abs(error).max() for error in (*together, alone)]))  # NaN wins, as it must


def check(run: Runner, meta: ModelMetadata, noisy: Samples, expected: Samples, bound: float = BOUND) -> float:
    """The difference, in full scales. Raises DifferenceError when it is above `bound`, or not a number."""
    found = difference(run, meta, noisy, expected)
    if not found <= bound:
        raise DifferenceError(
            f"the exported network differs from its source by {found:.3g} of full scale, {bound:.3g} is allowed; "
            "nothing is written"
        )
    return found


def similarity(run: Runner, meta: ModelMetadata, noisy: Samples, expected: Samples) -> float:
    """Lowest signal-to-difference ratio of any signal's estimate to `expected`, in dB, at most 200; frame by frame."""
    found = enhance(run, meta, noisy)
    wanted, error = (np.square(x).sum(1, dtype=np.float64) for x in (expected, found - expected))
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = 10 * (np.log10(wanted) - np.log10(np.maximum(error, 1e-20 * wanted)))
    return float(np.min(np.where((wanted == 0) & (error == 0), 200.0, ratios)))


def check_similarity(
    run: Runner, meta: ModelMetadata, noisy: Samples, expected: Samples, floor: float
) -> float:
    """The similarity in dB. Raises DifferenceError when it is below `floor`, or not a number."""
    found = similarity(run, meta, noisy, expected)
    if not found >= floor:
        raise DifferenceError(
            f"in {meta.precision} the network's estimates are only {found:.1f} dB above their difference from those in "
            f"float32, {floor:g} dB is asked for; nothing is written; export it in float32"
        )
    return found
