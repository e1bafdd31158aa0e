"""The comparison of all methods on real audio, from the recordings to docs/comparison.md. Resumable at every point.

    python benchmarks/comparison.py --audio AUDIO [--methods all] [--seeds 0,1,2] [--jobs 4] [--work scratch]

AUDIO holds train/ (speech, noise, rooms) and test/ (noisy/, clean/, mixtures.csv). Manifests and a development set are
cut from train/ alone; the teacher is trained (comparison/teacher.yaml), then every cell of the grid
(comparison/student.yaml), one thread a cell. What is finished is kept: the same command goes on, and more methods or
seeds may be added. The page is the grid's report under a head that says what was done, and comparison/discussion.md,
the only part that is written by hand. `--page` writes it anew from what is there.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path

from stillwave.files import write_text
from stillwave.quickstart.data import QuickstartData

HERE = Path(__file__).parent / "comparison"
DOCS = Path(__file__).parents[1] / "docs"
METRICS = "pesq_wb,pesq_nb,stoi,si_sdr"
RHOS = (
    "i2srf_tfckd-rho-01={name: i2srf_tfckd, rho: 0.1}",
    "i2srf_tfckd-rho-1={name: i2srf_tfckd, rho: 1.0}",
)
HEAD = """# Distillation methods compared

Every distillation method with one teacher, one student and the same budget: which methods improve a small denoiser,
by how much, and is the difference statistically significant? What the methods compare:
[Distillation methods](methods.md).

- **Audio.** 3.3 hours of speech by 180 speakers (speechocean762, 16 kHz), 30 minutes of noise (ESC-50), 26 measured
  rooms, mixed on the fly at −5 … 15 dB. Scored on 40 mixtures of other speakers, noises and rooms, which were not
  used for training, tuning or early stopping.
- **Teacher.** DPDCRN with 32 channels and 2 blocks ({teacher} parameters), 2400 updates of 8 × 2 s.
- **Student.** DPDCRN with 8 channels and 1 block ({student} parameters), {steps} updates of 4 × 1.5 s: {minutes:.0f}
  minutes of audio. λ balanced with ρ = 0.3 for every method, untuned.
- **Budget.** Two to six minutes per run, so that four cores train every method with several seeds in an afternoon.
  Papers train for days. The results show which methods help *early* in training.
- **Machine.** {machine}, torch {torch}, one thread per run, {day}. The teacher's outputs were cached, so the times do
  not contain its forward pass; for complete times see [Benchmarks](benchmarks.md).

`{command}`
"""


def main() -> None:
    options = arguments()
    place = options.work.resolve() / "comparison"
    if not options.page:
        run(options, place)
    write_page(place)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--audio", type=Path, required=True)
    parser.add_argument("--methods", default="all")
    parser.add_argument("--variants", default="ablations", help="of the flagship; a table of their own")
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--work", type=Path, default=Path("scratch"), help="manifests, runs, cache")
    parser.add_argument("--page", action="store_true", help="only write the page")
    return parser.parse_args()


def run(options: argparse.Namespace, place: Path) -> None:
    from stillwave.quickstart import data as material

    found = material.own(options.audio, options.work.resolve() / "material")
    data = [f"data.train.{name}={path}" for name, path in found.train.model_dump().items() if path]
    sets = [part for key in [*data, f"data.development={found.development}"] for part in ("--set", key)]
    teacher = place / "teacher"
    stillwave("train", str(HERE / "teacher.yaml"), "-o", str(teacher), *sets)
    cache = ["--set", f"distill.cache={place / 'cache'}", "--set", "distill.cache_gb=45"]
    weights = [part for rho in RHOS for part in ("--variant", rho)]
    for grid, methods, more in (("grid", options.methods, []), ("flagship", options.variants, weights)):
        stillwave(
            *("compare", str(HERE / "student.yaml"), "--teacher", str(teacher), "-o", str(place / grid)),
            *("--on", str(options.audio / "test"), "--methods", methods, "--seeds", options.seeds),
            *("--jobs", str(options.jobs), "--metrics", METRICS, *sets, *cache, *more),
        )


def data_keys(found: QuickstartData) -> list[str]:
    """The recipe's keys that name the recordings."""
    named = [f"data.train.{name}={path}" for name, path in found.train.model_dump().items() if path]
    return [*named, f"data.development={found.development}"]


def sets(keys: list[str]) -> list[str]:
    """`--set KEY` for each."""
    return [part for key in keys for part in ("--set", key)]


def stillwave(*arguments: str) -> None:
    done = subprocess.run([sys.executable, "-m", "stillwave", *arguments], check=False)
    if done.returncode:
        sys.exit(done.returncode)


def write_page(place: Path) -> None:
    import torch

    grid = place / "grid"
    described = json.loads((grid / "grid.json").read_text(encoding="utf-8"))
    train = described["recipe"]["train"]
    seconds = train["steps"] * train["batch_size"] * described["recipe"]["data"]["segment_seconds"]
    head = HEAD.format(
        teacher=f"{parameters(grid / 'references' / 'teacher'):,}",
        student=f"{parameters(next((grid / 'runs').glob('*/none/seed-*'))):,}",
        steps=train["steps"],
        minutes=seconds / 60,
        machine=f"{os.cpu_count()} cores of {processor()}",
        torch=torch.__version__,
        day=datetime.date.today().isoformat(),
        command="python benchmarks/comparison.py --audio AUDIO",
    )
    discussion = (HERE / "discussion.md").read_text(encoding="utf-8").strip()
    page = f"{head}\n{discussion}\n\n## All methods\n\n{report(grid)}\n"
    if (place / "flagship" / "report").exists():
        page += f"\n## Variants of I²SRF-TFCKD\n\n{report(place / 'flagship')}\n"
    write_text(DOCS / "comparison.md", page)


def report(grid: Path) -> str:
    """A grid's tables, with its pictures among the site's."""
    body = (grid / "report" / "report.md").read_text(encoding="utf-8").split("\n", 1)[1].strip()
    for picture in (grid / "report").glob("*.svg"):
        name = f"comparison-{grid.name}-{picture.name}"
        shutil.copyfile(picture, DOCS / "pictures" / name)
        body = body.replace(f"({picture.name})", f"(pictures/{name})")
    return re.sub(r"^##", "###", body, flags=re.MULTILINE)


def parameters(cell: Path) -> int:
    return int(json.loads((cell / "cell.json").read_text(encoding="utf-8"))["parameters"])


def processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), "unknown")


if __name__ == "__main__":
    main()
