"""Two ambisonic microphones on simulated scenes: teacher, students, baselines, one table. Resumable at every point.

    python benchmarks/multichannel.py --audio AUDIO [--work scratch] [--jobs 4]
    python benchmarks/multichannel.py --audio AUDIO --score        score the runs that are finished; train nothing
    python benchmarks/multichannel.py --audio AUDIO --page         write docs/multichannel.md from what is there

AUDIO holds train/ (speech, noise) and test/ (noisy/, clean/, mixtures.csv). Scenes are simulated from it, by seeds
(scenes/material.py); the teacher (multichannel/teacher.yaml) and the students (multichannel/student.yaml) are trained,
one thread a run (scenes/training.py: which, and with how many seeds); all of them and the baselines are scored on
the test scenes (scenes/scoring.py). What is finished is kept. multichannel/discussion.md is the only part of the
page that is written by hand.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from scenes import material, page, scoring, training  # type: ignore[import-not-found]
from stillwave.cores import cores
from stillwave.errors import StillwaveError

DOCS = Path(__file__).parents[1] / "docs"


def main() -> None:
    options = arguments()
    work = options.work.resolve()
    place = work / "multichannel"
    try:
        if options.page:
            page.write(place, material.Corpora(work / "l3das"), DOCS / "multichannel.md")
            return
        corpora = material.simulated(options.audio, work, options.jobs)
        if not options.score:
            training.train(place, corpora, options.jobs)
        scoring.score(place, corpora, options.jobs, words=not options.no_words)
    except StillwaveError as error:
        sys.exit(str(error))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--audio", type=Path, required=True)
    parser.add_argument("--work", type=Path, default=Path("scratch"), help="scenes, runs, scores")
    parser.add_argument("--jobs", type=int, default=cores())
    parser.add_argument("--score", action="store_true", help="train nothing; score what is finished")
    parser.add_argument("--no-words", action="store_true", help="no word error rates, which take 4 s a clip")
    parser.add_argument("--page", action="store_true", help="only write the page")
    return parser.parse_args()


if __name__ == "__main__":
    main()
