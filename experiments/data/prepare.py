"""Write the manifests that the denoisers are trained from, simulate rooms, and decode everything once.

    python experiments/data/prepare.py AUDIO OUT [--no-rooms] [--no-cache]

AUDIO holds train/ and more/, each with speech.csv, noise.csv, rir.csv and the files that they list, and may hold
fullband/ with the first two, at 48 kHz. OUT receives, for NAME in {train,more}-{speech,noise,rooms} and
fullband-{speech,noise}: NAME.jsonl (training) and NAME-development.jsonl; the training side of more-speech also in two
parts, more-sentences.jsonl and more-commands.jsonl, and the former in two parts, more-many-speakers.jsonl and
more-few-speakers.jsonl (see README.md); rooms/{short,middle,long,development}/rooms.jsonl;
cache/, the decoded audio (`data.cache`); and summary.json. The same input gives the same manifests, and rooms that are
there are kept.

Held out: whole speakers of every corpus that names enough of them, whole noise recordings of every set, and rooms.
- A noise clip is one recording with every clip whose original has the same name but for digits: numbered variants
  (footstep1, footstep2) come from one recording, and collections share originals (boat, wind). Clips joined of several
  originals tie those together. A group of more than ten minutes is a session of many recordings under one name: its
  last quarter in the order of the files is held out, the rest is trained on.
- fullband: speech with at least 14 kHz of bandwidth, all but two readers held out (43 s); noise as above.
- Corpora that do not name each speaker (`_UNNAMED`), or have few of them, are trained on as a whole.
"""

from __future__ import annotations

import argparse
import json
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, cast

from stillwave.data.decoded_cache import DecodedAudioCache
from stillwave.data.manifest import Kind, Recording, hours, write_manifest
from stillwave.data.scan import scan
from stillwave.data.scenes.geometry import SceneConfig
from stillwave.data.scenes.rir_dataset import write_rooms
from stillwave.data.split import source_of, split
from stillwave.schema import FULL_BAND_RATE, SAMPLE_RATE, Range

HELD_OUT = 0.05
"""Of the time of each corpus of speech and each set of noise."""
HELD_OUT_ROOMS = 0.1
SESSION_SECONDS = 600.0
"""A group of noise clips that is longer is a session, not one recording."""
FEWEST_SPEAKERS = 10
"""A corpus of fewer is not shared out."""
ROOMS = {"short": (0.15, 0.35, 140), "middle": (0.35, 0.55, 140), "long": (0.55, 0.8, 140)}
"""Simulated rooms: least and greatest RT60 in s, and how many."""
DEVELOPMENT_ROOMS = (0.15, 0.8, 24)

_UNNAMED = ("picovoice_sti", "picovoice_wakewords", "vctk_ljs_libritts_demo_clips")
"""Corpora in which one speaker may have several labels, or one label several speakers."""
COMMANDS = ("an4_en", "picovoice_sti", "picovoice_wakewords", "arabic_speech_commands")
"""Corpora of letters, single words and short commands: 2.0 of the 4.7 hours, but 60 % of the files."""
MANY_SPEAKERS = ("librispeech_resemblyzer", "vctk_ljs_libritts_demo_clips", "watson_stt_samples")
"""Corpora of sentences with a speaker for almost every recording; those of the others have up to 300."""

