"""The L3DAS challenges, task 1 (3D speech enhancement): score and submission folder.

**Score**: T1 = (STOI + (1 − WER)) / 2, both clipped to 0 … 1 for each recording. Source: task1_metric in metrics.py of
github.com/l3das/L3DAS23, and l3das.com/icassp2023/task1.html.

**Submission**, as required by l3das.com/icassp2023/submission.html: an archive TEAM_audioonly.zip (or
TEAM_audiovisual.zip) with at least one of task1/1mic/ and task1/2mic/. Their content is defined by
validate_submission.py of the same repository, which is labelled a draft: one NumPy file for each recording and nothing
else, NAME.npy for the input NAME_A.wav, of the same length. Not specified, and chosen here: one axis, float32, 16 kHz.
"""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from stillwave.audio import Samples, measure, read
from stillwave.console import track
from stillwave.data.pair_sets import by_name
from stillwave.errors import AudioError, StillwaveError
from stillwave.files import atomic_file, atomic_folder
from stillwave.schema import SAMPLE_RATE

LARGEST = 10 * 10**9
"""The maximum size of an archive in bytes."""


def t1(stoi: float, wer: float) -> float:
    """Return the score of one recording, 0 … 1, higher is better. Both arguments are fractions, not per cent.

    Examples:
        >>> t1(0.8, 0.4), t1(-0.1, 2.0), t1(1.0, 0.0)
        (0.7, 0.0, 1.0)

    """
    return (min(max(stoi, 0.0), 1.0) + (1 - min(max(wer, 0.0), 1.0))) / 2


class SubmissionError(StillwaveError):
    """Enhanced files that do not meet the requirements of the challenge."""


@dataclass(frozen=True)
class Submission:
    """The archive, the number of recordings and their total duration."""

    archive: Path
    recordings: int
    seconds: float


def write_submission(
    enhanced: Path,
    inputs: Path,
    out: Path,
    team: str,
    microphones: Literal[1, 2],
    track_name: Literal["audioonly", "audiovisual"] = "audioonly",
) -> Submission:
    """Write `out/task1/{1,2}mic/NAME.npy` and an archive of all of `out/task1`, `out/TEAM_audioonly.zip`.

    `enhanced`: the enhanced files, NAME or NAME_A in any format, mono, 16 kHz. `inputs`: the recordings of the
    challenge, NAME_A.wav, which define the names and lengths. `out`: the output folder. An existing folder for the
    other number of microphones is kept and archived too. Raises SubmissionError if a file is missing, has no input or
    differs from it in length; nothing is written.
    """
    if not team or any(c in team for c in "/\\ ") or team.startswith("."):
        raise SubmissionError(f"--team '{team}': is not a valid file name; use letters, digits, - and _")
    files = match(enhanced, inputs)
    samples = 0
    with atomic_folder(out / "task1" / f"{microphones}mic") as folder:
        for name, (estimate, source) in track(list(files.items()), "check and write"):
            values = _checked(estimate, source)
            np.save(folder / f"{name}.npy", values, allow_pickle=False)
            samples += len(values)
    archive = out / f"{team}_{track_name}.zip"
    _pack(out, archive)
    return Submission(archive, len(files), samples / SAMPLE_RATE)


def match(enhanced: Path, inputs: Path) -> Mapping[str, tuple[Path, Path]]:
    """Return name → (enhanced file, microphone A). Raises SubmissionError for files without a counterpart."""
    sources = {_plain(n): p for n, p in by_name(inputs).items() if not n.endswith("_B")}
    estimates: dict[str, Path] = {}
    for name, path in by_name(enhanced).items():
        if _plain(name) in estimates:
            raise SubmissionError(f"{path}: {estimates[_plain(name)]} is for the same recording")
        estimates[_plain(name)] = path
    missing, more = sorted(sources.keys() - estimates.keys()), sorted(estimates.keys() - sources.keys())
    if missing:
        raise SubmissionError(
            f"{enhanced}: {len(missing)} of {len(sources)} recordings are missing, the first is {missing[0]}"
        )
    if more:
        raise SubmissionError(
            f"{enhanced}: {len(more)} files have no recording in {inputs}, the first is {more[0]}"
        )
    return {name: (estimates[name], sources[name]) for name in sorted(sources)}


def _plain(name: str) -> str:
    return name.removesuffix("_A")


def _checked(estimate: Path, source: Path) -> Samples:
    try:
        samples, rate = read(estimate)
    except AudioError as error:
        raise SubmissionError(str(error)) from None
    wanted = measure(source)
    if len(samples) != 1:
        raise SubmissionError(f"{estimate}: has {len(samples)} channels; the challenge requires one")
    if rate != SAMPLE_RATE or wanted.sample_rate != SAMPLE_RATE:
        raise SubmissionError(
            f"{estimate}: {rate} Hz for an input of {wanted.sample_rate} Hz; the challenge requires 16000 Hz"
        )
    if samples.shape[1] != wanted.frames:
        raise SubmissionError(
            f"{estimate}: has {samples.shape[1]} samples; its input {source} has {wanted.frames}"
        )
    mono: Samples = samples[0].astype(np.float32)
    return mono


def _pack(out: Path, archive: Path) -> None:
    """Write the archive with sorted entries and without times, so that it is reproducible."""
    with atomic_file(archive) as temporary:
        with zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as packed:
            for file in sorted((out / "task1").rglob("*.npy")):
                entry = zipfile.ZipInfo(file.relative_to(out).as_posix(), date_time=(1980, 1, 1, 0, 0, 0))
                entry.compress_type = zipfile.ZIP_DEFLATED
                packed.writestr(entry, file.read_bytes())
        if temporary.stat().st_size > LARGEST:
            raise SubmissionError(f"{archive}: exceeds the limit of the challenge, 10 GB")
