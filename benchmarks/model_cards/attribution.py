"""Credits of the recordings that the weights that ship heard: author, source and licence, as their lists say them.

    python benchmarks/model_cards/attribution.py noise.csv [-o src/stillwave/pretrained/ATTRIBUTION.md]

noise.csv has the columns file, licence and source; source reads "clip derived from TITLE (URL) by AUTHOR". Sets of
data-more.yaml that are not in data.yaml follow in a second table.
"""

from __future__ import annotations

import argparse
import csv
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import yaml

from stillwave.files import write_text

TARGET = Path(__file__).parents[2] / "src" / "stillwave" / "pretrained" / "ATTRIBUTION.md"
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

MORE = """
# Further recordings

`bsrnn-m` heard these too. Each set is a selection of the recordings in the repository, under the licences named.

| part | recordings | licence | credit |
|---|---|---|---|
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("noises", type=Path)
    parser.add_argument("-o", "--output", type=Path, default=TARGET)
    options = parser.parse_args()
    with options.noises.open(encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines))
    try:
        write_text(options.output, page(rows) + further(Path(__file__).parent))
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


def further(folder: Path) -> str:
    """The table of the sets that only data-more.yaml lists."""
    first, more = (
        yaml.safe_load((folder / name).read_text(encoding="utf-8"))["data"]
        for name in ("data.yaml", "data-more.yaml")
    )
    known = {entry["name"] for entry in first}
    rows = (
        f"| {entry['part']} | [{entry['name']}]({entry['url']}) | {entry['licence']} | {entry['citation']} |\n"
        for entry in more
        if entry["name"] not in known
    )
    return MORE + "".join(rows)


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
