"""What else could clean a recording: classical denoisers over a folder of noisy files.

    python benchmarks/peers.py NOISY -o FOLDER
    stillwave evaluate --clean CLEAN --noisy NOISY --enhanced gating=FOLDER/gating --enhanced wiener=FOLDER/wiener

- `gating`: spectral gating by `noisereduce` (pip install noisereduce), non-stationary mode, its defaults.
- `wiener`: a Wiener filter with the decision-directed a-priori SNR of Ephraim and Malah (1984), α = 0.98, floor
  −15 dB, over a noise floor tracked as the lowest smoothed power of the last 1.5 s (after Martin, 2001, with the bias
  of the minimum made good by a constant). Written here: no well-kept library has one.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import minimum_filter1d
from scipy.signal import istft, lfilter, stft

from stillwave.audio import Samples, read, write
from stillwave.console import track

SUFFIXES = {".wav", ".flac"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("noisy", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--only", choices=sorted(PEERS), nargs="*", default=sorted(PEERS))
    options = parser.parse_args()
    files = sorted(path for path in options.noisy.iterdir() if path.suffix in SUFFIXES)
    for name in options.only:
        (options.output / name).mkdir(parents=True, exist_ok=True)
        for path in track(files, name):
            samples, rate = read(path)
            estimate = np.stack([PEERS[name](channel, rate) for channel in samples])
            write(options.output / name / f"{path.stem}.wav", estimate, rate, subtype="FLOAT")


def gating(samples: Samples, rate: int) -> Samples:
    import noisereduce

    estimate: Samples = np.asarray(noisereduce.reduce_noise(y=samples, sr=rate), np.float32)
    return estimate


def wiener(samples: Samples, rate: int, floor_db: float = -15.0, alpha: float = 0.98) -> Samples:
    size, hop = 512 * rate // 16_000, 128 * rate // 16_000
    _, _, spectrum = stft(samples, nperseg=size, noverlap=size - hop)
    power = np.abs(spectrum) ** 2 + 1e-12
    posterior = power / noise_floor(power, round(1.5 * rate / hop))
    gains = np.empty_like(power)
    before = np.ones(len(power))  # gain² · posterior SNR of the frame before
    lowest = 10 ** (floor_db / 20)
    for t in range(power.shape[1]):
        prior = alpha * before + (1 - alpha) * np.maximum(posterior[:, t] - 1, 0)
        gains[:, t] = np.maximum(prior / (1 + prior), lowest)
        before = gains[:, t] ** 2 * posterior[:, t]
    _, estimate = istft(spectrum * gains, nperseg=size, noverlap=size - hop)
    return np.asarray(estimate[: len(samples)], np.float32)


def noise_floor(power: NDArray[np.float64], frames: int) -> NDArray[np.float64]:
    """Of `[bins, frames]`: the lowest smoothed power so far back, times what its expectation lacks."""
    smooth = lfilter([0.15], [1, -0.85], power, axis=1, zi=0.85 * power[:, :1])[0]
    bias = 1.5
    return np.asarray(bias * minimum_filter1d(smooth, frames, axis=1, origin=(frames - 1) // 2))


PEERS: dict[str, Callable[[Samples, int], Samples]] = {"gating": gating, "wiener": wiener}

if __name__ == "__main__":
    main()
