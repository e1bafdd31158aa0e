"""Causal students of several sizes, norms and kinds on real audio: quality against cost. Resumable at every point.

    python benchmarks/sizes.py --audio AUDIO [--jobs 4] [--work scratch] [--page]

AUDIO holds train/ (speech, noise, rooms) and test/ (noisy/, clean/, mixtures.csv). The teacher is the comparison's
(benchmarks/comparison.py trains it). What is finished is kept. `--page` writes docs/sizes.md from what is there;
sizes/discussion.md is the only part of it that is written by hand.
"""

from __future__ import annotations

import argparse
import datetime
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import torch

from comparison import METRICS, processor, stillwave  # type: ignore[import-not-found]
from stillwave.compare import grid as grids
from stillwave.compare import matrices
from stillwave.compare.matrices import System
from stillwave.compare.names import display
from stillwave.evaluation import METRICS as SCORES
from stillwave.files import write_text
from stillwave.models import build
from stillwave.profiling.complexity import count_macs, state_bytes
from stillwave.schema import ModelConfig
from stillwave.stats.crossed import Array, estimate

Found = Mapping[str, Mapping[str, System]]
"""Student → method (or reference) → scores."""

HERE = Path(__file__).parent / "sizes"
DOCS = Path(__file__).parents[1] / "docs"
SIZES = ("dpdcrn-m", "dpdcrn-s", "dpdcrn-xs", "bsrnn-m", "bsrnn-s", "bsrnn-xs")
PLAN = (  # students, methods, seeds
    ("dpdcrn-xs,dpdcrn-xs:norm=running,bsrnn-xs", "none", "0,1,2"),
    ("bsrnn-s,bsrnn-m,dpdcrn-s,dpdcrn-m,dpdcrn-xs:norm=frame", "none", "0"),
    ("bsrnn-xs", "cosine", "0"),
)
HEAD = """# Model sizes

Cost and quality of causal networks of several sizes after the same training. How to run them:
[Enhance live](how-to/streaming.md); time per frame on a CPU: [Benchmarks](benchmarks.md#streaming-latency).

- **Budget.** {updates} updates of 8 × 2 s of mixtures (4.4 hours) for every student, with a learning rate of 6e-3.
  This is far from convergence, most of all for the large networks.
- **Audio.** Training: 3.3 hours of speech by 180 speakers (speechocean762), 30 minutes of noise (ESC-50), 26 rooms.
  Test: 40 mixtures of other speakers, noises and rooms at −5 … 15 dB.
- **Teacher** of the distilled students: the non-causal DPDCRN of the [comparison](comparison.md) with 32 channels and
  2 blocks.
- **Machine.** {machine}, torch {torch}, one thread per run, {day}.

`python benchmarks/sizes.py --audio AUDIO`
"""
NORMS = ("dpdcrn-xs-norm-running", "dpdcrn-xs-norm-frame")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--audio", type=Path, required=True)
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--work", type=Path, default=Path("scratch"), help="manifests, runs")
    parser.add_argument("--page", action="store_true", help="only write the page")
    options = parser.parse_args()
    work = options.work.resolve()
    if not options.page:
        run(options, work)
    write_page(work / "sizes")


def run(options: argparse.Namespace, work: Path) -> None:
    from stillwave.quickstart import data as material

    found = material.own(options.audio, work / "material")
    data = [f"data.train.{name}={path}" for name, path in found.train.model_dump().items() if path]
    sets = [part for key in [*data, f"data.development={found.development}"] for part in ("--set", key)]
    for students, methods, seeds in PLAN:
        stillwave(
            *("compare", str(HERE / "student.yaml"), "--teacher", str(work / "comparison" / "teacher")),
            *("--on", str(options.audio / "test"), "-o", str(work / "sizes"), "--students", students),
            *(
                "--methods",
                methods,
                "--seeds",
                seeds,
                "--jobs",
                str(options.jobs),
                "--metrics",
                METRICS,
                *sets,
            ),
        )


