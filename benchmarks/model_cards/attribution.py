"""Credits of the noises that the weights that ship heard: clip, author, source and licence, as their list says them.

    python benchmarks/model_cards/attribution.py noise.csv [-o src/stillwave/pretrained/ATTRIBUTION.md]

noise.csv has the columns file, licence and source; source reads "clip derived from TITLE (URL) by AUTHOR".
"""

from __future__ import annotations

import argparse
import csv
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from stillwave.files import write_text

TARGET = Path(__file__).parents[2] / "src" / "stillwave" / "weights" / "ATTRIBUTION.md"
SOURCE = re.compile(r"clip derived from (?P<title>.*) \((?P<url>https?://[^\s()]+)\) by (?P<author>.+)")
HEAD = """\
# Credits

The networks in `shipped/` were trained on recordings of others. None of the recordings is in this package; mixed,
filtered and distorted as the recipes say, they were heard in training.

**Speech**: [speechocean762](https://github.com/jimbozhang/speechocean762), free for commercial and non-commercial use.
Zhang et al.: "speechocean762: An Open-Source Non-native English Speech Corpus For Pronunciation Assessment",
Interspeech 2021.

**Rooms**: impulse responses of GoogleChromeLabs/web-audio-samples and of speechbrain's samples, both Apache-2.0; others
simulated.

**Noise**: clips of ESC-50 (K. J. Piczak: "ESC: Dataset for Environmental Sound Classification", ACM Multimedia 2015),
made from recordings on freesound.org. {free} of the clips are in the public domain (CC0). The {credited} others are
under Creative Commons Attribution (CC BY; the version stands on each recording's page), and their authors are:

| clip | author | recording |
|---|---|---|
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("noises", type=Path)
    parser.add_argument("-o", "--output", type=Path, default=TARGET)
    options = parser.parse_args()
    with options.noises.open(encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines))
    try:
        write_text(options.output, page(rows))
    except ValueError as error:
        sys.exit(f"{options.noises}: {error}")


def page(rows: list[dict[str, str]]) -> str:
    """The whole text. Raises ValueError for a licence or a source that it does not know how to credit."""
    strange = sorted({row["licence"] for row in rows} - {"CC0", "CC-BY"})
    if strange:
        raise ValueError(f"licence '{strange[0]}': only CC0 and CC-BY are known here")
    credited = [row for row in rows if row["licence"] == "CC-BY"]
    head = HEAD.format(free=len(rows) - len(credited), credited=len(credited))
    return head + "".join(_lines(credited))


def _lines(rows: list[dict[str, str]]) -> Iterator[str]:
    for row in rows:
        found = SOURCE.fullmatch(row["source"].strip())
        if found is None:
            raise ValueError(f"{row['file']}: its source names no author: {row['source']}")
        title = found["title"].replace("|", "\\|").replace("[", "(").replace("]", ")")
        author = found["author"].replace("|", "\\|")
        yield f"| {Path(row['file']).stem} | {author} | [{title}]({found['url']}) |\n"


if __name__ == "__main__":
    main()
