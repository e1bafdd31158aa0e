"""What the smaller forms of an exported network gain and lose: bytes, time of a frame beside float32's, and quality.

    python benchmarks/export_forms.py NOISY [--frames 300] [--seed 0] [--on TEST --trained NAME=RUN …]

NOISY is a folder of noisy recordings, for `--calibrate`: not those of TEST, which has noisy/ and clean/. Sizes and
times are of random weights, for they depend on none. One thread of ONNX Runtime; forms take turns in random order,
frame by frame, and the processor's time is taken, so that other programs disturb all of them alike and little.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from stillwave import checkpoint
from stillwave.console import err
from stillwave.evaluation.metrics import METRICS
from stillwave.exporting.export import export
from stillwave.exporting.quality import KEYS
from stillwave.inference import OnnxBackend
from stillwave.models import build
from stillwave.reports.formatting import heading
from stillwave.schema import PRESETS

NETWORKS = ("bsrnn-xs", "bsrnn-s", "bsrnn-m", "dpdcrn-xs", "dpdcrn-s", "dpdcrn-m")
FORMS: dict[str, dict[str, Any]] = {
    "float32": {},
    "`--int8`": {"precision": "int8"},
    "`--calibrate`": {"precision": "int8", "calibrate": True},
    "`--dynamic`": {"precision": "int8", "dynamic": True},
    "`--fp16`": {"precision": "float16"},
}
FIXED = "float32, axes fixed"
WARM = 20
"""Frames that are not counted."""


def main() -> None:
    options = arguments()
    import onnxruntime

    print(f"ONNX Runtime {onnxruntime.__version__}, {options.frames} frames of each, seed {options.seed}.\n")
    torch.manual_seed(options.seed)
    with tempfile.TemporaryDirectory() as place:
        print("\n".join(costs(Path(place), options)))
        if options.trained:
            print("\n".join(losses(Path(place), options)))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("noisy", type=Path)
    parser.add_argument("--frames", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--on", type=Path, metavar="TEST")
    parser.add_argument("--trained", nargs="*", default=[], metavar="NAME=RUN")
    options = parser.parse_args()
    if options.trained and options.on is None:
        sys.exit("--trained: give --on, the recordings to score on")
    return options


def costs(place: Path, options: argparse.Namespace) -> Iterator[str]:
    """A row a network: sizes, and times as shares of float32's."""
    timed = [*list(FORMS)[1:], FIXED]
    yield f"| network | {' | '.join(f'{form}, kB' for form in FORMS)} | {' | '.join(timed)} |"
    yield "| --- " * (1 + len(FORMS) + len(timed)) + "|"
    for name in NETWORKS:
        err.print(name, highlight=False)
        files = write(name, place, options.noisy)
        backends = [*(OnnxBackend(file) for file in files), fixed(files[0])]
        times = ratios(measure(backends, options.frames, options.seed))
        sizes = [f"{file.stat().st_size / 1e3:.0f}" for file in files]
        yield f"| `{name}` | {' | '.join(sizes)} | {' | '.join(times)} |"
    yield (
        "\nTimes: processor time per frame relative to float32; medians of the ratio over frames, with "
        f"quartiles. {FIXED}: with one frame of one stream as fixed shapes, as a stream computes."
    )


def write(name: str, place: Path, noisy: Path) -> list[Path]:
    """One network in all forms. What a form may differ from float32 is not asked: the weights are random."""
    model = build(PRESETS[name]).eval()
    checkpoint.save(place / name, model, checkpoint.Card(model=model.config))
    files = []
    for index, given in enumerate(given_of(noisy)):
        files.append(place / f"{name}-{index}.onnx")
        export(place / name, files[-1], **given)
    return files


def given_of(noisy: Path) -> list[dict[str, Any]]:
    """The forms' options, with the recordings to calibrate on."""
    return [{k: noisy if k == "calibrate" else v for k, v in form.items()} for form in FORMS.values()]


def fixed(file: Path) -> OnnxBackend:
    """The network as streams run it: its free axes fixed at one."""
    backend = OnnxBackend(file)
    backend.prepare_frames()
    return backend


def measure(backends: list[OnnxBackend], frames: int, seed: int) -> np.ndarray[Any, Any]:
    """Seconds `[frames, forms]`."""
    states = [backend.begin(1) for backend in backends]
    rng = np.random.default_rng(seed)
    seconds = np.zeros((frames + WARM, len(backends)))
    for row in seconds:
        spectrum = rng.standard_normal((1, 2, 1, backends[0].hop + 1)).astype(np.float32)
        order = rng.permutation(len(backends))  # what comes first finds another cache
        for index in order:
            start = time.thread_time()
            _, states[index] = backends[index].step(spectrum, states[index])
            row[index] = time.thread_time() - start
    return seconds[WARM:]


def ratios(seconds: np.ndarray[Any, Any]) -> list[str]:
    """Of every form but the first, to the first."""
    shares = seconds[:, 1:] / seconds[:, :1]
    low, middle, high = np.percentile(shares, [25, 50, 75], axis=0)
    return [f"{m:.2f} ({a:.2f} … {b:.2f})" for a, m, b in zip(low, middle, high, strict=True)]


def losses(place: Path, options: argparse.Namespace) -> Iterator[str]:
    """A row a trained network and form."""
    smaller = list(zip(FORMS, given_of(options.noisy), strict=True))[1:]
    yield f"\n# Quality of trained networks\n\n| network | form | similarity | {' | '.join(map(heading, KEYS))} |"
    yield "| --- " * (3 + len(KEYS)) + "|"
    differences = []
    for network, (form, given) in itertools.product(options.trained, smaller):
        name, run = network.split("=", 1)
        err.print(f"{name}, {form}", highlight=False)
        done = export(run, place / "trained.onnx", on=options.on, overwrite=True, **given)
        differences.append(done.difference)
        shown = [f"{METRICS[key].factor * done.losses[key].lost:+.4f}" for key in KEYS]
        yield f"| `{name}` | {form} | {done.similarity_db:.0f} dB | {' | '.join(shown)} |"
    yield (
        "\nLosses: mean of float32 minus that of the precision over the recordings of TEST; negative values are gains. "
        "Similarity: energy of an estimate over that of its difference from float32, the lowest of three recordings. "
        f"In float32 a file differs from its checkpoint by at most {max(differences):.0e} of full scale."
    )


if __name__ == "__main__":
    main()