_UNUSABLE_ROOMS = frozenset({"deep_space", "on_a_star", "rays"})
"""Cut too short, or no rooms."""
_COLUMNS = {
    "train": {"speech": {}, "noise": {}, "rooms": {"label": "rt60_estimate"}},
    "more": {
        "speech": {"label": "language"},
        "noise": {"source": "source"},
        "rooms": {"source": "source", "label": "t60_est"},
    },
    "fullband": {"speech": {"label": "bandwidth_hz", "source": "source"}, "noise": {"source": "source"}},
}
LEAST_BANDWIDTH = 14_000
"""In Hz, of speech at 48 kHz."""
READERS = 2
"""Readers of most of the speech at 48 kHz, which is trained on; the others are held out."""
_LICENCE_OF_TRAIN = "free for any use with citation (speechocean762)"
"""Its table of speech has no column for it."""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("audio", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--no-rooms", action="store_true", help="do not simulate rooms")
    parser.add_argument("--no-cache", action="store_true", help="do not decode")
    options = parser.parse_args()
    written = {
        f"{part}-{kind}": one(options.audio, part, kind)
        for part in _COLUMNS
        for kind in _COLUMNS[part]
        if part != "fullband" or (options.audio / part).is_dir()
    }
    for name, (kept, held) in written.items():
        kind = cast(Kind, name.partition("-")[2])
        write_manifest(options.output / f"{name}.jsonl", kept, kind)
        write_manifest(options.output / f"{name}-development.jsonl", held, kind)
    for name, recordings in parts_of_more(written["more-speech"][0], options.audio / "more").items():
        write_manifest(options.output / f"more-{name}.jsonl", recordings, "speech")
    report = {
        name: {"train": figures(kept), "development": figures(held)} for name, (kept, held) in written.items()
    }
    (options.output / "summary.json").write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(report, indent=1))
    if not options.no_rooms:
        simulate(options.output / "rooms")
    if not options.no_cache:
        for rate, full_band in ((SAMPLE_RATE, False), (FULL_BAND_RATE, True)):
            mixed = [
                both
                for name, both in written.items()
                if not name.endswith("rooms") and name.startswith("fullband") == full_band
            ]
            decode(options.output / "cache", [r for both in mixed for side in both for r in side], rate)


def one(audio: Path, part: str, kind: str) -> tuple[list[Recording], list[Recording]]:
    """Training and development recordings of one table."""
    table = audio / part / f"{'rir' if kind == 'rooms' else kind}.csv"
    recordings = scan(table, columns=_COLUMNS[part][kind], decode=False).recordings
    if kind == "speech":
        if part == "train":
            recordings = [r.model_copy(update={"licence": _LICENCE_OF_TRAIN}) for r in recordings]
        return full_band_speech(recordings) if part == "fullband" else speech(recordings, table.parent)
    if kind == "noise":
        return noise(recordings, table.parent)
    usable = [r for r in recordings if r.path.stem not in _UNUSABLE_ROOMS]
    return split(usable, HELD_OUT_ROOMS, by="recording")


def speech(recordings: Sequence[Recording], folder: Path) -> tuple[list[Recording], list[Recording]]:
    """Hold speakers out of every corpus that names enough of them."""
    held: set[str] = set()
    for corpus, own in by_set(recordings, folder).items():
        if corpus not in _UNNAMED and len({r.speaker for r in own}) >= FEWEST_SPEAKERS:
            held |= {r.speaker for r in split(own, HELD_OUT, by="speaker")[1]}
    return [r for r in recordings if r.speaker not in held], [r for r in recordings if r.speaker in held]


def full_band_speech(recordings: Sequence[Recording]) -> tuple[list[Recording], list[Recording]]:
    """Hold out all speakers but the two of whom there is most."""
    named = [r.model_copy(update={"bandwidth_hz": float(r.label), "label": ""}) for r in recordings]
    wide = [r for r in named if (r.bandwidth_hz or 0) >= LEAST_BANDWIDTH]
    seconds: dict[str, float] = defaultdict(float)
    for recording in wide:
        seconds[recording.speaker] += recording.seconds
    readers = set(sorted(seconds, key=seconds.__getitem__)[-READERS:])
    return [r for r in wide if r.speaker in readers], [r for r in wide if r.speaker not in readers]


def noise(recordings: Sequence[Recording], folder: Path) -> tuple[list[Recording], list[Recording]]:
    """Hold recordings out of every set; `source` becomes the group that stays together."""
    grouped = together(recordings)
    held: set[str] = set()
    for own in by_set(grouped, folder).values():
        done = hours([r for r in own if r.source in held]) >= HELD_OUT * hours(own)
        if not done and len({r.source for r in own}) > 1:  # a group may reach over several sets
            held |= {r.source for r in split(own, HELD_OUT, by="recording")[1]}
    whole = [r for r in grouped if r.source in held]
    early = early_in_sessions(whole)
    paths = {r.path for r in early}
    return [r for r in grouped if r.source not in held] + early, [r for r in whole if r.path not in paths]


