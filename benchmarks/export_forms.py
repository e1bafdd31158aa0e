"""What the smaller forms of an exported network gain: bytes, and time of a frame beside float32's.

    python benchmarks/export_forms.py NOISY [--frames 300] [--seed 0]

NOISY is a folder of noisy recordings, for `--calibrate`. Weights are random: neither size nor time depends on them. One
thread of ONNX Runtime; forms take turns in random order, frame by
frame, so that other programs disturb all of them alike.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from stillwave import checkpoint
from stillwave.deploy.export import export
from stillwave.models import build
from stillwave.runtime import OnnxEngine
from stillwave.schema import PRESETS

NETWORKS = ("bsrnn-xs", "bsrnn-s", "bsrnn-m", "dpdcrn-xs", "dpdcrn-s", "dpdcrn-m")
FORMS: dict[str, dict[str, Any]] = {
    "float32": {},
    "`--int8`": {"precision": "int8"},
    "`--calibrate`": {"precision": "int8", "calibrate": True},
    "`--dynamic`": {"precision": "int8", "dynamic": True},
    "`--fp16`": {"precision": "float16"},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("noisy", type=Path)
    parser.add_argument("--frames", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    import onnxruntime

    print(f"ONNX Runtime {onnxruntime.__version__}, {options.frames} frames of each, seed {options.seed}.\n")
    print(f"| network | {' | '.join(f'{form}, kB' for form in FORMS)} | {' | '.join(list(FORMS)[1:])} |")
    print("| --- " * 10 + "|")
    torch.manual_seed(options.seed)
    with tempfile.TemporaryDirectory() as place:
        for name in NETWORKS:
            files = write(name, Path(place), options.noisy)
            times = measure(files, options.frames)
            sizes = [f"{file.stat().st_size / 1e3:.0f}" for file in files]
            print(f"| `{name}` | {' | '.join(sizes)} | {' | '.join(ratios(times))} |", flush=True)
    print(
        "\nTimes: of a frame, as shares of float32's; medians over frames of the ratio, with the middle half."
    )


def write(name: str, place: Path, noisy: Path) -> list[Path]:
    """One network in all forms. What a form may differ from float32 is not asked: the weights are random."""
    model = build(PRESETS[name]).eval()
    checkpoint.save(place / name, model, checkpoint.Card(model=model.config))
    files = []
    for index, options in enumerate(FORMS.values()):
        given = {key: (noisy if key == "calibrate" else value) for key, value in options.items()}
        files.append(place / f"{name}-{index}.onnx")
        export(place / name, files[-1], **given)
    return files


def measure(files: list[Path], frames: int) -> np.ndarray[Any, Any]:
    """Seconds `[frames, forms]`."""
    engines = [OnnxEngine(file) for file in files]
    states = [engine.begin(1) for engine in engines]
    rng = np.random.default_rng(0)
    seconds = np.zeros((frames + 20, len(files)))
    for row in seconds:
        spectrum = rng.standard_normal((1, 2, 1, engines[0].hop + 1)).astype(np.float32)
        order = rng.permutation(len(engines))  # what comes first finds another cache
        for index in order:
            start = time.perf_counter()
            _, states[index] = engines[index].step(spectrum, states[index])
            row[index] = time.perf_counter() - start
    return seconds[20:]


def ratios(seconds: np.ndarray[Any, Any]) -> list[str]:
    """Of every form but the first, to the first."""
    shares = seconds[:, 1:] / seconds[:, :1]
    low, middle, high = np.percentile(shares, [25, 50, 75], axis=0)
    return [f"{m:.2f} ({a:.2f} … {b:.2f})" for a, m, b in zip(low, middle, high, strict=True)]


if __name__ == "__main__":
    main()
