"""Training and test data of the quick start: the demo corpus, or a folder of the user."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from stillwave.data.corpora import folders
from stillwave.data.manifest import Kind, ManifestError, Recording, hours, read_manifest, write_manifest
from stillwave.schema import SAMPLE_RATE, MixingConfig, Range, Sources

HELD_OUT = 0.1
"""The share of a user's speech and noise that is held out, each for development and for the test."""
DEVELOPMENT, TEST = 24, 36
"""The number of mixtures of the held-out recordings."""
BABBLERS = 6
"""The number of speakers that babble noise requires."""

_SOURCES = {
    "speech": ("speech.jsonl", "speech.csv", "speech"),
    "noise": ("noise.jsonl", "noise.csv", "noise"),
    "rooms": ("rooms.jsonl", "rir.jsonl", "rooms.csv", "rir.csv", "rooms", "rir"),
}
_SPEECH_LAST: tuple[Kind, ...] = ("noise", "rooms", "speech")
_FIXED = MixingConfig(
    snr_db=Range(low=0, high=15),
    level_dbfs=Range(low=-32, high=-22),
    noises=1,
    babble=0,
    reverberation=0.2,
    clipping=0,
    band_limit=0,
)


By = Literal["auto", "recording"]


@dataclass(frozen=True)
class QuickstartData:
    """The data of a quick start. `test` is not used for training or early stopping."""

    train: Sources
    development: str
    """A folder of fixed mixtures, like `test`."""
    test: Path
    synthetic: bool
    babble: bool
    sentence: str
    """A description for the page."""


def demo(folder: Path, seed: int, jobs: int | None) -> QuickstartData:
    """Build the demo corpus, unless it exists. Raises MissingExtraError without the `demo` extra."""
    from stillwave.data.demo.corpus import build

    corpus = build(folder, seed=seed, jobs=jobs)
    train = {name: str((corpus / "train" / f"{name}.jsonl").resolve()) for name in _SOURCES}
    recordings = {name: read_manifest(path) for name, path in train.items()}
    return QuickstartData(
        train=Sources(**train),
        development=str((corpus / "development").resolve()),
        test=corpus / "test",
        synthetic=True,
        babble=True,
        sentence=_sentence(recordings, "synthetic voices"),
    )


def own(audio: Path, work: Path) -> QuickstartData:
    """Read a user's folder: DIR/train/{speech,noise,rir}.csv or .jsonl, or DIR/{speech,noise[,rooms]} folders.

    DIR/test with noisy/ and clean/ is the test set. Speakers and noise recordings are held out and mixed for
    development, and for a test set if there is none. Manifests and mixtures are written to `work` and reused. Raises
    ManifestError for a folder without speech or noise, or with too few speakers or noise recordings.
    """
    if not audio.is_dir():
        raise ManifestError(f"{audio}: folder not found")
    has_test = (audio / "test" / "noisy").is_dir() and (audio / "test" / "clean").is_dir()
    wanted = {"development": DEVELOPMENT} if has_test else {"development": DEVELOPMENT, "test": TEST}
    if not (work / "speech.jsonl").exists():
        _gather(audio, work, list(wanted))
    for name, count in wanted.items():
        if not (work / name / "mixtures.csv").exists():
            _mix(work, name, count)
    found = {name: work / f"{name}.jsonl" for name in _SOURCES if (work / f"{name}.jsonl").exists()}
    recordings = {name: read_manifest(path) for name, path in found.items()}
    return QuickstartData(
        train=Sources(**{name: str(path.resolve()) for name, path in found.items()}),
        development=str((work / "development").resolve()),
        test=audio / "test" if has_test else work / "test",
        synthetic=False,
        babble=len({recording.speaker for recording in recordings["speech"]} - {""}) >= BABBLERS,
        sentence=_sentence(recordings, "speakers"),
    )


def _gather(audio: Path, work: Path, sets: list[str]) -> None:
    """Scan and split the recordings and write the manifests; speech last, which marks them as complete."""
    sides: dict[str, dict[str, list[Recording]]] = {name: {} for name in ("", *sets)}
    for kind in _SOURCES:
        for side, recordings in _split(audio, kind, _scan(audio, kind), sets).items():
            sides[side][kind] = recordings
    for side in (*sets, ""):
        folder = work / "held_out" / side if side else work
        for kind in _SPEECH_LAST:
            if sides[side][kind]:
                write_manifest(folder / f"{kind}.jsonl", sides[side][kind], kind)


def _scan(audio: Path, name: str) -> list[Recording]:
    from stillwave.data.scan import load

    root = audio / "train" if (audio / "train").is_dir() else audio
    source = next((root / file for file in _SOURCES[name] if (root / file).exists()), None)
    if source is None and name == "rooms":
        return []
    if source is None:
        raise ManifestError(
            f"{root}: contains no {name}; put recordings into {root / name}/ or list them in {root / name}.csv"
        )
    return load(source, folders.describe if name == "speech" else folders.describe_noise)


def _split(
    audio: Path, kind: str, recordings: list[Recording], sets: list[str]
) -> dict[str, list[Recording]]:
    """Split speakers, noise recordings and rooms into sets; "" is the training set.

    If there are too few rooms to split, all sets share them.
    """
    from stillwave.data.split import group_of, split

    unit = _unit(kind)
    groups = {group_of(recordings, unit)(recording) for recording in recordings} if recordings else set()
    if len(groups) <= len(sets):
        if kind == "rooms":
            return dict.fromkeys(("", *sets), recordings)
        raise ManifestError(_too_few(audio, kind, len(groups), len(sets) + 1))
    sides = {}
    for side in sets:
        recordings, sides[side] = split(recordings, HELD_OUT, by=unit)
    return {"": recordings, **sides}


def _unit(name: str) -> By:
    """Return what is kept within one set: speakers, or recordings of noise and rooms."""
    return "auto" if name == "speech" else "recording"


def _too_few(audio: Path, kind: str, count: int, needed: int) -> str:
    what = "speaker(s) (recordings, where none are named)" if kind == "speech" else "recording(s) of noise"
    sets = "training, development and test" if needed == 3 else "training and development"
    return f"{audio}: has {count} {what}; at least {needed} are needed, one each for {sets}"


def _mix(work: Path, name: str, count: int) -> None:
    from stillwave.data.decoded_cache import DecodedAudioCache
    from stillwave.data.mixing import Mixer
    from stillwave.data.pair_sets import write_mixtures

    files = {kind: work / "held_out" / name / f"{kind}.jsonl" for kind in _SOURCES}
    held_out = {kind: read_manifest(path) if path.exists() else [] for kind, path in files.items()}
    store = DecodedAudioCache(work / "cache", SAMPLE_RATE)
    mixer = Mixer(held_out["speech"], held_out["noise"], held_out["rooms"], _FIXED, None, 0, store)
    write_mixtures(mixer, min(count, 3 * len(held_out["speech"])), work / name)


def _sentence(recordings: dict[str, list[Recording]], who: str) -> str:
    speakers = len({r.speaker for r in recordings["speech"]} - {""})
    by = f" by {speakers} {who}" if speakers else ""
    minutes = {name: f"{60 * hours(found):.0f} min" for name, found in recordings.items()}
    rooms = len(recordings.get("rooms", []))
    responses = f" and {rooms} room impulse responses" if rooms else ""
    return f"Trained on {minutes['speech']} of speech{by}, {minutes['noise']} of noise{responses}."
