"""Train networks one after another on a machine with a GPU, each for its share of the minutes at hand.

    python experiments/gpu/train.py PARTS WORK OUT [--plan experiments/gpu/plan.yaml] [--steps N]

PARTS holds the archives of pack.py. They are unpacked in WORK, where experiments/data/prepare.py writes manifests and
decoded audio; OUT receives NAME.tar.xz of every network (experiments/state.py), from which a machine without a GPU
goes on if WORK has the same path there. For every network a short run measures the speed; its schedule then has as many
updates as fit into its minutes. `--steps` sets the number of updates instead, for a trial on a CPU.

The plan lists networks: `name`, `recipe`, `minutes`, `set` (keys of the recipe) and, to distil, `teacher`: the name of
a network above it.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tarfile
import time
from pathlib import Path
from typing import Any

import yaml

from stillwave import recipe as recipes
from stillwave.training import run_log

HERE = Path(__file__).resolve().parent
PROBE_STEPS = 60
RESERVE = 0.93
"""Share of the minutes that is planned: validation and the start of processes take the rest."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("parts", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--plan", type=Path, default=HERE / "plan.yaml")
    parser.add_argument("--steps", type=int, help="updates of each network, in place of its minutes")
    options = parser.parse_args()
    prepare(options.parts, options.work)
    for network in yaml.safe_load(options.plan.read_text(encoding="utf-8")):
        run = train(network, options.work, options.steps)
        command("experiments/state.py", "save", run, "--into", options.output)


def prepare(parts: Path, work: Path) -> None:
    """Unpack the archives and write manifests and decoded audio; what is there is kept."""
    archives = sorted(parts.glob("part-*.tar"))
    if not archives:
        sys.exit(f"{parts}: holds no part-NN.tar; write them with experiments/gpu/pack.py")
    for archive in archives:
        with tarfile.open(archive) as packed:
            packed.extractall(work, filter="data")
    if not (work / "prepared" / "summary.json").exists():
        command("experiments/data/prepare.py", work / "audio", work / "prepared")


def train(network: dict[str, Any], work: Path, steps: int | None) -> Path:
    """Train one network of the plan and return its run folder."""
    recipe = work / f"{network['name']}.yaml"
    text = (HERE.parents[1] / network["recipe"]).read_text(encoding="utf-8")
    recipe.write_text(text.replace("OUT/", f"{work / 'prepared'}/"), encoding="utf-8")
    settings = [item for text in network.get("set", ()) for item in ("--set", text)]
    verb = ["train"]
    if "teacher" in network:
        verb = ["distill"]
        settings += ["--teacher", str(work / "runs" / network["teacher"])]
    arguments = [*verb, recipe, *settings]
    run: Path = work / "runs" / network["name"]
    updates = steps or fitting(arguments, work / "probe" / network["name"], 60 * network["minutes"])
    every = max(1, updates // 4)
    command(
        *("-m", "stillwave", *arguments, "-o", run, "--set", f"train.steps={updates}"),
        *("--set", f"train.validate_every={every}", "--set", f"train.checkpoint_every={every}"),
    )
    return run


def fitting(arguments: list[Any], probe: Path, seconds: float) -> int:
    """Return how many updates fit into `seconds`, by the speed of the second half of a short run."""
    start = time.monotonic()
    command(
        *("-m", "stillwave", *arguments, "-o", probe, "--set", f"train.steps={PROBE_STEPS}"),
        *("--set", f"train.validate_every={PROBE_STEPS}", "--set", "optimiser.warmup_steps=10"),
    )
    trained = [event for event in run_log.read(probe) if event["kind"] == "train"][PROBE_STEPS // 2 :]
    speed = statistics.median(event["audio_per_second"] for event in trained)
    written = recipes.load(probe / "recipe.yaml")
    audio = written.train.batch_size * written.train.accumulate * written.data.segment_seconds
    left = seconds - (time.monotonic() - start)
    return max(100, int(RESERVE * left * speed / audio))


def command(*arguments: Any) -> None:
    """Run a script or module in this Python, in the root of the repository."""
    subprocess.run([sys.executable, *map(str, arguments)], check=True, cwd=HERE.parents[1])


if __name__ == "__main__":
    main()
