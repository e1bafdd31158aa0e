"""Word error rates of mixes of input and estimate: choose the mix on development mixtures, score it on test sets.

    python experiments/data/prepare.py AUDIO OUT --no-rooms --no-cache
    python benchmarks/asr.py choose OUT --recogniser faster-whisper:FOLDER
    python benchmarks/asr.py score AUDIO --recogniser faster-whisper:FOLDER --limits 12 inf

`choose` mixes the speech, noise and rooms that were held out from training: noisy, reverberant and noisy, and clean.
Transcripts are kept under --work and used again. A text is the spoken one where it is known, else the transcript of
the clean reference. "Guarded": the guard (`stillwave enhance --guard`) chooses between the input and the mix. --time
ends the transcription after some seconds: the tables then hold the clips that are complete.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import math
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import yaml

import stillwave
from stillwave.audio import Samples, read
from stillwave.evaluation.guard import MARGIN, choose
from stillwave.evaluation.recognisers import identity, load
from stillwave.evaluation.recognisers.contract import Recognition
from stillwave.evaluation.wer import WordCount, count
from stillwave.inference.pipeline import dry_mix_of
from stillwave.provenance import machine
from stillwave.stats.bootstrap import RESAMPLES, Interval, bootstrap, ratio

INPUT, ESTIMATE = "input", "estimate"
LIMITS = (3.0, 6.0, 12.0, math.inf)
SENTENCES = "librispeech_resemblyzer"
"""The corpus of `more/` with read English sentences."""
SNR_DB = {"low": -5, "high": 15}
SEED = 17


@dataclass(frozen=True)
class Clip:
    """A recording of a condition, and what was said in it."""

    condition: str
    file: Path
    text: str
    """Empty: the transcript of `clean`."""
    clean: Path

    @property
    def key(self) -> str:
        """Identifies the recording among the transcripts."""
        return f"{self.file.parent.parent.name}/{self.file.parent.name}/{self.file.stem}"


def development(manifests: Path, work: Path) -> list[Clip]:
    """The clips that a mix is chosen on: two sets of speakers, each noisy and reverberant; one also clean."""
    sentences = work / "sentences.jsonl"
    lines = (manifests / "more-speech-development.jsonl").read_text(encoding="utf-8").splitlines()
    work.mkdir(parents=True, exist_ok=True)
    sentences.write_text("".join(f"{line}\n" for line in lines if SENTENCES in line), encoding="utf-8")
    clips: list[Clip] = []
    for name, speech, counts in (
        ("train", manifests / "train-speech-development.jsonl", (40, 24)),
        ("more", sentences, (24, 12)),
    ):
        for condition, share, number in zip(("noisy", "reverberant"), (0, 1), counts, strict=True):
            folder = work / f"{name}-{condition}"
            if not folder.is_dir():
                mix(manifests, speech, folder, number, share)
            clips += listed(folder, condition)
    return clips + clean_of(clips)


def mix(manifests: Path, speech: Path, folder: Path, number: int, reverberation: float) -> None:
    """Write mixtures of recordings that were held out from training."""
    noise, rooms = (
        [str(manifests / f"{part}-{kind}-development.jsonl") for part in ("train", "more")]
        for kind in ("noise", "rooms")
    )
    sources = {"speech": str(speech), "noise": noise, "rooms": rooms}
    mixing = {"snr_db": SNR_DB, "reverberation": reverberation, "clipping": 0, "band_limit": 0}
    recipe = {
        "name": "asr",
        "model": {"name": "bsrnn"},
        "data": {"train": sources, "development": sources, "mixing": mixing},
    }
    file = folder.parent / f"{folder.name}.yaml"
    file.write_text(yaml.safe_dump(recipe), encoding="utf-8")
    options = ["--count", str(number), "--seed", str(SEED), "-o", str(folder)]
    subprocess.run([sys.executable, "-m", "stillwave", "data", "mix", str(file), *options], check=True)


def listed(folder: Path, condition: str = "") -> list[Clip]:
    """The noisy clips of a folder of mixtures; by default by whether a room is named."""
    with (folder / "mixtures.csv").open(newline="", encoding="utf-8") as handle:
        rows = [row for row in csv.DictReader(handle) if row.get("language", "en") == "en"]
    return [
        Clip(
            condition or ("reverberant" if row["rir"] else "noisy"),
            folder / "noisy" / f"{row['id']}.flac",
            row["text"],
            folder / "clean" / f"{row['id']}.flac",
        )
        for row in rows
    ]


def clean_of(clips: Sequence[Clip]) -> list[Clip]:
    """The clean references of noisy clips with known texts, as a condition of their own."""
    return [Clip("clean", c.clean, c.text, c.clean) for c in clips if c.condition == "noisy" and c.text]


@dataclass
class Transcripts:
    """Transcripts of clips by system, kept in a file of JSON lines."""

    file: Path
    recogniser: Any
    model: str
    enhancer: stillwave.Enhancer
    found: dict[str, dict[str, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.file.is_file():
            rows = map(json.loads, self.file.read_text(encoding="utf-8").splitlines())
            self.found = {row["key"]: row for row in rows}

    def of(self, clip: Clip, limits: Sequence[float]) -> dict[str, dict[str, Any]]:
        """The recognition of the input, the estimate and each mix, by system."""
        systems = {INPUT: 1.0, **{mix_name(db): dry_mix_of(db) for db in limits}}
        keys = {name: f"{clip.key}|{name}" + f"|{self.model}" * (name != INPUT) for name in systems}
        if any(key not in self.found for key in keys.values()):
            samples, rate = read(clip.file)
            estimate = self.enhancer.enhance(samples[0], rate)
            for name, share in systems.items():
                if keys[name] not in self.found:
                    self._add(keys[name], estimate + np.float32(share) * (samples[0] - estimate), rate)
        return {name: self.found[key] for name, key in keys.items()}

    def complete(self, clip: Clip, limits: Sequence[float]) -> bool:
        """Whether all transcripts of a clip are there."""
        mixes = [f"{clip.key}|{mix_name(db)}|{self.model}" for db in limits]
        wanted = [f"{clip.key}|{INPUT}", *mixes, *([] if clip.text else [reference_key(clip)])]
        return all(key in self.found for key in wanted)

    def text_of(self, clip: Clip) -> str:
        """The words that were said."""
        if clip.text:
            return clip.text
        key = reference_key(clip)
        if key not in self.found:
            samples, rate = read(clip.clean)
            self._add(key, samples[0], rate)
        return str(self.found[key]["text"])

    def _add(self, key: str, samples: Samples, rate: int) -> None:
        if hasattr(self.recogniser, "recognise"):
            row = {"key": key, **vars(self.recogniser.recognise(samples, rate))}
        else:
            row = {"key": key, "text": self.recogniser.transcribe(samples, rate)}
        self.found[key] = row
        with self.file.open("a", encoding="utf-8") as handle:
            handle.write(json.dumps(row) + "\n")


def mix_name(limit_db: float) -> str:
    """The name of a mix: its limit, or that of the estimate alone."""
    return ESTIMATE if math.isinf(limit_db) else f"limit {limit_db:g} dB"


def reference_key(clip: Clip) -> str:
    """The key of the transcript of the clean reference."""
    return f"{clip.clean.parent.parent.name}/{clip.clean.parent.name}/{clip.clean.stem}|{INPUT}"


Counts = dict[str, list[WordCount]]
"""The word errors of each clip, by system; the systems have the same clips in the same order."""


def counted(
    clips: Sequence[Clip], transcripts: Transcripts, limits: Sequence[float], seconds: float, margin: float
) -> dict[str, Counts]:
    """The word errors by condition, guarded mixes included."""
    found: dict[str, Counts] = {}
    start = time.monotonic()
    for i, clip in enumerate(clips):
        print(f"{i + 1} of {len(clips)}", file=sys.stderr, end="\r")
        if time.monotonic() - start > seconds and not transcripts.complete(clip, limits):
            continue
        rows, text = transcripts.of(clip, limits), transcripts.text_of(clip)
        texts = {name: str(row["text"]) for name, row in rows.items()}
        if "log_probability" in rows[INPUT]:
            for name in list(rows)[1:]:
                input_, mixed = (Recognition(**_without_key(rows[part])) for part in (INPUT, name))
                kept = name if choose(input_, mixed, margin).enhanced else INPUT
                texts[f"{name}, guarded"] = texts[kept]
        if count(text, text):
            for name, hypothesis in texts.items():
                errors = count(text, hypothesis)
                assert errors
                found.setdefault(clip.condition, {}).setdefault(name, []).append(errors)
    return {**found, "all": _joined(found)} if len(found) > 1 else found


def _without_key(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name != "key"}


def _joined(found: dict[str, Counts]) -> Counts:
    return {
        name: [errors for counts in found.values() for errors in counts[name]]
        for name in next(iter(found.values()))
    }


def table(found: dict[str, Counts]) -> Iterator[str]:
    """WER of the corpus, and differences to the input: of the corpus, and of the mean over clips up to 100 %."""
    yield "| condition | clips | system | WER, % | difference to the input | difference of the mean, clipped |"
    yield "| --- | --- | --- | --- | --- | --- |"
    for condition, counts in found.items():
        for name, errors in counts.items():
            rate = shown(ratio([e.errors for e in errors], [e.words for e in errors]))
            apart = mean = ""
            if name != INPUT:
                apart = shown(difference(errors, counts[INPUT]), "+")
                pairs = zip(errors, counts[INPUT], strict=True)
                mean = shown(bootstrap([min(1, a.rate) - min(1, b.rate) for a, b in pairs]), "+")
            yield f"| {condition} | {len(errors)} | {name} | {rate} | {apart} | {mean} |"


def difference(first: Sequence[WordCount], second: Sequence[WordCount]) -> Interval:
    """The difference of two WERs of the corpus, paired by clip."""
    apart = np.array([a.errors - b.errors for a, b in zip(first, second, strict=True)], np.float64)
    words = np.array([a.words for a in first], np.float64)
    draws = np.random.default_rng([0, len(words)]).integers(0, len(words), (RESAMPLES, len(words)))
    low, high = np.percentile(apart[draws].sum(1) / words[draws].sum(1), (2.5, 97.5))
    return Interval(float(apart.sum() / words.sum()), float(low), float(high), len(words))


def shown(value: Interval, sign: str = "") -> str:
    """A share as per cent with its interval."""
    mean, low, high = (f"{100 * part:{sign}.1f}" for part in (value.mean, value.low, value.high))
    return f"{mean} [{low}, {high}]"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=("choose", "score"))
    parser.add_argument("folder", type=Path, help="manifests (choose), or AUDIO with test/ and test_diverse/")
    parser.add_argument("--recogniser", required=True)
    parser.add_argument("--model", default="bsrnn-m")
    parser.add_argument("--limits", type=float, nargs="*", default=LIMITS)
    parser.add_argument("--margin", type=float, default=MARGIN, help="of the guard")
    parser.add_argument("--time", type=float, default=math.inf, metavar="SECONDS")
    parser.add_argument("--work", type=Path, default=Path("scratch/asr"))
    options = parser.parse_args()
    recogniser = load(options.recogniser)
    digest = hashlib.sha256(identity(recogniser).encode()).hexdigest()[:8]
    if options.what == "choose":
        clips = development(options.folder, options.work)
    else:
        clips = [clip for part in ("test", "test_diverse") for clip in listed(options.folder / part)]
        clips += clean_of(listed(options.folder / "test", "noisy"))
    clips = [clips[i] for i in np.random.default_rng(SEED).permutation(len(clips))]
    options.work.mkdir(parents=True, exist_ok=True)
    file = options.work / f"{options.what}-{digest}.jsonl"
    transcripts = Transcripts(file, recogniser, options.model, stillwave.load(options.model))
    print("\n".join(table(counted(clips, transcripts, options.limits, options.time, options.margin))))
    facts = machine()
    print(f"\n{options.model}, {identity(recogniser)}; {facts['processor']}, {facts['system']}.")


if __name__ == "__main__":
    main()
