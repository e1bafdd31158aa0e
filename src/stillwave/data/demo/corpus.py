"""Build the demo corpus: training recordings with manifests, and fixed development and test mixtures.

    FOLDER/README.md, corpus.json                    what it is and what it was made with
    FOLDER/train/{speech,noise,rooms}.jsonl          manifests; the recordings are WAV, which is read in place
    FOLDER/{development,test}/{noisy,clean}/ID.flac  mixtures, with mixtures.csv

Voices, noise recordings (with their parameters), rooms and sentences of one set occur in no other.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from stillwave import console
from stillwave.audio import Samples
from stillwave.data.demo import espeak
from stillwave.data.demo.mixtures import mix, room
from stillwave.data.demo.noises import NOISES, babble
from stillwave.data.demo.speaker_splits import SPLITS, Size, SpeakerScript, mixtures_of, split_speakers
from stillwave.data.manifest import Kind, Recording, hours, write_manifest
from stillwave.errors import MissingExtraError
from stillwave.files import atomic_folder, read_json, write_json, write_text
from stillwave.schema import SAMPLE_RATE

SNR_STEPS = (-5, 0, 5, 10)
"""SNRs of the fixed mixtures in dB."""

_ORDER = 5
"""Step through the noises: all 22 (two of a kind) are used, each kind with several SNRs."""

_VERSION = 2
"""To be increased if a seed gives other samples; folders of another version are built again."""


@dataclass(frozen=True)
class Noise:
    """A synthetic noise recording, mono samples `[n]`."""

    name: str
    kind: str
    samples: Samples


def build(folder: Path | str, *, seed: int = 0, size: Size | None = None, jobs: int | None = None) -> Path:
    """Build the corpus in `folder` and return its path; a corpus of this seed and size is kept.

    The same seed and size give the same samples with any number of `jobs` (default: the number of CPUs).
    Raises MissingExtraError without the `demo` extra, StillwaveError if espeak-ng fails. An interrupted build leaves no
    files.
    """
    if not espeak.available():
        raise MissingExtraError("the demo corpus", "demo")
    folder = Path(folder)
    size = size or Size()
    facts = {"version": _VERSION, "seed": seed, "size": asdict(size)}
    if is_built(folder, facts):
        return folder
    with atomic_folder(folder) as work:
        parts = split_speakers(seed, size)
        facts["espeak_ng"] = _speak_all(work, parts, jobs or os.cpu_count() or 1)
        for split in SPLITS:
            own = [part for part in parts if part.split == split]
            noises = list(_noises(work, own, seed, size))
            if split == "train":
                facts["seconds"] = _training(work, own, noises, seed, size)
            else:
                _mixtures(work, own, noises, seed, size)
            _forget_unused(work, own)
        write_text(work / "README.md", readme(facts))
        write_json(work / "corpus.json", facts)
    return folder


def is_built(folder: Path, facts: dict[str, Any]) -> bool:
    """Return whether `folder` has a complete corpus with the settings `facts`."""
    found = read_json(folder / "corpus.json")
    return found is not None and all(found.get(key) == value for key, value in facts.items())


def _speak_all(work: Path, parts: list[SpeakerScript], jobs: int) -> str:
    """Synthesise all sentences, one process per speaker; return the version of espeak."""
    version = ""
    with ThreadPoolExecutor(jobs) as pool, console.progress_bar() as bar:
        task = bar.add_task("speech (espeak-ng)", total=sum(len(part.texts) for part in parts), note="")
        waiting = {pool.submit(_speak, work, part): part for part in parts}
        try:
            for done in as_completed(waiting):
                version = done.result()
                bar.advance(task, len(waiting[done].texts))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return version


def _speak(work: Path, part: SpeakerScript) -> str:
    part.files(work)[0].parent.mkdir(parents=True, exist_ok=True)
    lines = list(zip(part.texts, part.files(work), strict=True))
    return espeak.speak_in_process(part.voice, lines, SAMPLE_RATE)


def _noises(work: Path, parts: list[SpeakerScript], seed: int, size: Size) -> Iterator[Noise]:
    """Yield the noise recordings of one set, each with its own generator."""
    split = parts[0].split
    babblers = [part for part in parts if part.role == "babble"]
    voices = [np.concatenate([_read(file) for file in part.files(work)]) for part in babblers]
    each = size.noises if split == "train" else 2
    kinds = [*NOISES, "babble"]
    for kind, i in console.track([(kind, i) for kind in kinds for i in range(each)], f"noises ({split})"):
        rng = np.random.default_rng([seed, SPLITS.index(split), kinds.index(kind), i])
        if kind == "babble":
            chosen = rng.choice(
                len(voices), size=rng.integers(min(3, len(voices)), len(voices) + 1), replace=False
            )
            samples = babble(rng, size.noise_seconds, SAMPLE_RATE, [voices[k] for k in chosen])
        else:
            samples = NOISES[kind](rng, size.noise_seconds, SAMPLE_RATE)
        yield Noise(f"{kind}_{split}_{i}", kind, samples)


def _training(
    work: Path, parts: list[SpeakerScript], noises: list[Noise], seed: int, size: Size
) -> dict[str, float]:
    """Write the training manifests, the noises and the rooms; return seconds by manifest."""
    folder = work / "train"
    speech = [
        _entry(file, speaker=part.speaker, text=text)
        for part in parts
        if part.role == "speech"
        for file, text in zip(part.files(work), part.texts, strict=True)
    ]
    for noise in noises:
        _write(folder / "noise" / f"{noise.name}.wav", noise.samples)
    for i in range(size.rooms):
        # 0.5: full scale for the direct sound leaves no headroom in a file of 16 bits
        response = 0.5 * room(np.random.default_rng([seed, 1000 + i]), SAMPLE_RATE)
        _write(folder / "rooms" / f"room_{i}.wav", response)
    noise_lines = [_entry(folder / "noise" / f"{n.name}.wav", label=n.kind) for n in noises]
    rooms = [_entry(file, label="synthetic room") for file in sorted((folder / "rooms").glob("*.wav"))]
    manifests: dict[Kind, list[Recording]] = {"speech": speech, "noise": noise_lines, "rooms": rooms}
    for name, recordings in manifests.items():
        write_manifest(folder / f"{name}.jsonl", recordings, name)
    return {name: round(3600 * hours(recordings), 1) for name, recordings in manifests.items()}


def _entry(file: Path, speaker: str = "", text: str = "", label: str = "") -> Recording:
    import soundfile

    info = soundfile.info(file)
    return Recording(
        path=file,
        sample_rate=info.samplerate,
        channels=info.channels,
        seconds=info.frames / info.samplerate,
        speaker=speaker,
        text=text,
        licence="CC0-1.0",
        label=label,
    )


def _mixtures(work: Path, parts: list[SpeakerScript], noises: list[Noise], seed: int, size: Size) -> None:
    """Write a fixed set: SNR steps and noises in turn, every fifth mixture in a room."""
    split = parts[0].split
    spoken = _round_robin([part for part in parts if part.role == "speech"], work)
    rows = []
    for i in console.track(range(mixtures_of(split, size)), f"mixtures ({split})"):
        rng = np.random.default_rng([seed, 2000 + SPLITS.index(split), i])
        speaker, text, file = spoken[i]
        noise = noises[_ORDER * i % len(noises)]
        reverberant = i % 5 == 4
        response = room(rng, SAMPLE_RATE) if reverberant else None
        snr_db = SNR_STEPS[i % len(SNR_STEPS)]
        mixed = mix(_read(file), noise.samples, snr_db, SAMPLE_RATE, rng, response)
        _write(work / split / "noisy" / f"{i:03d}.flac", mixed.noisy)
        _write(work / split / "clean" / f"{i:03d}.flac", mixed.clean)
        seconds = round(len(mixed.noisy) / SAMPLE_RATE, 3)
        rows.append(
            (f"{i:03d}", speaker, snr_db, noise.name, "synthetic" if reverberant else "", seconds, text)
        )
    with (work / split / "mixtures.csv").open("w", newline="", encoding="utf-8") as handle:
        writer = csv.writer(handle, lineterminator="\n")
        writer.writerow(("id", "speaker", "snr_db", "noise", "rir", "seconds", "text"))
        writer.writerows(rows)


def _round_robin(parts: list[SpeakerScript], work: Path) -> list[tuple[str, str, Path]]:
    """Return `(speaker, text, file)` of all sentences, with the speakers in turn."""
    longest = max(len(part.texts) for part in parts)
    return [
        (part.speaker, part.texts[i], part.files(work)[i])
        for i in range(longest)
        for part in parts
        if i < len(part.texts)
    ]


def _forget_unused(work: Path, parts: list[SpeakerScript]) -> None:
    """Remove sentences that are only used in mixtures."""
    for part in parts:
        if part.split != "train" or part.role == "babble":
            for file in part.files(work):
                file.unlink()
            if not any(part.files(work)[0].parent.iterdir()):
                part.files(work)[0].parent.rmdir()


def _read(file: Path) -> Samples:
    import soundfile

    samples: Samples = soundfile.read(file, dtype="float32")[0]
    return samples


def _write(file: Path, samples: Samples) -> None:
    import soundfile

    file.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(file, samples, SAMPLE_RATE, subtype="PCM_16")


def readme(facts: dict[str, Any]) -> str:
    """Return the text of the README in the folder of the corpus."""
    minutes = {name: f"{seconds / 60:.1f} min" for name, seconds in facts["seconds"].items()}
    size = facts["size"]
    return f"""# stillwave demo corpus

**The speech is synthetic.** espeak-ng {facts["espeak_ng"]} spoke it, and the noises and rooms were computed.
Nothing in here was recorded. It is for trying stillwave out: figures measured on it say nothing about
real speech.

- `train/`: {minutes["speech"]} of speech ({size["speakers"]} voices), {minutes["noise"]} of noise,
  {size["rooms"]} room impulse responses; the manifests are the `.jsonl` files.
- `development/` and `test/`: fixed mixtures at {", ".join(map(str, SNR_STEPS))} dB SNR, every fifth one
  reverberant (the clean reference keeps the direct sound and the first 50 ms).
- Voices, sentences, noise recordings (with their parameters) and rooms of one set occur in no other.

Made by `stillwave quickstart` with seed {facts["seed"]}; the same seed gives the same samples.
No rights are reserved in the audio (CC0).
"""
