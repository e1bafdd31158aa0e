"""What a recogniser hears in the files of an evaluation: each file once, whatever is compared with it."""

from __future__ import annotations

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
"""A recording whose peak stays below this (−80 dBFS) holds no words; recognisers hear some in digital silence."""
References = Literal["clean", "texts"]


class Transcript(NamedTuple):
    """A text, which may be empty, or the reason why there is none; exactly one of the two is None."""

    text: str | None
    reason: str | None = None


@dataclass(frozen=True)
class TranscriptPair:
    """The transcripts that a word error rate compares."""

    reference: Transcript
    hypothesis: Transcript

    @cached_property
    def count(self) -> WordCount | None:
        """Errors; None where `reason` says why there are none."""
        if self.reference.text is None or self.hypothesis.text is None:
            return None
        return count(self.reference.text, self.hypothesis.text)

    @property
    def reason(self) -> str | None:
        """Why nothing can be counted: the reference's own reason first."""
        if self.reference.reason or self.hypothesis.reason:
            return self.reference.reason or self.hypothesis.reason
        return None if self.count else "the reference has no words"


@dataclass(frozen=True)
class AsrConfig:
    """How words are compared: by which recogniser (as `recognisers.load` takes it), and with what.

    `clean`: with what it hears in the clean target, as the L3DAS challenges do. `texts`: with what was said, where
    that is known.
    """

    recogniser: str
    references: References = "clean"

    def check(self, items: Sequence[Item]) -> None:
        """Raise StillwaveError for a recogniser that is not there, or texts that are known of no recording."""
        load(self.recogniser)
        check_references(self.references)
        if self.references == "texts" and not any(item.text for item in items):
            raise StillwaveError(
                f"--references texts: of none of the {len(items)} recordings is a text known; put them into the "
                "column text of mixtures.csv, or into NAME.txt beside each reference"
            )


def check_references(references: str) -> References:
    """Raise StillwaveError for a word that says nothing of what to compare with."""
    for known in get_args(References):
        if references == known:
            return known  # type: ignore[no-any-return]
    raise StillwaveError(f"--references {references}: write clean or texts")


def transcribe_all(
    items: Sequence[Item], listening: AsrConfig, jobs: int, quiet: bool = False
) -> dict[tuple[str, str], TranscriptPair]:
    """What was heard of every item and system that has a file, by (id, system).

    Values depend neither on the order nor on the jobs. Raises StillwaveError as `Listening.check`.
    """
    listening.check(items)
    clean = [item.clean for item in items if item.clean] if listening.references == "clean" else []
    files = list(dict.fromkeys([*clean, *(file for item in items for file in item.estimates.values())]))
    done = run(transcribe_file, [(file, listening.recogniser) for file in files], jobs)
    texts = dict(zip(files, done if quiet else track(done, "transcribe", total=len(files)), strict=True))
    return {
        (item.id, system): TranscriptPair(
            _reference(item, listening, texts), _of("the estimate", texts[file])
        )
        for item in items
        for system, file in item.estimates.items()
    }


def _reference(item: Item, listening: AsrConfig, texts: Mapping[Path, Transcript]) -> Transcript:
    if listening.references == "texts":
        return Transcript(item.text) if item.text else Transcript(None, "its text is not known")
    if item.clean is None:
        return Transcript(None, "there is no clean file of this name")
    return _of("the reference", texts[item.clean])


def _of(what: str, transcript: Transcript) -> Transcript:
    return transcript if transcript.reason is None else Transcript(None, f"{what}: {transcript.reason}")


def transcribe_file(file: Path, recogniser: str) -> Transcript:
    """What a recogniser hears in a file; its failure is a reason. Raises RecogniserError where it cannot be used."""
    hear = load(recogniser).transcribe
    try:
        samples, rate = read(file)
    except Exception as error:  # decoders fail in ways of their own; one file's fault is that file's
        return Transcript(None, printable(fault_text(error).removeprefix(f"{file}: ")))
    if len(samples) != 1:
        return Transcript(None, f"has {len(samples)} channels, one is heard")
    if np.abs(samples).max() < SILENT:
        return Transcript("")
    try:
        return Transcript(hear(np.ascontiguousarray(samples[0]), rate))
    except RecogniserError:
        raise
    except Exception as error:  # a recogniser fails in ways of its own; each becomes a counted reason
        said = " ".join(str(error).split()) or type(error).__name__
        return Transcript(None, f"not recognised ({said})")
