"""Extend recordings at 16 kHz to 48 kHz with computed bands above 8 kHz, as material for networks at 48 kHz.

    python experiments/data/extend_bandwidth.py OUT MANIFEST [MANIFEST ...] --name speech --minutes 50 --slope 3 20

The band from 4 … 6 kHz to 7.8 kHz is mirrored upwards frame by frame, with random phases, a random slope in dB per
octave and random ripples, so that the bands above rise and fall with the one below. Written: FLAC at 48 kHz in
OUT/NAME, at most three recordings of a speaker (or of a noise), and OUT/NAME.jsonl, with the metadata of the originals.
Nothing is changed below 7.8 kHz.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import soundfile
import soxr

from stillwave.audio import Samples, read

N_FFT, HOP, TOP = 1536, 768, 250
"""32 ms at 48 kHz; the bin at 7.8 kHz."""
SECONDS, EACH = 12, 3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("out", type=Path)
    parser.add_argument("manifests", type=Path, nargs="+")
    parser.add_argument("--name", required=True)
    parser.add_argument("--minutes", type=float, default=50)
    parser.add_argument(
        "--slope", type=float, nargs=2, default=(3, 20), help="least and greatest, in dB per octave"
    )
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    rng = np.random.default_rng(options.seed)
    rows = [json.loads(line) for path in options.manifests for line in path.read_text().splitlines()]
    folder = options.out / options.name
    folder.mkdir(parents=True, exist_ok=True)
    written: list[dict[str, object]] = []
    taken: dict[str, int] = {}
    left = 60 * options.minutes
    for index in rng.permutation(len(rows)):
        row = rows[index]
        who = row.get("speaker") or row["path"]
        if left <= 0 or row["seconds"] < 1.5 or taken.get(who, 0) == EACH:
            continue
        samples, _ = read(row["path"], sample_rate=16_000)
        extended = extend(samples[0, : 16_000 * SECONDS], rng, *options.slope)
        path = folder / f"{len(written):04d}.flac"
        soundfile.write(path, extended, 48_000, subtype="PCM_16")
        seconds = len(extended) / 48_000
        changes = {
            "sample_rate": 48_000,
            "channels": 1,
            "seconds": round(seconds, 3),
            "bandwidth_hz": 24_000.0,
        }
        written.append({**row, "path": str(path), **changes})
        taken[who] = taken.get(who, 0) + 1
        left -= seconds
    lines = "".join(json.dumps(row) + "\n" for row in written)
    (options.out / f"{options.name}.jsonl").write_text(lines)
    print(f"{len(written)} recordings, {options.minutes - left / 60:.1f} min")


def extend(samples: Samples, rng: np.random.Generator, least: float, most: float) -> Samples:
    """Return a signal `[n]` at 16 kHz as `[3 n]` at 48 kHz, full scale 1."""
    signal = soxr.resample(samples.astype(np.float64), 16_000, 48_000)
    window = np.sin(np.pi * np.arange(N_FFT) / N_FFT)
    padded = np.concatenate([np.zeros(HOP), signal, np.zeros(N_FFT + HOP - len(signal) % HOP)])
    halves = padded[: len(padded) // HOP * HOP].reshape(-1, HOP)
    spectra = np.fft.rfft(np.concatenate([halves[:-1], halves[1:]], axis=1) * window)
    source = np.arange(int(rng.integers(128, 193)), TOP)
    bins = np.arange(TOP, N_FFT // 2 + 1)
    mirrored = np.concatenate([source[::-1], source])[(bins - TOP) % (2 * len(source))]
    octaves = np.log2(bins / TOP)
    ripple = np.interp(bins, np.linspace(TOP, bins[-1], 6), rng.uniform(-4, 4, 6))
    gain = 10 ** ((ripple - rng.uniform(least, most) * octaves) / 20)
    phases = np.exp(2j * np.pi * rng.random((len(spectra), len(bins))))
    spectra[:, TOP:] = spectra[:, mirrored] * gain * phases
    frames = np.fft.irfft(spectra, n=N_FFT) * window
    extended = frames[1:, :HOP] + frames[:-1, HOP:]
    return np.clip(extended.reshape(-1)[: len(signal)], -1, 1).astype(np.float32)


if __name__ == "__main__":
    main()
