"""A baseline over a folder: `NAME.wav` for every pair, for `stillwave evaluate --clean labels --enhanced …`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stillwave.audio import write
from stillwave.baselines.beams import Samples, cardioid, first_channel
from stillwave.baselines.mvdr import mvdr
from stillwave.console import track
from stillwave.data.corpora.l3das23 import scene_facts
from stillwave.data.multichannel import load_noisy
from stillwave.data.pair_manifest import Pair
from stillwave.errors import AudioError, StillwaveError, nearest
from stillwave.schema import SAMPLE_RATE


class BaselineError(StillwaveError):
    """A baseline that cannot be run on what it is given."""


@dataclass(frozen=True)
class Done:
    """What was written, and what was not and why."""

    folder: Path
    written: int
    failed: list[tuple[str, str]]


def _towards_the_talker(noisy: Samples, pair: Pair) -> Samples:
    facts = scene_facts(pair.clean)
    if "direction" not in facts:
        raise BaselineError(
            f"{pair.noisy}: nothing tells where the talker is (no scenes/{pair.id}.json with a direction); "
            "a steered cardioid is for simulated scenes"
        )
    return cardioid(noisy, facts["direction"])


BASELINES: dict[str, Callable[[Samples, Pair], Samples]] = {
    "w": lambda noisy, _: first_channel(noisy),
    "cardioid": _towards_the_talker,
    "mvdr": lambda noisy, _: mvdr(noisy),
}
"""Name → what a pair's channels `[M, N]` become, `[N]`."""


def run(name: str, pairs: Sequence[Pair], out: Path, *, jobs: int = 1) -> Done:
    """Write `out/ID.wav` (floats, 16 kHz) of every pair, all of whose channels are heard.

    A recording that cannot be used is listed with the reason. Raises BaselineError for an unknown name, pairs without
    ambisonic channels, or where none could be done.
    """
    from joblib import Parallel, delayed

    if name not in BASELINES:
        raise BaselineError(f"unknown baseline '{name}'; {nearest(name, BASELINES)}")
    few = next((pair for pair in pairs if pair.channels % 4), None)
    if few is not None:
        raise BaselineError(
            f"{few.noisy}: has {few.channels} channels; baselines take ambisonic ones, 4 or 8"
        )
    work = Parallel(n_jobs=jobs, return_as="generator")
    results = work(delayed(_one)(name, pair, out) for pair in pairs)
    failed = [
        (pair.id, fault) for pair, fault in zip(pairs, track(results, name, len(pairs)), strict=True) if fault
    ]
    if len(failed) == len(pairs):
        raise BaselineError(failed[0][1])
    return Done(out, len(pairs) - len(failed), failed)


def _one(name: str, pair: Pair, out: Path) -> str:
    """Empty, or why there is no estimate."""
    try:
        noisy: Any = load_noisy(pair, pair.channels)
        write(out / f"{pair.id}.wav", BASELINES[name](noisy, pair), SAMPLE_RATE, subtype="FLOAT")
    except (AudioError, BaselineError) as error:
        return str(error)
    return ""
