"""Transcripts of the files of an evaluation. Each file is transcribed once."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple, get_args

import numpy as np

from stillwave.audio import read
from stillwave.console import track
from stillwave.errors import StillwaveError, fault_text
from stillwave.evaluation.processes import run
from stillwave.evaluation.recognisers import RecogniserError, load
from stillwave.evaluation.wer import WordCount, count
from stillwave.files import printable

if TYPE_CHECKING:
    from stillwave.evaluation.scoring import Item

SILENT = 1e-4
"""A recording with a peak below this (−80 dBFS) is not transcribed: some recognisers return words for silence."""
References = Literal["clean", "texts"]


class Transcript(NamedTuple):
    """A text, which may be empty, or the reason for its absence; exactly one of the two is None."""

    text: str | None
    reason: str | None = None


@dataclass(frozen=True)
class TranscriptPair:
    """The transcripts of reference and estimate."""

    reference: Transcript
    hypothesis: Transcript

    @cached_property
    def count(self) -> WordCount | None:
        """The word errors; None if they cannot be counted (`reason`)."""
        if self.reference.text is None or self.hypothesis.text is None:
            return None
        return count(self.reference.text, self.hypothesis.text)

    @property
    def reason(self) -> str | None:
        """Why the errors cannot be counted; that of the reference first."""
        if self.reference.reason or self.hypothesis.reason:
            return self.reference.reason or self.hypothesis.reason
        return None if self.count else "the reference has no words"


@dataclass(frozen=True)
class AsrConfig:
    """The recogniser and the references of an evaluation.

    Attributes:
        recogniser: As `recognisers.load` takes it.
        references: `clean`: the transcript of the clean reference, as in the L3DAS challenges. `texts`: known texts.

    """

    recogniser: str
    references: References = "clean"

    def check(self, items: Sequence[Item]) -> None:
        """Raise StillwaveError if the recogniser cannot be used, or no recording has a known text."""
        load(self.recogniser)
        check_references(self.references)
        if self.references == "texts" and not any(item.text for item in items):
            raise StillwaveError(
                f"--references texts: none of the {len(items)} recordings has a known text; write them into the "
                "column 'text' of mixtures.csv, or into NAME.txt beside each reference"
            )


def check_references(references: str) -> References:
    """Return the references by name. Raises StillwaveError for an unknown name."""
    for known in get_args(References):
        if references == known:
            return known  # type: ignore[no-any-return]
    raise StillwaveError(f"--references {references}: expected clean or texts")


def transcribe_all(
    items: Sequence[Item], asr: AsrConfig, jobs: int, quiet: bool = False
) -> dict[tuple[str, str], TranscriptPair]:
    """Return the transcripts of every item and system that has a file, by (id, system).

    They depend neither on the order nor on the number of jobs. Raises StillwaveError as `AsrConfig.check`.
    """
    asr.check(items)
    clean = [item.clean for item in items if item.clean] if asr.references == "clean" else []
    files = list(dict.fromkeys([*clean, *(file for item in items for file in item.estimates.values())]))
    done = run(transcribe_file, [(file, asr.recogniser) for file in files], jobs)
    texts = dict(zip(files, done if quiet else track(done, "transcribe", total=len(files)), strict=True))
    return {
        (item.id, system): TranscriptPair(_reference(item, asr, texts), _of("the estimate", texts[file]))
        for item in items
        for system, file in item.estimates.items()
    }


def _reference(item: Item, asr: AsrConfig, texts: Mapping[Path, Transcript]) -> Transcript:
    if asr.references == "texts":
        return Transcript(item.text) if item.text else Transcript(None, "the reference text is not known")
    if item.clean is None:
        return Transcript(None, "there is no clean file of this name")
    return _of("the reference", texts[item.clean])


def _of(what: str, transcript: Transcript) -> Transcript:
    return transcript if transcript.reason is None else Transcript(None, f"{what}: {transcript.reason}")


def transcribe_file(file: Path, recogniser: str) -> Transcript:
    """Return the transcript of a file, or the reason of a failure. Raises RecogniserError if it cannot be used."""
    transcribe = load(recogniser).transcribe
    try:
        samples, rate = read(file)
    except Exception as error:  # decoders raise any exception; other files are still transcribed
        return Transcript(None, printable(fault_text(error).removeprefix(f"{file}: ")))
    if len(samples) != 1:
        return Transcript(None, f"has {len(samples)} channels; mono is required")
    if np.abs(samples).max() < SILENT:
        return Transcript("")
    try:
        return Transcript(transcribe(np.ascontiguousarray(samples[0]), rate))
    except RecogniserError:
        raise
    except Exception as error:  # recognisers raise any exception; each becomes a counted reason
        reason = " ".join(str(error).split()) or type(error).__name__
        return Transcript(None, f"not recognised ({reason})")


def texts_of(folder: Path, references: Mapping[str, Path]) -> dict[str, str]:
    """Return the text by name of the references (name → file) that have one.

    Texts are read from NAME.txt beside the reference, or from the column `text` of mixtures.csv in the folder or its
    parent. Raises StillwaveError for a file that cannot be read.
    """
    table = _table(folder) if references else {}
    found = {name: _beside(file) or table.get(name, "") for name, file in references.items()}
    return {name: text for name, text in found.items() if text}


def _beside(reference: Path) -> str:
    file = reference.with_suffix(".txt")
    if not file.is_file():
        return ""
    try:
        return file.read_text(encoding="utf-8-sig").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise StillwaveError(f"{file}: cannot be read as a UTF-8 text ({error})") from None


def _table(folder: Path) -> dict[str, str]:
    file = next((f for place in (folder, folder.parent) if (f := place / "mixtures.csv").is_file()), None)
    if file is None:
        return {}
    try:
        with file.open(newline="", encoding="utf-8-sig") as handle:
            return {row.get("id") or "": (row.get("text") or "").strip() for row in csv.DictReader(handle)}
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise StillwaveError(f"{file}: cannot be read as a CSV file ({error})") from None
