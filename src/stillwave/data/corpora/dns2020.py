"""The Interspeech 2020 Deep Noise Suppression Challenge (Reddy et al., arXiv 2005.13981).

    datasets/clean/book_00000_chp_0009_reader_06709_11.wav   the speaker is the reader
    datasets/noise/--9VR_F7CtY.wav                           from AudioSet
    datasets/noise/traffic_248091_3.wav                      from Freesound, and the number of a part
    datasets/impulse_responses/…                             added by the later challenges
    datasets/test_set/synthetic/{no_reverb,with_reverb}/noisy/clnsp1_train_69005_1_snr15_tl-21_fileid_158.wav
    datasets/test_set/synthetic/{no_reverb,with_reverb}/clean/clean_fileid_158.wav

A scan skips the test sets, which `pair_sets.read_pairs` reads.
"""

from __future__ import annotations

import re
from pathlib import Path

KINDS = ("speech", "noise", "rooms")
LAYOUT = "clean/, noise/ and, if there are any, impulse_responses/ (the challenge's datasets/ folder)"

_FOLDERS = {"clean": "speech", "noise": "noise", "impulse_responses": "rooms"}
_TEST = re.compile(r"test_?set", re.IGNORECASE)
_READER = re.compile(r"reader_(\d+)")
_PART = re.compile(r"^(?P<source>(?P<label>.+)_\d{3,})_\d+$")
_FILE_ID = re.compile(r"fileid_(\d+)")
_NOISY = re.compile(r"(?:_snr(?P<snr>-?\d+))?(?:_tl(?P<level>-?\d+))?_fileid_\d+$")
_CLEAN_ID = re.compile(r"^clnsp(\d+)_(.+)$")


def kind_of(path: Path) -> str:
    """Return `speech`, `noise` or `rooms` by the folder; empty for test sets and anything else."""
    folders = path.parts[:-1]
    if any(_TEST.search(part) for part in folders):
        return ""
    return next((_FOLDERS[part] for part in folders if part in _FOLDERS), "")


def describe(path: Path) -> dict[str, str] | str:
    """Return the fields from the name of a training file, or why it is skipped.

    Examples:
        >>> describe(Path("noise/traffic_248091_3.wav"))
        {'licence': 'see the DNS Challenge', 'label': 'traffic', 'source': 'traffic_248091'}

    """
    kind = kind_of(path)
    if not kind:
        return (
            "test set" if any(_TEST.search(part) for part in path.parts) else "neither speech, noise nor room"
        )
    fields = {"licence": "see the DNS Challenge"}
    if kind == "speech":
        reader = _READER.search(path.stem)
        if reader:
            fields["speaker"] = reader.group(1)
    if kind == "noise":
        part = _PART.match(path.stem)
        if part:
            fields.update(label=part["label"], source=part["source"])
    return fields


def file_id(name: str) -> str | None:
    """Return the number that pairs noisy and clean.

    Examples:
        >>> file_id("clnsp1_train_69005_1_snr15_tl-21_fileid_158.wav"), file_id("clean_fileid_158.wav")
        ('158', '158')

    """
    found = _FILE_ID.search(name)
    return found.group(1) if found else None


def mixture_facts(stem: str) -> dict[str, str]:
    """Return SNR in dB and noise from the name of a noisy file, if they are in it.

    Examples:
        >>> mixture_facts("clnsp1_train_69005_1_snr15_tl-21_fileid_158")
        {'snr_db': '15', 'noise': 'train_69005_1'}

    """
    end = _NOISY.search(stem)
    if end is None:
        return {}
    facts = {"snr_db": end["snr"]} if end["snr"] else {}
    start = _CLEAN_ID.match(stem[: end.start()])
    return {**facts, "noise": start.group(2)} if start else facts
