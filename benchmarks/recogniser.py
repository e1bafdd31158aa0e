"""How good a recogniser is on a test set, and what it costs: what word error rates by it are worth.

    python benchmarks/recogniser.py TEST [--recogniser pocketsphinx]

TEST holds noisy/, clean/ and mixtures.csv with the column `text`. Every file is heard once, in this process.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from stillwave.audio import probe
from stillwave.evaluation.inputs import from_checkpoints
from stillwave.evaluation.recognisers import identity, load
from stillwave.evaluation.scoring import NOISY
from stillwave.evaluation.transcripts import AsrConfig, transcribe_all
from stillwave.evaluation.wer import WordCount, count
from stillwave.reports.formatting import with_interval
from stillwave.stats.bootstrap import Interval, bootstrap, ratio


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("test", type=Path)
    parser.add_argument("--recogniser", default="pocketsphinx")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as work:
        items = from_checkpoints(options.test, {}, Path(work), texts=True)
        start = time.process_time()
        heard = transcribe_all(items, AsrConfig(options.recogniser), jobs=1)
        took = time.process_time() - start
        sound = sum(
            probe(file).seconds for item in items for file in (item.clean, item.estimates[NOISY]) if file
        )
    pairs = [heard[item.id, NOISY] for item in items]
    noisy = [found.count for found in pairs if found.count]
    clean = [count(item.text, found.reference.text or "") for item, found in zip(items, pairs, strict=True)]
    print(
        f"{identity(load(options.recogniser))}, {len(items)} mixtures, {sound:.0f} s of noisy and clean sound.\n"
    )
    print("| % | WER of the corpus | mean WER |\n| --- | --- | --- |")
    print(row("clean recordings against the known texts", [found for found in clean if found]))
    print(row("noisy recordings against the transcripts of the clean ones", noisy))
    print(f"\n{took / sound:.2f} s of processor time per second of audio. Intervals: 95 %, over recordings.")


def row(what: str, counts: Sequence[WordCount]) -> str:
    """Both rates; a recording's is clipped to 100 % before the mean is taken."""
    rates: tuple[Interval, ...] = (
        ratio([found.errors for found in counts], [found.words for found in counts]),
        bootstrap([min(found.rate, 1.0) for found in counts]),
    )
    return f"| {what} | {' | '.join(with_interval(rate, 'wer') for rate in rates)} |"


if __name__ == "__main__":
    main()