def early_in_sessions(recordings: Sequence[Recording]) -> list[Recording]:
    """Return the first three quarters of every group that is longer than `SESSION_SECONDS`, as a group of its own."""
    groups: dict[str, list[Recording]] = defaultdict(list)
    for recording in sorted(recordings, key=lambda r: r.path):
        groups[recording.source].append(recording)
    sessions = [own for own in groups.values() if sum(r.seconds for r in own) > SESSION_SECONDS]
    early = [recording for own in sessions for recording in own[: len(own) * 3 // 4]]
    return [r.model_copy(update={"source": f"{r.source} (early)"}) for r in early]


def parts_of_more(recordings: Sequence[Recording], folder: Path) -> dict[str, list[Recording]]:
    """Short commands, and sentences: all, those of many speakers, and those of few."""
    sets = by_set(recordings, folder)

    def of(names: Iterable[str]) -> list[Recording]:
        return [r for name in sets if name in names for r in sets[name]]

    sentences = set(sets) - set(COMMANDS)
    return {
        "commands": of(COMMANDS),
        "sentences": of(sentences),
        "many-speakers": of(MANY_SPEAKERS),
        "few-speakers": of(sentences - set(MANY_SPEAKERS)),
    }


def by_set(recordings: Iterable[Recording], folder: Path) -> dict[str, list[Recording]]:
    """By the folder below speech/ or noise/; one set where there is none."""
    sets: dict[str, list[Recording]] = {}
    for recording in recordings:
        parts = recording.path.relative_to(folder.absolute()).parts
        sets.setdefault(parts[1] if len(parts) > 2 else "", []).append(recording)
    return sets


def together(recordings: Sequence[Recording]) -> list[Recording]:
    """Recordings whose `source` is the first name of all originals that are tied to theirs."""
    parent: dict[str, str] = {}

    def root(name: str) -> str:
        while parent.setdefault(name, name) != name:
            name = parent[name]
        return name

    for recording in recordings:
        first, *others = originals(recording)
        for other in others:
            parent[root(other)] = root(first)
    return [r.model_copy(update={"source": root(originals(r)[0])}) for r in recordings]


def originals(recording: Recording) -> list[str]:
    """The originals of a clip, by their names without folder, ending, digits and letter case.

    Examples:
        >>> clip = Recording(path="a.opus", sample_rate=16000, channels=1, seconds=1)
        >>> originals(clip.model_copy(update={"source": "x:s/Step1.ogg ; s/b.2.wav"}))
        ['step', 'b']

    """
    if not recording.source:
        return [source_of(recording)]
    names = [PurePosixPath(name.strip().rpartition(":")[2]) for name in recording.source.split(" ; ")]
    return [re.sub(r"[\d\W_]+", "", name.stem.lower()) or str(name) for name in names]


def simulate(folder: Path) -> None:
    """Rooms for training by RT60, and some for development."""
    for seed, (name, (low, high, count)) in enumerate(
        {**ROOMS, "development": DEVELOPMENT_ROOMS}.items(), start=1
    ):
        if not (folder / name / "rooms.jsonl").exists():
            config = SceneConfig(rt60=Range(low=low, high=high), distance=Range(low=1.0, high=3.0))
            write_rooms(folder / name, count, config=config, seed=seed)


def decode(folder: Path, recordings: Iterable[Recording], rate: int) -> None:
    """Decode what a training run would decode on its start."""
    DecodedAudioCache(folder, rate).prepare(recordings)


def figures(recordings: Sequence[Recording]) -> dict[str, Any]:
    """Hours, recordings, speakers."""
    return {
        "hours": round(hours(recordings), 2),
        "recordings": len(recordings),
        "speakers": len({r.speaker for r in recordings} - {""}),
        "sources": len({r.source for r in recordings} - {""}),
    }


if __name__ == "__main__":
    main()
