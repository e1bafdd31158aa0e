"""How close overlapping windows are to the whole, what they cost, and how much memory they take.

    python benchmarks/enhance_blocks.py CHECKPOINT NOISY [--clean FOLDER] [--seconds 240] [--json]

NOISY is a folder of recordings, which are put one after another into one of `--seconds`. With `--clean`, a
folder of the same file names, the SI-SDR against the clean speech shows whether windows cost quality at all:
windows and whole may differ where neither is the better. Prints Markdown, or JSON.
"""

from __future__ import annotations

import argparse
import json
import platform
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from stillwave import audio, checkpoint
from stillwave.audio import Samples
from stillwave.inference import Enhancer

RATE = 16_000
GRID = [
    (2.0, 0.5),
    (4.0, 1.0),
    (5.0, 1.0),
    (10.0, 0.5),
    (10.0, 1.0),
    (10.0, 2.0),
    (10.0, 4.0),
    (20.0, 2.0),
    (30.0, 2.0),
]
"""Window and overlap in seconds."""


def main() -> None:
    options = _options()
    torch.set_num_threads(options.threads)
    model, card = checkpoint.load(options.checkpoint, options.device)
    noisy = _joined(sorted(options.noisy.iterdir()), options.seconds)
    clean = None
    if options.clean:
        clean = _joined(
            [options.clean / path.name for path in sorted(options.noisy.iterdir())], options.seconds
        )
    rows = list(_rows(model, noisy, clean))
    facts = {
        "checkpoint": card.sha256[:12],
        "model": card.model.model_dump(),
        "seconds": noisy.shape[1] / RATE,
        "threads": options.threads,
        "device": options.device,
        "machine": platform.processor() or platform.machine(),
        "torch": torch.__version__,
    }
    print(json.dumps({"facts": facts, "rows": rows}, indent=2) if options.json else _markdown(facts, rows))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("noisy", type=Path)
    parser.add_argument("--clean", type=Path)
    parser.add_argument("--seconds", type=float, default=240)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


def _joined(paths: list[Path], seconds: float) -> Samples:
    parts = [audio.read(path, sample_rate=RATE)[0][:1] for path in paths]
    return np.concatenate(parts, axis=1)[:, : round(seconds * RATE)]


def _rows(model: Any, noisy: Samples, clean: Samples | None) -> Iterator[dict[str, Any]]:
    seconds = noisy.shape[1] / RATE
    whole: Samples | None = None
    for window, overlap in [(seconds, 1.0), *GRID]:
        if whole is not None and window >= seconds:
            continue
        enhancer = Enhancer(model, window_seconds=window, overlap_seconds=overlap)
        begin = time.perf_counter()
        estimate = enhancer.enhance(noisy, RATE)
        spent = time.perf_counter() - begin
        whole = estimate if whole is None else whole
        yield {
            "window_s": window,
            "overlap_s": overlap if estimate is not whole else None,
            "to_whole_db": None if estimate is whole else _ratio_db(whole, estimate - whole),
            "worst_second_db": None if estimate is whole else _worst(whole, estimate - whole),
            "si_sdr_db": None if clean is None else _si_sdr(clean, estimate),
            "real_time_factor": spent / seconds,
        }


def _ratio_db(signal: Samples, error: Samples) -> float:
    return float(
        10
        * np.log10(np.sum(np.square(signal, dtype=np.float64)) / np.sum(np.square(error, dtype=np.float64)))
    )


def _worst(signal: Samples, error: Samples) -> float:
    """The lowest ratio over seconds in which there is speech: within 20 dB of the mean power."""
    size = RATE
    count = signal.shape[1] // size
    power = np.square(signal[0, : count * size], dtype=np.float64).reshape(count, size).mean(axis=1)
    off = np.square(error[0, : count * size], dtype=np.float64).reshape(count, size).mean(axis=1)
    loud = power > 0.01 * power.mean()
    return float(10 * np.log10(power[loud] / off[loud]).min())


def _si_sdr(clean: Samples, estimate: Samples) -> float:
    """Le Roux et al., "SDR – half-baked or well done?", 2019, equation 3."""
    clean, estimate = clean.astype(np.float64), estimate.astype(np.float64)
    scaled = np.sum(clean * estimate) / np.sum(clean**2) * clean
    return float(10 * np.log10(np.sum(scaled**2) / np.sum((estimate - scaled) ** 2)))


def _markdown(facts: dict[str, Any], rows: list[dict[str, Any]]) -> str:
    lines = [f"{name}: {value}" for name, value in facts.items()]
    lines += [
        "",
        "| window s | overlap s | to the whole dB | worst second dB | SI-SDR dB | real-time factor |",
    ]
    lines += ["|---|---|---|---|---|---|"]
    for row in rows:
        cells = ["–" if value is None else f"{value:.2f}" for value in row.values()]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
