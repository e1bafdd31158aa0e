"""Build training and development data from the `data` section of a recipe.

If `development` names a source that `train` names too, a tenth of it is held out by speaker, noise recording and room.
Otherwise the two sides must have no file, speaker or noise recording in common, across all sources.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Literal

from stillwave.data import split as splitting
from stillwave.data.corpora import folders
from stillwave.data.decoded_cache import DecodedAudioCache
from stillwave.data.manifest import KINDS, Kind, ManifestError, Recording
from stillwave.data.mixing import Mixer
from stillwave.data.mixture import Mixture
from stillwave.data.pair_manifest import Pair
from stillwave.data.pair_sets import load_pair, read_pairs
from stillwave.data.paired_dataset import PairedSegments
from stillwave.data.pools import WeightedPool, recordings_of
from stillwave.data.sampling import BABBLERS, speaker_of
from stillwave.data.scan import load
from stillwave.errors import RecipeError
from stillwave.files import identity
from stillwave.schema import SAMPLE_RATE, DataConfig, MixingConfig, Pairs, Sources, WeightedSource

HELD_OUT = 0.1
_SPLIT_SEED = 0
"""Fixed, so that runs with different seeds are scored on the same recordings."""

Split = Literal["train", "development"]
Material = dict[str, list[WeightedPool]]
"""`speech`, `noise` and `rooms`, each of one or several sources."""


def build_source(
    data: DataConfig,
    microphones: int = 1,
    seed: int = 0,
    base: Path | str = ".",
    *,
    rate: int = SAMPLE_RATE,
    prepare: bool = True,
    must_exist: bool = True,
) -> Mixer | PairedSegments:
    """Return the training examples of a recipe: mixed during training (one microphone), or segments of pairs.

    Without `must_exist` a manifest may list missing recordings, whose examples raise errors. Raises ManifestError as
    `build_mixer` does, and for pairs with too few channels or a file or speaker of the development set.
    """
    if isinstance(data.train, Pairs):
        _refuse_rate(rate, "data.train.pairs: a corpus of pairs")
        pairs = read_pairs(Path(base) / data.train.pairs, must_exist=must_exist)
        _refuse_known(pairs, data, Path(base))
        return PairedSegments(pairs, data.segment_seconds, microphones, seed)
    if microphones != 1:
        raise RecipeError(
            "model.microphones: mixtures made during training have one microphone; set it to 1, or name a corpus of "
            "several in data.train.pairs"
        )
    return build_mixer(data, seed=seed, base=base, rate=rate, prepare=prepare, must_exist=must_exist)


def build_mixer(
    data: DataConfig,
    split: Split = "train",
    seed: int = 0,
    base: Path | str = ".",
    *,
    whole: bool = False,
    rate: int = SAMPLE_RATE,
    prepare: bool = True,
    must_exist: bool = True,
) -> Mixer:
    """Return the mixer of the training or development sources; relative paths are relative to `base`.

    `whole` makes mixtures as long as their utterances instead of `segment_seconds`; `rate` is that of the mixtures in
    Hz; `prepare` decodes all recordings first. Raises ManifestError for sources that cannot be used or share speakers
    or noises, and for `development` if the recipe names fixed mixtures.
    """
    if isinstance(data.train, Pairs):
        raise ManifestError("data.train names pairs, which are not mixed")
    if split == "development" and isinstance(data.development, str):
        raise ManifestError("data.development names fixed mixtures, so there is nothing to mix")
    material = gather(data, split, Path(base), must_exist=must_exist)
    store = DecodedAudioCache(None if data.cache is None else Path(base) / data.cache, rate)
    if prepare:
        store.prepare([*recordings_of(material["speech"]), *recordings_of(material["noise"])])
    return Mixer(
        material["speech"],
        material["noise"],
        material["rooms"],
        _without_babble(data.mixing, material["speech"]) if split == "development" else data.mixing,
        None if whole else data.segment_seconds,
        seed,
        store,
    )


def development_pairs(
    data: DataConfig,
    seed: int = 0,
    base: Path | str = ".",
    microphones: int = 1,
    *,
    rate: int = SAMPLE_RATE,
    must_exist: bool = True,
) -> list[Mixture]:
    """Return the `development_items` mixtures that a run is scored on, which are fixed for a recipe.

    From a folder of fixed mixtures, evenly spaced ones; from sources, mixtures of whole utterances, each used once if
    there are enough.
    """
    if isinstance(data.development, str):
        _refuse_rate(rate, "data.development: a set of fixed mixtures")
        pairs = read_pairs(Path(base) / data.development)
        count = min(data.development_items, len(pairs))
        return [load_pair(pairs[i * len(pairs) // count], microphones) for i in range(count)]
    if microphones != 1:
        raise RecipeError("data.development: sources mixed here have one microphone; name a set of several")
    mixer = build_mixer(
        data, "development", seed, base, whole=True, rate=rate, prepare=False, must_exist=must_exist
    )
    return [mixer(0, index) for index in range(data.development_items)]


def _refuse_rate(rate: int, what: str) -> None:
    if rate != SAMPLE_RATE:
        raise RecipeError(f"{what} has {SAMPLE_RATE} Hz and the network {rate} Hz; name sources to mix")


def _without_babble(mixing: MixingConfig, speech: Sequence[WeightedPool]) -> MixingConfig:
    """Return the config without babble if there are too few speakers for it."""
    enough = len({speaker_of(recording) for recording in recordings_of(speech)}) > BABBLERS[0]
    return mixing if enough else mixing.model_copy(update={"babble": 0.0})


def _refuse_known(pairs: list[Pair], data: DataConfig, base: Path) -> None:
    """Raise ManifestError if training and development share a clean file or a speaker."""
    if not isinstance(data.development, str):
        raise ManifestError(
            "data.development: with data.train.pairs it is a folder or a manifest of pairs too"
        )
    development = read_pairs(base / data.development)
    for what in ("clean", "speaker"):
        common = {getattr(pair, what) for pair in pairs} & {getattr(pair, what) for pair in development} - {
            ""
        }
        if common:
            raise ManifestError(
                f"data.development: has {len(common)} of data.train's {'files' if what == 'clean' else 'speakers'}, "
                f"such as {min(common)}; use another development set"
            )


def gather(data: DataConfig, split: Split, base: Path = Path(), *, must_exist: bool = True) -> Material:
    """Return the recordings of one side of a recipe, by kind and source."""
    train = data.train
    assert isinstance(train, Sources)
    load_from = partial(_load, must_exist=must_exist)
    if isinstance(data.development, str):
        return {
            kind: [WeightedPool(load_from(base / one.path, kind), one.weight) for one in train.of(kind)]
            for kind in KINDS
        }
    sides = {
        kind: _two_sides(train.of(kind), data.development.of(kind), kind, base, load_from) for kind in KINDS
    }
    return {kind: both[0 if split == "train" else 1] for kind, both in sides.items()}


def _two_sides(
    train: Sequence[WeightedSource],
    development: Sequence[WeightedSource],
    kind: Kind,
    base: Path,
    load_from: Callable[[Path, Kind], list[Recording]],
) -> tuple[list[WeightedPool], list[WeightedPool]]:
    """Return training and development pools of one kind; a source of both sides is split."""
    common = {(base / one.path).resolve() for one in train}
    common &= {(base / one.path).resolve() for one in development}
    halves = {path: _halves(load_from(path, kind), kind) for path in sorted(common)}

    def parts(sources: Sequence[WeightedSource], side: int) -> tuple[list[WeightedPool], list[WeightedPool]]:
        """Return all pools, and those that are not split here."""
        found, whole = [], []
        for one in sources:
            path = base / one.path
            half = halves.get(path.resolve())
            part = WeightedPool(half[side] if half else load_from(path, kind), one.weight)
            found.append(part)
            whole += [] if half else [part]
        return found, whole

    (kept, kept_whole), (held, held_whole) = parts(train, 0), parts(development, 1)
    _refuse_common(kind, recordings_of(kept), recordings_of(held_whole))
    _refuse_common(kind, recordings_of(kept_whole), recordings_of(held))
    return kept, held


def _halves(recordings: list[Recording], kind: Kind) -> tuple[list[Recording], list[Recording]]:
    if kind == "rooms" and len({splitting.source_of(room) for room in recordings}) < 2:
        return recordings, recordings
    return splitting.split(recordings, HELD_OUT, _SPLIT_SEED, "recording" if kind != "speech" else "auto")


def _load(path: Path, kind: Kind, *, must_exist: bool) -> list[Recording]:
    describe = folders.describe if kind == "speech" else folders.describe_noise
    return load(path, describe, kind=kind, must_exist=must_exist)


def _refuse_common(kind: Kind, train: list[Recording], development: list[Recording]) -> None:
    """Raise ManifestError for a shared speaker, noise recording or file; rooms may be shared."""
    if kind == "rooms":
        return
    name = _speaker if kind == "speech" else _source
    known = {identity(r.path) for r in development}
    common = {str(r.path) for r in train if identity(r.path) in known}
    common = common or {name(r) for r in train} & {name(r) for r in development} - {""}
    if common:
        raise ManifestError(
            f"data.development: its {kind} has {len(common)} in common with data.train, "
            f"such as {min(common)}; hold them out with `stillwave data split`"
        )


def _speaker(recording: Recording) -> str:
    return f"speaker {recording.speaker}" if recording.speaker else ""


def _source(recording: Recording) -> str:
    """Return the source; empty if it is only the file name, as two folders may each have a `001.wav`."""
    source = splitting.source_of(recording)
    return "" if source == recording.path.stem else f"source {source}"
