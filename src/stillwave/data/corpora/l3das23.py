"""The L3DAS challenges' first task, 3D speech enhancement, as it was published in 2022 and 2023.

    L3DAS23_Task1_{train100,train360,dev}/data/84-121123-0001_A.wav    microphone A: four channels, 16 kHz, 16 bit
    L3DAS23_Task1_{train100,train360,dev}/data/84-121123-0001_B.wav    microphone B
    L3DAS23_Task1_{train100,train360,dev}/labels/84-121123-0001.wav    the target, mono
    L3DAS23_Task1_{train100,train360,dev}/labels/84-121123-0001.txt    the transcript, if the release has it
    L3DAS22_Task1_{train100,train360_1,train360_2,dev}/…               the same in 2022

AmbiX (ACN, SN3D) by the challenge's page, l3das.com/icassp2023/task1.html; layout as preprocessing.py and
download_dataset.py of github.com/l3das/L3DAS22 and L3DAS23 read it. Kaggle's archives hold a folder in a folder of the
same name, and two parts of train360: any folder above will do. Names start with LibriSpeech's number of the speaker.

A clip is skipped, with the reason, if a file is missing, cannot be read, or has an unexpected rate, number of channels
or length, or a silent channel. It is kept and listed as doubtful if the order of its channels seems wrong.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from stillwave.audio import open_reader
from stillwave.console import in_threads
from stillwave.data.manifest import ManifestError
from stillwave.data.multichannel import MOST_APART
from stillwave.data.pair_manifest import Pair
from stillwave.data.scan import SILENT, Skipped, classify
from stillwave.data.scenes.ambisonics import Convention, convert, energy_ratio, order_fault
from stillwave.errors import AudioError
from stillwave.schema import SAMPLE_RATE

KINDS = ("pairs",)
LAYOUT = "L3DAS23_Task1_…/data/NAME_A.wav, data/NAME_B.wav and labels/NAME.wav"
CHANNELS = 4

_SPEAKER = re.compile(r"^(\d+)-\d+-\d+")
_OTHER_TASK = re.compile(r"task_?2", re.IGNORECASE)


@dataclass(frozen=True)
class PairScan:
    """The result of a scan, sorted by path."""

    pairs: list[Pair]
    skipped: list[Skipped]
    doubtful: list[Skipped] = field(default_factory=list)
    """Kept, but to be checked."""
    energy_ratio: float | None = None
    """Median of all recordings (`channels.energy_ratio`): 1 for SN3D; None if none was decoded."""


class _Clip(NamedTuple):
    name: str
    a: Path
    b: Path | None
    label: Path


class _Opened(NamedTuple):
    """Length of a file, a doubt about its channels, and the energy of W over that of the dipoles."""

    frames: int
    doubt: str = ""
    ratio: float | None = None


class _ClipError(Exception):
    """A fault of one clip: (path, reason, detail)."""


def scan_pairs(
    folder: Path | str,
    *,
    microphones: Literal[1, 2] = 2,
    convention: Convention = "acn_sn3d",
    decode: bool = True,
    jobs: int | None = None,
) -> PairScan:
    """Scan the clips of one set, or of all sets of a folder, in parallel.

    With one microphone, faults of B are ignored. `decode` reads every sample, which finds silent channels, NaN,
    truncated files and channels in another order. Raises ManifestError for no such set or no usable clip.
    """
    folder = Path(folder).absolute()
    clips = [clip for place in sets(folder) for clip in _clips(place, microphones)]

    def look(clip: _Clip) -> tuple[Pair | None, list[Skipped], list[float]]:
        return _look(clip, convention, decode)

    seen = in_threads(look, clips, f"scan {folder.name}", jobs)
    ratios = [ratio for *_, found in seen for ratio in found]
    result = PairScan(
        [pair for pair, *_ in seen if pair is not None],
        [fault for pair, faults, _ in seen if pair is None for fault in faults],
        [fault for pair, faults, _ in seen if pair is not None for fault in faults],
        float(np.median(ratios)) if ratios else None,
    )
    if not result.pairs:
        reasons = ", ".join(sorted({fault.reason for fault in result.skipped})) or "it is empty"
        raise ManifestError(f"{folder}: has no usable clips ({reasons}); expected {LAYOUT}")
    return result


def sets(folder: Path) -> list[Path]:
    """Return the folders with data/ (with NAME_A.wav) and labels/ of Task 1: the given one, or those below it."""
    if not folder.is_dir():
        raise ManifestError(f"{folder}: there is no such folder")
    found = (
        [folder] if is_set(folder) else sorted(p.parent for p in folder.rglob("labels") if is_set(p.parent))
    )
    found = [place for place in found if not _OTHER_TASK.search(place.relative_to(folder).as_posix())]
    if not found:
        raise ManifestError(f"{folder}: is not laid out as the L3DAS corpora are; expected {LAYOUT}")
    return found


def is_set(folder: Path) -> bool:
    """Return whether a folder has data/ and labels/."""
    return (folder / "data").is_dir() and (folder / "labels").is_dir()


def _clips(folder: Path, microphones: int) -> list[_Clip]:
    """Return a clip for each name of any file."""
    data = [path for path in (folder / "data").iterdir() if path.suffix.lower() == ".wav"]
    labels = [path for path in (folder / "labels").iterdir() if path.suffix.lower() == ".wav"]
    names = {path.stem[:-2] for path in data if path.stem[-2:] in ("_A", "_B")} | {
        path.stem for path in labels
    }

    def clip(name: str) -> _Clip:
        a, b = (folder / "data" / f"{name}_{side}.wav" for side in "AB")
        return _Clip(name, a, b if microphones == 2 else None, folder / "labels" / f"{name}.wav")

    return [clip(name) for name in sorted(names)]


def _look(
    clip: _Clip, convention: Convention, decode: bool
) -> tuple[Pair | None, list[Skipped], list[float]]:
    noisy = [clip.a, *([clip.b] if clip.b else [])]
    try:
        opened = [_opened(path, what, 4, convention, decode) for path, what in zip(noisy, "AB", strict=False)]
        target = _opened(clip.label, "label", 1, convention, decode)
        frames = opened[0].frames
        for path, found in zip(noisy, opened, strict=True):
            if found.frames != frames:
                raise _ClipError(path, "other length", f"{found.frames} samples, A has {frames}")
        if abs(target.frames - frames) > MOST_APART:
            raise _ClipError(clip.label, "other length", f"{target.frames} samples, A has {frames}")
    except _ClipError as fault:
        return None, [Skipped(*fault.args)], []
    doubts = [Skipped(p, "channel order", o.doubt) for p, o in zip(noisy, opened, strict=True) if o.doubt]
    ratios = [found.ratio for found in opened if found.ratio is not None]
    return _pair(clip, min(target.frames, frames), convention), doubts, ratios


def _opened(path: Path, what: str, channels: int, convention: Convention, decode: bool) -> _Opened:
    """Check one file. Raises _ClipError."""
    if not path.is_file():
        raise _ClipError(path, "label missing" if what == "label" else f"microphone {what} missing", "")
    try:
        with open_reader(path, headers_only=not decode) as reader:
            info = reader.info
            if info.sample_rate != SAMPLE_RATE:
                raise _ClipError(path, "other rate", f"{info.sample_rate} Hz, expected {SAMPLE_RATE}")
            if info.channels != channels:
                raise _ClipError(path, "other channel count", f"{info.channels}, expected {channels}")
            if not decode and info.exact:
                return _Opened(info.frames)
            samples = reader.rest()
    except AudioError as error:
        message = str(error).removeprefix(f"{path}: ")
        raise _ClipError(path, classify(message), message) from None
    _refuse_silent(path, samples)
    if channels == 1:
        return _Opened(samples.shape[1])
    samples = convert(samples, convention, "acn_sn3d")
    return _Opened(samples.shape[1], order_fault(samples), energy_ratio(samples))


def _refuse_silent(path: Path, samples: npt.NDArray[Any]) -> None:
    silent = [str(i) for i, peak in enumerate(np.abs(samples).max(axis=1)) if peak < SILENT]
    if silent:
        raise _ClipError(path, "silent channel", ", ".join(silent) if len(samples) > 1 else "all of it")


def _pair(clip: _Clip, frames: int, convention: Convention) -> Pair:
    text = clip.label.with_suffix(".txt")
    speaker = _SPEAKER.match(clip.name)
    known = {"speaker": speaker.group(1) if speaker else "", **_scene(clip)}
    return Pair(
        id=clip.name,
        noisy=clip.a,
        also=(clip.b,) if clip.b else (),
        clean=clip.label,
        channels=CHANNELS * (2 if clip.b else 1),
        convention=convention,
        seconds=round(frames / SAMPLE_RATE, 4),
        text=text.read_text(encoding="utf-8", errors="replace").strip() if text.is_file() else "",
        **known,
    )


def _scene(clip: _Clip) -> dict[str, Any]:
    """Return speaker and SNR from the JSON file of a simulated scene."""
    facts = scene_facts(clip.label)
    return {key: facts[key] for key in ("speaker", "snr_db") if facts.get(key)}


def scene_facts(label: Path) -> dict[str, Any]:
    """Read `scenes/NAME.json` of a simulated clip by the path of its label; empty for a published clip."""
    file = label.parent.parent / "scenes" / f"{label.stem}.json"
    if not file.is_file():
        return {}
    try:
        facts: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    except ValueError:
        raise ManifestError(f"{file}: is not JSON; simulate the corpus again") from None
    return facts
