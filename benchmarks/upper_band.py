"""Compare gains for the band above that of a network, on mixtures at 48 kHz made for training.

    python benchmarks/upper_band.py AUDIO/fullband --model bsrnn-m

Speech and noise with a bandwidth of at least 14 kHz are mixed at −5 … 15 dB (24 mixtures of at most 6 s, one seed). The
gain of a frame is (Σ|E|² / Σ|X|²)^(p/2) over a band of the network, at most 1; `stillwave.inference.upper_band` has the
one that was chosen. Printed: means with bootstrap 95 % intervals over mixtures of the SI-SDR of all frequencies and of
those above 8 kHz, and the level of what is left above 8 kHz in pauses of the speech, relative to the input.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Callable
from pathlib import Path
from unittest import mock

import numpy as np

import stillwave
from stillwave import audio
from stillwave.audio import Samples
from stillwave.inference import pipeline, upper_band
from stillwave.inference.streaming_stft import Spectrum
from stillwave.stats.bootstrap import bootstrap

RATE, EDGE, SEED, MIXTURES = 48_000, 8_000, 0, 24
BANDS = {"5 … 7.5 kHz": (5 / 8, 15 / 16), "4 … 7 kHz": (1 / 2, 7 / 8), "2 … 7 kHz": (1 / 4, 7 / 8)}
EXPONENTS = (1.0, 1.5, 2.0)


def rows(folder: Path, name: str) -> list[dict[str, str]]:
    """Return the recordings of a list that are long and wide enough."""
    with (folder / name).open() as file:
        found = list(csv.DictReader(file))
    return [row for row in found if int(row["bandwidth_hz"]) >= 14_000 and float(row["seconds"]) > 3]


def mixtures(folder: Path) -> list[tuple[Samples, Samples]]:
    """Return pairs of clean speech and mixture `[n]`."""
    rng = np.random.default_rng(SEED)
    speech, noise = rows(folder, "speech.csv"), rows(folder, "noise.csv")
    pairs = []
    for _ in range(MIXTURES):
        clean = scaled(folder / speech[rng.choice(len(speech))]["file"])[: 6 * RATE]
        added = np.resize(scaled(folder / noise[rng.choice(len(noise))]["file"]), clean.shape)
        snr_db = rng.uniform(-5, 15)
        pairs.append((clean, (clean + 10 ** (-snr_db / 20) * added).astype(np.float32)))
    return pairs


def scaled(path: Path) -> Samples:
    """Return the first channel with a level of −26 dBFS."""
    samples, _ = audio.read(path)
    scaled: Samples = samples[0] * np.float32(0.05 / np.sqrt(np.mean(samples[0] ** 2) + 1e-12))
    return scaled


def above(samples: Samples) -> Samples:
    """Return what lies above `EDGE`."""
    spectrum = np.fft.rfft(samples)
    spectrum[np.fft.rfftfreq(len(samples), 1 / RATE) < EDGE] = 0
    return np.fft.irfft(spectrum, len(samples)).astype(np.float32)


def si_sdr(estimate: Samples, clean: Samples) -> float:
    """Return the scale-invariant signal-to-distortion ratio in dB."""
    target = clean * (estimate @ clean) / (clean @ clean)
    return float(10 * np.log10((target @ target + 1e-12) / (np.sum((estimate - target) ** 2) + 1e-12)))


def scores(enhance: Callable[[Samples], Samples], pairs: list[tuple[Samples, Samples]]) -> list[list[float]]:
    """Return for each mixture SI-SDR, SI-SDR above `EDGE`, and the level left above it in pauses."""
    found = []
    for clean, noisy in pairs:
        output = enhance(noisy)
        level = np.convolve(clean**2, np.ones(2_400) / 2_400, "same")
        pause = level < 1e-3 * level.max()
        left, before = (np.sum(above(x)[pause] ** 2) + 1e-12 for x in (output, noisy))
        decibels = 10 * np.log10(left / before) if pause.sum() > RATE // 10 else np.nan
        found.append([si_sdr(output, clean), si_sdr(above(output), above(clean)), float(decibels)])
    return found


def main() -> None:
    """Print one row a gain."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", default=None)
    options = parser.parse_args()
    pairs = mixtures(options.folder)
    row("the input", scores(lambda noisy: noisy, pairs))
    narrow = stillwave.load(options.model, bandwidth="model")
    row("nothing above 8 kHz", scores(lambda noisy: narrow.enhance(noisy, RATE), pairs))
    full, chosen = stillwave.load(options.model), upper_band.frame_gains
    for band, edges in BANDS.items():
        for exponent in EXPONENTS:
            upper_band.LOWEST, upper_band.HIGHEST = edges

            def gains(noisy: Spectrum, estimate: Spectrum, p: float = exponent) -> Samples:
                return np.power(chosen(noisy, estimate), p, dtype=np.float32)

            with mock.patch.object(pipeline, "frame_gains", gains):
                row(f"{band}, p = {exponent:g}", scores(lambda noisy: full.enhance(noisy, RATE), pairs))


def row(name: str, found: list[list[float]]) -> None:
    """Print means and intervals."""
    cells = []
    for column in np.array(found).T:
        values = column[~np.isnan(column)]
        interval = bootstrap(values.tolist())
        cells.append(f"{interval.mean:.2f} [{interval.low:.2f}, {interval.high:.2f}]")
    print(f"| {name} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
