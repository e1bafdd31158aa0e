"""What the weights that ship are worth: scores, robustness and failures, into docs/weights.md. Resumable everywhere.

    python benchmarks/weights.py --audio AUDIO --systems systems.yaml [--work scratch/weights] [--jobs 4]
    python benchmarks/weights.py scores --audio AUDIO --system "m=runs/m" --system "teacher=runs/teacher"
    python benchmarks/weights.py --audio AUDIO --systems systems.yaml --page

AUDIO/test holds noisy/, clean/ and mixtures.csv; systems are given as in evaluate_pretrained/systems.py. `scores`,
`robustness` and `worst` do one part and print it; by default all are done and the page is written. What was enhanced
and scored is kept under --work by the fingerprint of the weights, so that the same command goes on where it was
stopped; `--page` writes the page from what is kept and computes nothing. weights/discussion.md is the only part of it
that is written by hand.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from evaluate_pretrained import costs, page, robustness, worst  # type: ignore[import-not-found]
from evaluate_pretrained.scoring import Place, score_all  # type: ignore[import-not-found]
from evaluate_pretrained.systems import named, read_specs, systems_of  # type: ignore[import-not-found]
from stillwave.cores import cores
from stillwave.errors import StillwaveError

ROOT = Path(__file__).parents[1]
PARTS = ("scores", "robustness", "worst")


def main() -> None:
    options = arguments()
    try:
        evaluate(options)
    except StillwaveError as error:
        sys.exit(str(error))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("part", choices=("all", *PARTS), nargs="?", default="all")
    parser.add_argument("--audio", type=Path, required=True)
    parser.add_argument("--systems", type=Path, help="YAML or JSON, see evaluate_pretrained/systems.py")
    parser.add_argument(
        "--system", action="append", default=[], help="NAME=PATH[,PATH…] in place of the file"
    )
    parser.add_argument(
        "--default", help="the system that ships; by default as the file says, or the last --system"
    )
    parser.add_argument("--robust", action="append", default=[], help="a further system for `robustness`")
    parser.add_argument("--work", type=Path, default=Path("scratch/weights"), help="what is kept")
    parser.add_argument("--docs", type=Path, default=ROOT / "docs", help="where weights.md and pictures/ go")
    parser.add_argument("--jobs", type=int, default=cores())
    parser.add_argument("--first", type=int, help="a trial: so many recordings of the test set only")
    parser.add_argument("--page", action="store_true", help="only write the page; compute nothing")
    options = parser.parse_args()
    if bool(options.systems) == bool(options.system):
        parser.error("give the systems: either --systems FILE or --system NAME=PATH")
    return options


def evaluate(options: argparse.Namespace) -> None:
    specs = read_specs(options.systems) if options.systems else named(options.system, options.default)
    default = options.default or specs.default
    place = Place.of(
        options.audio / "test", options.work.resolve(), options.jobs, options.first, options.page
    )
    whole = options.page or options.part == "all"
    wanted = PARTS if whole else (options.part,)
    results = page.Results(place, default)
    systems = {system.name: system for system in systems_of(specs)}
    for name in (default, *options.robust):
        if name not in systems:
            raise StillwaveError(f"there is no system '{name}' among {', '.join(systems)}")
    if "scores" in wanted:
        results.scores = score_all(list(systems.values()), place)
        results.costs = costs.measure(list(systems.values()), place)
    if "robustness" in wanted:
        chosen = dict.fromkeys((default, *options.robust))
        results.robustness = {name: robustness.measure(systems[name].runs[0], place) for name in chosen}
    if "worst" in wanted:
        results.worst = worst.find(systems[default].runs[0], place)
    if whole:
        worst.draw(results.worst, place, systems[default].runs[0], options.docs / "pictures")
        page.write(results, options.docs / "weights.md")
        return
    print("\n".join(page.lines(results)))


if __name__ == "__main__":
    main()
