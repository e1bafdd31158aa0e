"""Score the shipped models on both test sets, find out what other signals do to them, and write docs/weights.md.

    python benchmarks/weights.py --audio AUDIO --graphs PEERS --recogniser faster-whisper:FOLDER [--work FOLDER]
    python benchmarks/weights.py robustness --audio AUDIO --model bsrnn-xs --model mine=mine.onnx

AUDIO holds test_diverse/ and test/, PEERS the streaming graphs of GTCRN and UL-UNAS. `scores`, `robustness` and `worst`
do one part and print it; by default all are done and the page is written. Estimates and scores are kept in --work by
the weights, so the same command resumes. weights/discussion.md is the only part of the page that is written by hand.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

from evaluate_pretrained import page, robustness, scores, worst  # type: ignore[import-not-found]
from evaluate_pretrained.place import Network, Place  # type: ignore[import-not-found]
from stillwave.cores import cores
from stillwave.errors import StillwaveError

ROOT = Path(__file__).parents[1]
PARTS = ("scores", "robustness", "worst")
SHIPPED = ("bsrnn-m", "bsrnn-s", "bsrnn-xs")
"""The default first."""
SETS = {  # folder → title, columns to group by, and what it is
    "test_diverse": (
        "Seven languages",
        "language,reverberant",
        "74 mixtures (425 s) at −5 … 15 dB SNR, every fifth reverberant (`test_diverse/`). The shipped models were "
        "trained on other\nspeakers, noises and rooms of its sources.",
    ),
    "test": (
        "English by speakers of Mandarin",
        "reverberant",
        "40 mixtures (217 s) at −5 … 15 dB SNR, every fifth reverberant (`test/`). The shipped models were trained on "
        "other speakers\nof this corpus; GTCRN, UL-UNAS and DeepFilterNet3 were not.",
    ),
}
TEXTS = "test"
"""The set whose texts are known and English throughout."""


def main() -> None:
    options = arguments()
    try:
        evaluate(options)
    except StillwaveError as error:
        sys.exit(str(error))
    except subprocess.CalledProcessError as error:
        sys.exit(f"{' '.join(error.cmd[:3])} … failed")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("part", choices=("all", *PARTS), nargs="?", default="all")
    parser.add_argument("--audio", type=Path, required=True)
    parser.add_argument("--graphs", type=Path, help="folder of gtcrn_stream.onnx and ulunas_stream.onnx")
    parser.add_argument("--recogniser", help="as of `stillwave evaluate`; without it, words are not counted")
    parser.add_argument("--model", action="append", help="in place of the shipped models, the default first")
    parser.add_argument("--work", type=Path, default=Path("scratch/weights"), help="where results are kept")
    parser.add_argument("--docs", type=Path, default=ROOT / "docs", help="where weights.md and pictures/ go")
    parser.add_argument("--jobs", type=int, default=cores())
    options = parser.parse_args()
    if options.part != "robustness" and options.graphs is None:
        parser.error("give --graphs")
    return options


def evaluate(options: argparse.Namespace) -> None:
    networks = [Network.of(name) for name in options.model or SHIPPED]
    places = {name: Place.of(options.audio / name, options.work.resolve(), options.jobs) for name in SETS}
    wanted = PARTS if options.part == "all" else (options.part,)
    results = page.Results(networks)
    if "scores" in wanted or "worst" in wanted:
        results.scores = [scored(name, networks, place, options) for name, place in places.items()]
    if "robustness" in wanted:
        results.robustness = {net.name: robustness.measure(net, places["test"]) for net in networks}
    if "worst" in wanted:
        diverse = places["test_diverse"]
        results.worst = worst.find(results.scores[0].quality / "scores.csv", networks[0], diverse)
    if options.part == "all":
        worst.draw(results.worst, diverse, networks[0], options.docs / "pictures")
        page.write(results, options.docs / "weights.md")
        return
    if options.part == "worst":
        results.scores = ()
    print("\n".join(page.lines(results)))


def scored(name: str, networks: list[Network], place: Place, options: argparse.Namespace) -> page.Scores:
    """Score a test set, or return what is kept of it."""
    title, by, about = SETS[name]
    teacher = Network("teacher", "denoiser-teacher", ROOT / "weights" / "denoiser-teacher")
    request = scores.Request([*networks, teacher], options.graphs, by, options.recogniser)
    found = page.Scores(title, about, scores.quality(request, place))
    if name != TEXTS:
        found.ratings = scores.ratings(request, place)
    elif options.recogniser:
        found.words = scores.words(request, place)
    return found


if __name__ == "__main__":
    main()