def write_page(place: Path) -> None:
    grid = grids.read(place)
    if grid is None:
        sys.exit(f"{place}: nothing is there yet")
    material = matrices.gather(grid)
    found = {name: matrices.systems(grid, name, material) for name in grid.students}
    head = HEAD.format(
        updates=grid.recipe.train.steps,
        machine=f"{os.cpu_count()} cores of {processor()}",
        torch=torch.__version__,
        day=datetime.date.today().isoformat(),
    )
    parts = [
        head,
        (HERE / "discussion.md").read_text(encoding="utf-8").strip() + "\n",
        "## Quality against cost\n",
        *quality(grid, found),
        "\nMeans with 95 % intervals over recordings (and seeds, where there are several). No network "
        "has a look-ahead beyond its frame, so the algorithmic delay is 32 ms (512 samples).\n",
        "## Norms\n",
        *differences(grid, found, "dpdcrn-xs", [(name, "none") for name in NORMS]),
        "\n## Two kinds of network at the same cost\n",
        *differences(grid, found, "dpdcrn-xs", [("bsrnn-xs", "none")]),
        "\n## Distilled from a non-causal teacher\n",
        *distilled(grid, found),
    ]
    write_text(DOCS / "sizes.md", "\n".join(parts) + "\n")


def quality(grid: grids.Grid, found: Found) -> Iterator[str]:
    names = [SCORES[metric].name for metric in grid.metrics]
    yield table_row("student", "parameters", "MMAC/s", "state", *names, "seeds")
    yield table_row(*["---"] * (len(names) + 5))
    for name in ("noisy", "teacher"):
        system = next(systems[name] for systems in found.values() if name in systems)
        yield table_row(name, "–", "–", "–", *scores(grid, system), "–")
    done = [name for name in SIZES if "none" in found.get(name, {})]
    for student in sorted(done, key=lambda name: cost(grid.students[name])[1]):
        parameters, macs, state = cost(grid.students[student])
        system = found[student]["none"]
        shown = (f"{parameters / 1e3:.1f} k", f"{macs / 1e6:.0f}", f"{state / 1024:.0f} KiB")
        yield table_row(student, *shown, *scores(grid, system), str(len(system.seeds)))


def scores(grid: grids.Grid, system: System) -> Iterator[str]:
    for metric in grid.metrics:
        interval = estimate(system.values[metric])
        yield "–" if interval is None else with_interval(metric, interval.mean, interval.low, interval.high)


def differences(grid: grids.Grid, found: Found, base: str, others: list[tuple[str, str]]) -> Iterator[str]:
    """Paired by seed and recording against `base` trained alone."""
    names = [f"Δ {SCORES[metric].name}" for metric in grid.metrics]
    yield table_row(f"against {base}", *names, "seeds")
    yield table_row(*["---"] * (len(names) + 2))
    alone = found[base]["none"]
    for student, method in others:
        system = found.get(student, {}).get(method)
        if system is None:
            continue
        seeds = [seed for seed in system.seeds if seed in alone.seeds]
        changes = [system.of(metric, seeds) - alone.of(metric, seeds) for metric in grid.metrics]
        label = student if method == "none" else display(method, grid.methods[method]["method"])
        yield table_row(label, *map(change, grid.metrics, changes), str(len(seeds)))


def distilled(grid: grids.Grid, found: Found) -> Iterator[str]:
    for student, systems in found.items():
        methods = [(student, name) for name in systems if name not in ("noisy", "teacher", "none")]
        if methods:
            yield from differences(grid, found, student, methods)
            yield ""


def change(metric: str, values: Array) -> str:
    interval = estimate(values)
    if interval is None:
        return "–"
    return with_interval(metric, interval.mean, interval.low, interval.high, sign="+")


def with_interval(metric: str, *values: float, sign: str = "") -> str:
    scale = SCORES[metric]
    mean, low, high = (f"{value * scale.factor:{sign}.{scale.decimals}f}" for value in values)
    return f"{mean} [{low}, {high}]"


def cost(config: ModelConfig) -> tuple[int, float, int]:
    """Parameters, MACs a second, bytes of state."""
    model = build(config).eval()
    parameters = sum(p.numel() for p in model.parameters())
    return parameters, sum(count_macs(model, 16_000).values()), state_bytes(model)


def table_row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
