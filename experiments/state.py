"""Keep the state of a training in the repository while it is paused, and put it back on another machine.

    python experiments/state.py save RUN [--into experiments/state]
    python experiments/state.py restore NAME --runs RUNS [--from experiments/state]

`save` packs the newest step checkpoint of a run (weights, optimiser, averages, random state), its recipe, log and data
hashes into NAME.tar.xz. `restore` unpacks it as RUNS/NAME, which the command of experiments/models/README.md resumes.
"""

from __future__ import annotations

import argparse
import tarfile
from pathlib import Path

from stillwave.files import atomic_file

KEPT = ("recipe.yaml", "data.json", "environment.json", "log.jsonl")
LARGEST = 15e6  # bytes


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    verbs = parser.add_subparsers(required=True)
    saving = verbs.add_parser("save")
    saving.add_argument("run", type=Path)
    saving.add_argument("--into", type=Path, default=Path("experiments/state"))
    saving.set_defaults(do=lambda o: save(o.run, o.into))
    restoring = verbs.add_parser("restore")
    restoring.add_argument("name")
    restoring.add_argument("--runs", type=Path, required=True)
    restoring.add_argument("--from", dest="folder", type=Path, default=Path("experiments/state"))
    restoring.set_defaults(do=lambda o: restore(o.folder / f"{o.name}.tar.xz", o.runs))
    options = parser.parse_args()
    options.do(options)


def save(run: Path, folder: Path) -> Path:
    """Pack `run`; return the archive."""
    steps = sorted(run.glob("checkpoints/step_*"))
    if not steps:
        raise SystemExit(f"{run}: has no checkpoint; give a run folder of `stillwave train`")
    members = [*(run / name for name in KEPT if (run / name).exists()), steps[-1]]
    target = folder / f"{run.name}.tar.xz"
    folder.mkdir(parents=True, exist_ok=True)
    with atomic_file(target) as temporary, tarfile.open(temporary, "w:xz") as archive:
        for member in members:
            archive.add(member, arcname=str(Path(run.name) / member.relative_to(run)))
    size = target.stat().st_size
    if size > LARGEST:
        raise SystemExit(f"{target}: takes {size / 1e6:.1f} MB, more than {LARGEST / 1e6:.0f} MB")
    print(f"{target}: {steps[-1].name}, {size / 1e6:.1f} MB")
    return target


def restore(archive: Path, runs: Path) -> None:
    """Unpack into `runs`, where no run of that name may be."""
    name = archive.name.removesuffix(".tar.xz")
    if (runs / name).exists():
        raise SystemExit(f"{runs / name}: is there already; move it away first")
    runs.mkdir(parents=True, exist_ok=True)
    with tarfile.open(archive) as packed:
        packed.extractall(runs, filter="data")
    print(f"{runs / name}: restored")


if __name__ == "__main__":
    main()
