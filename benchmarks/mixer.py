"""How fast mixtures are made: seconds of mixture per second and core, and the loader's rate.

    python benchmarks/mixer.py AUDIO/train [--runs 5] [--json]

AUDIO/train holds speech/, noise/ and rir/ (or rooms/), each with or without a CSV file beside it; instead of
the folder three manifests may be given with --speech, --noise and --rooms. `core` figures divide by processor
time, so that they hold on a machine that is busy otherwise; `wall` figures divide by the clock. The time of each
augmentation is that of mixtures which all have it, less that of mixtures with one noise alone, in turns.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from stillwave.data.dataset import batches
from stillwave.data.decoded_cache import DecodedAudioCache
from stillwave.data.manifest import Recording
from stillwave.data.mixing import Mixer
from stillwave.data.scan import load
from stillwave.schema import MixingConfig

SECONDS = 2.0
BATCH = 8
AUGMENTATIONS = ("reverberation", "babble", "codec", "clipping", "band_limit", "synthetic_noise", "equaliser", "speed",
                 "noise_speed", "level_change", "joined", "clean", "noise_only", "silence")  # fmt: skip
"""Fields of `MixingConfig` that are a share of the examples."""


def main() -> None:
    options = _options()
    speech, noise, rooms = (_source(options, name) for name in ("speech", "noise", "rooms"))
    everything = MixingConfig()
    cases = {
        "recipe defaults": everything,
        "without reverberation": everything.model_copy(update={"reverberation": 0.0}),
        "all reverberant": everything.model_copy(update={"reverberation": 1.0}),
    }
    report: dict[str, Any] = {"machine": _machine(), "segment_seconds": SECONDS, "runs": options.runs}
    with tempfile.TemporaryDirectory() as cache:
        store = DecodedAudioCache(cache)

        def mixer(config: MixingConfig, seed: int) -> Mixer:
            return Mixer(speech, noise, rooms, config, SECONDS, seed, store)

        report["cold"] = _rates(lambda run: _mix(mixer(everything, run), options.count, 0), 1)
        store.prepare([*speech, *noise])
        for name, config in cases.items():
            _mix(mixer(config, 99), options.count, 0)
            report[name] = _rates(lambda run, c=config: _mix(mixer(c, run), options.count, 0), options.runs)  # type: ignore[misc]
        report["loader"] = _loader(mixer(everything, 0), options.count, options.workers, options.runs)
        report["augmentations"] = _augmentations(lambda config: mixer(config, 0), options.count, options.runs)
    _show(report, options.json)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", nargs="?", type=Path)
    for name in ("speech", "noise", "rooms"):
        parser.add_argument(f"--{name}", type=Path)
    parser.add_argument("--count", type=int, default=400, help="mixtures a run")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


def _source(options: argparse.Namespace, name: str) -> list[Recording]:
    given: Path | None = getattr(options, name)
    if given is None and options.folder is not None:
        names = [name, "rir"] if name == "rooms" else [name]
        given = next((options.folder / n for n in names if (options.folder / n).is_dir()), None)
    if given is None and name != "rooms":
        sys.exit(f"give a folder that holds {name}/, or --{name} MANIFEST")
    return load(given) if given else []


def _mix(mixer: Mixer, count: int, first: int) -> float:
    """Make mixtures; return how many seconds of them."""
    for index in range(first, first + count):
        mixer(0, index)
    return count * SECONDS


def _rates(run: Callable[[int], float], runs: int) -> dict[str, dict[str, float]]:
    core, wall = [], []
    for number in range(runs):
        clock, processor = time.perf_counter(), time.process_time()
        made = run(number)
        core.append(made / (time.process_time() - processor))
        wall.append(made / (time.perf_counter() - clock))
    return {"core": _spread(core), "wall": _spread(wall)}


def _spread(values: list[float], digits: int = 1) -> dict[str, float]:
    return {
        name: round(f(values), digits)
        for name, f in (("median", statistics.median), ("min", min), ("max", max))
    }


def _loader(mixer: Mixer, count: int, workers: int, runs: int) -> dict[str, Any]:
    """Batches a second after the first, as a training step sees them, and the longest wait."""
    rates, waits = [], []
    for _ in range(runs):
        stream = batches(mixer, BATCH, last=1 + count // BATCH, workers=workers)
        next(stream)
        start = last = time.perf_counter()
        for _ in stream:
            now = time.perf_counter()
            waits.append(now - last)
            last = now
        rates.append(count / BATCH / (last - start))
    return {
        "workers": workers,
        "batch": BATCH,
        "batches_per_second": _spread(rates),
        "mean_ms_per_batch": round(1000 * statistics.mean(waits), 2),
        "keeps_up_with_50_ms_steps": statistics.median(rates) >= 20,
    }


def _augmentations(
    mixer: Callable[[MixingConfig], Mixer], count: int, runs: int
) -> dict[str, dict[str, float]]:
    """Milliseconds of processor time of a mixture with one noise, and what each augmentation adds."""
    plain = MixingConfig.model_validate({"noises": 1, **dict.fromkeys(AUGMENTATIONS, 0.0)})
    configs = {
        "one noise, no augmentation": plain,
        "up to four noises": plain.model_copy(update={"noises": 4}),
    }
    configs |= {name: plain.model_copy(update={name: 1.0}) for name in AUGMENTATIONS}
    mixers = {name: mixer(config) for name, config in configs.items()}
    taken: dict[str, list[float]] = {name: [] for name in configs}
    for run in range(-1, runs):  # run -1 warms up
        for name, times in taken.items():
            start = time.process_time()
            _mix(mixers[name], count // 4, 0)
            if run >= 0:
                times.append(1000 * (time.process_time() - start) / (count // 4))
    first = taken.pop("one noise, no augmentation")
    added = {name: [a - b for a, b in zip(times, first, strict=True)] for name, times in taken.items()}
    return {
        name: _spread(times, 2) for name, times in ({"one noise, no augmentation": first} | added).items()
    }


def _machine() -> dict[str, Any]:
    return {
        "processor": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "load": round(os.getloadavg()[0], 1),
        "python": platform.python_version(),
    }


def _show(report: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print(json.dumps(report, indent=2))
        return
    machine = ", ".join(f"{key} {value}" for key, value in report["machine"].items())
    print(f"{report['runs']} runs (cold: one) of mixtures of {SECONDS} s; {machine}\n")
    print(
        "| case | seconds of mixture per second and core | fastest … slowest | by the clock |\n|---|---|---|---|"
    )
    for name, value in report.items():
        if isinstance(value, dict) and "core" in value:
            core, wall = value["core"], value["wall"]
            spread = f"{core['max']:.0f} … {core['min']:.0f}"
            print(f"| {name} | {core['median']:.0f} | {spread} | {wall['median']:.0f} |")
    loader = report["loader"]
    per_second = loader["batches_per_second"]
    print(
        f"\n`cold` includes decoding of Opus files; training decodes all files once, before its first step. "
        f"The loader with {loader['workers']} workers gives {per_second['median']} batches of "
        f"{loader['batch']} a second ({per_second['min']} to {per_second['max']}), "
        f"{loader['mean_ms_per_batch']} ms a batch.\n"
    )
    print(f"Processor time of a mixture of {SECONDS} s, and what each augmentation of all mixtures adds:\n")
    print("| mixtures | ms: median (range) |\n|---|---|")
    for name, value in report["augmentations"].items():
        form = "{median:.1f} ({min:.1f} … {max:.1f})"
        print(f"| {name.replace('_', ' ')} | {form.format(**value)} |")


if __name__ == "__main__":
    main()
