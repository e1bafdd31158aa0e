"""What the quickstart trains on and is judged by: the demo corpus, or a folder of the user's own."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from stillwave.data import Recording, write_manifest
from stillwave.data.corpora import folders
from stillwave.data.manifest import ManifestError, hours
from stillwave.schema import SAMPLE_RATE, MixingConfig, Range, Sources

HELD_OUT = 0.12
"""Share of a user's speech and noise that is kept for the test, where the folder has none of its own."""
MIXTURES = 36
"""Made for the test in that case."""

_SOURCES = {
    "speech": ("speech.jsonl", "speech.csv", "speech"),
    "noise": ("noise.jsonl", "noise.csv", "noise"),
    "rooms": ("rooms.jsonl", "rir.jsonl", "rooms.csv", "rir.csv", "rooms", "rir"),
}
_TEST_MIXING = MixingConfig(
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
class Material:
    """Where everything is. `test` is a folder of fixed mixtures that no training or choosing sees."""

    train: Sources
    development: str | Sources
    test: Path
    synthetic: bool
    sentence: str
    """What it is, for the page."""


def demo(folder: Path, seed: int, jobs: int | None) -> Material:
    """Build the demo corpus (or find it built). Raises MissingExtraError without the `demo` extra."""
    from stillwave.data import read_manifest
    from stillwave.data.demo.corpus import build

    corpus = build(folder, seed=seed, jobs=jobs)
    train = {name: str((corpus / "train" / f"{name}.jsonl").resolve()) for name in _SOURCES}
    recordings = {name: read_manifest(path) for name, path in train.items()}
    return Material(
        train=Sources(**train),
        development=str((corpus / "development").resolve()),
        test=corpus / "test",
        synthetic=True,
        sentence=_sentence(recordings, "synthetic voices"),
    )


def own(audio: Path, work: Path) -> Material:
    """A user's folder: DIR/train/{speech,noise,rir}.csv or .jsonl, or DIR/{speech,noise[,rooms]} folders.

    DIR/test with noisy/ and clean/ is the test; without one, speakers and noise recordings are held out and
    mixed. Manifests and such mixtures are written below `work`; a second call finds them there. Training
    holds out speakers and noises of its own to choose by. Raises ManifestError for a folder without speech
    or noise, or with too few speakers or noise recordings to share out.
    """
    if not audio.is_dir():
        raise ManifestError(f"{audio}: there is no such folder")
    test = audio / "test"
    has_test = (test / "noisy").is_dir() and (test / "clean").is_dir()
    if not (work / "speech.jsonl").exists():
        _gather(audio, work, hold_out=not has_test)
    if not has_test:
        test = work / "test"
        if not test.is_dir():
            _mix_test(work, test)
    found = {name: work / f"{name}.jsonl" for name in _SOURCES if (work / f"{name}.jsonl").exists()}
    sources = Sources(**{name: str(path.resolve()) for name, path in found.items()})
    from stillwave.data import read_manifest

    recordings = {name: read_manifest(path) for name, path in found.items()}
    return Material(sources, sources, test, False, _sentence(recordings, "speakers"))


def _gather(audio: Path, work: Path, *, hold_out: bool) -> None:
    """Scan, share out, and write the manifests; that of speech last, which says that all are there."""
    kept: dict[str, list[Recording]] = {}
    held: dict[str, list[Recording]] = {}
    for name in _SOURCES:
        recordings = _scan(audio, name)
        kept[name], held[name] = _share(audio, name, recordings) if hold_out else (recordings, [])
        if name != "rooms":
            _check_enough(audio, name, kept[name])
    for folder, side in ((work / "held_out", held), (work, kept)):
        for name in ("noise", "rooms", "speech"):
            if side[name]:
                write_manifest(folder / f"{name}.jsonl", side[name])


def _scan(audio: Path, name: str) -> list[Recording]:
    from stillwave.data.scan import load

    root = audio / "train" if (audio / "train").is_dir() else audio
    source = next((root / file for file in _SOURCES[name] if (root / file).exists()), None)
    if source is None and name == "rooms":
        return []
    if source is None:
        raise ManifestError(
            f"{root}: holds no {name}; put recordings into {root / name}/ or list them in {root / name}.csv"
        )
    return load(source, folders.describe if name == "speech" else folders.describe_noise)


def _share(audio: Path, name: str, recordings: list[Recording]) -> tuple[list[Recording], list[Recording]]:
    from stillwave.data.split import group_of, split

    by = _unit(name)
    groups = {group_of(recordings, by)(recording) for recording in recordings} if recordings else set()
    if name == "rooms" and len(groups) < 4:
        return recordings, []
    if len(groups) < 3:
        raise ManifestError(_too_few(audio, name, len(groups), 3))
    return split(recordings, HELD_OUT, by=by)


def _check_enough(audio: Path, name: str, recordings: list[Recording]) -> None:
    from stillwave.data.split import group_of

    by = _unit(name)
    groups = {group_of(recordings, by)(recording) for recording in recordings}
    if len(groups) < 2:
        raise ManifestError(_too_few(audio, name, len(groups), 2))


def _unit(name: str) -> By:
    """What must stay on one side: speakers, noise recordings."""
    return "auto" if name == "speech" else "recording"


def _too_few(audio: Path, name: str, count: int, needed: int) -> str:
    what = "speakers (or recordings, where none are named)" if name == "speech" else "recordings of noise"
    why = "one to learn from, one to choose by" + (", one to test on" if needed == 3 else "")
    return f"{audio}: has {count} {what}; at least {needed} are needed: {why}"


def _mix_test(work: Path, folder: Path) -> None:
    from stillwave.data import read_manifest
    from stillwave.data.mixing import Mixer
    from stillwave.data.pairs import write_mixtures
    from stillwave.data.store import Store

    files = {name: work / "held_out" / f"{name}.jsonl" for name in _SOURCES}
    held = {name: read_manifest(path) if path.exists() else [] for name, path in files.items()}
    store = Store(work / "cache", SAMPLE_RATE)
    mixer = Mixer(held["speech"], held["noise"], held["rooms"], _TEST_MIXING, None, 0, store)
    write_mixtures(mixer, min(MIXTURES, 3 * len(held["speech"])), folder)


def _sentence(recordings: dict[str, list[Recording]], who: str) -> str:
    speakers = len({r.speaker for r in recordings["speech"]} - {""})
    by = f" by {speakers} {who}" if speakers else ""
    minutes = {name: f"{60 * hours(found):.0f} min" for name, found in recordings.items()}
    rooms = len(recordings.get("rooms", []))
    heard = f" and {rooms} room responses" if rooms else ""
    return f"Trained on {minutes['speech']} of speech{by}, {minutes['noise']} of noise{heard}."
