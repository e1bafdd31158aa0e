"""Print hashes of what the shipped models compute, to compare two versions of stillwave on one machine.

    PYTHONPATH=OLD/src python tools/output_hashes.py > old.txt
    PYTHONPATH=NEW/src python tools/output_hashes.py > new.txt
    diff old.txt new.txt

One line for each model, sampling rate and way: whole, two channels with a limit of 12 dB, streams of four block sizes.
"""

from __future__ import annotations

import hashlib

import numpy as np

import stillwave

MODELS = ("bsrnn-xs", "bsrnn-s", "bsrnn-m", "bsrnn-xs-int8", "bsrnn-m-int8")
RATES = (8_000, 11_025, 16_000, 22_050, 32_000, 44_100, 48_000)
BLOCKS = (160, 441, 1_000)


def signal(rate: int) -> np.ndarray:
    """Return half a second of a modulated tone in noise, `[samples]`, the same in every call."""
    time = np.arange(rate // 2) / rate
    tone = 0.2 * np.sin(2 * np.pi * 220 * time) * (1 + np.sin(2 * np.pi * 3 * time))
    noise = 0.05 * np.random.default_rng(0).standard_normal(len(time))
    return np.asarray(tone + noise, np.float32)


def show(label: str, samples: np.ndarray) -> None:
    print(label, hashlib.sha256(samples.tobytes()).hexdigest()[:16])


def main() -> None:
    for name in MODELS:
        enhancer = stillwave.load(name)
        for rate in RATES:
            noisy = signal(rate)
            show(f"{name} {rate} whole", enhancer.enhance(noisy, rate))
            show(f"{name} {rate} limit", enhancer.enhance(np.stack([noisy, noisy[::-1]]), rate, limit_db=12))
            for block in (*BLOCKS, len(noisy)):
                stream = enhancer.open(rate)
                parts = [stream.process(noisy[i : i + block]) for i in range(0, len(noisy), block)]
                show(f"{name} {rate} blocks of {block}", np.concatenate([*parts, stream.flush()]))


if __name__ == "__main__":
    main()
