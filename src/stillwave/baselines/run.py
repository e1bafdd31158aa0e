"""Fixed beams, and the run of a baseline over pairs, which writes `ID.wav` for `stillwave evaluate --enhanced`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from stillwave.audio import Samples, write
from stillwave.baselines.mvdr import mvdr
from stillwave.console import track
from stillwave.data.corpora.l3das23 import scene_facts
from stillwave.data.multichannel import load_noisy
from stillwave.data.pair_manifest import Pair
from stillwave.data.scenes.ambisonics import encode
from stillwave.errors import AudioError, StillwaveError, nearest
from stillwave.schema import SAMPLE_RATE


def first_channel(noisy: Samples) -> Samples:
    """Return W of microphone A."""
    return np.asarray(noisy[0])


def cardioid(noisy: Samples, direction: Sequence[float]) -> Samples:
    """Return microphone A as a cardioid towards `direction` (x, y, z), with gain (1 + cos γ) / 2 at angle γ.

    Sound from `direction` has the gain of W. A third of the power of diffuse noise remains.

    Examples:
        >>> ahead = np.array([[1.0], [0.0], [0.0], [1.0]])
        >>> cardioid(ahead, (1, 0, 0)), cardioid(ahead, (-1, 0, 0)), cardioid(ahead, (0, 1, 0))
        (array([1.]), array([0.]), array([0.5]))

    """
    towards = np.asarray(direction, np.float64)
    weights = encode(towards / np.linalg.norm(towards)) / 2
    return np.asarray(weights @ noisy[:4], noisy.dtype)


class BaselineError(StillwaveError):
    """Input that a baseline cannot be run on."""


@dataclass(frozen=True)
class Done:
    """The output folder, the number of files written, and the failed recordings with their reasons."""

    folder: Path
    written: int
    failed: list[tuple[str, str]]


def _steered_cardioid(noisy: Samples, pair: Pair) -> Samples:
    facts = scene_facts(pair.clean)
    if "direction" not in facts:
        raise BaselineError(
            f"{pair.noisy}: the direction of the talker is not known (no scenes/{pair.id}.json with a direction); "
            "a steered cardioid requires simulated scenes"
        )
    return cardioid(noisy, facts["direction"])


BASELINES: dict[str, Callable[[Samples, Pair], Samples]] = {
    "w": lambda noisy, _: first_channel(noisy),
    "cardioid": _steered_cardioid,
    "mvdr": lambda noisy, _: mvdr(noisy),
}
"""Name → function from the channels of a pair `[M, N]` to a signal `[N]`."""


def run(name: str, pairs: Sequence[Pair], out: Path, *, jobs: int = 1) -> Done:
    """Write `out/ID.wav` (float, 16 kHz) for every pair, from all of its channels.

    Recordings that fail are listed with their reasons. Raises BaselineError for an unknown name, for pairs without
    ambisonic channels, or if every recording fails.
    """
    from joblib import Parallel, delayed

    if name not in BASELINES:
        raise BaselineError(f"unknown baseline '{name}'; {nearest(name, BASELINES)}")
    few = next((pair for pair in pairs if pair.channels % 4), None)
    if few is not None:
        raise BaselineError(
            f"{few.noisy}: has {few.channels} channels; baselines require 4 or 8 ambisonic channels"
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
    """Write one estimate; return the reason of a failure, or nothing."""
    try:
        noisy: Any = load_noisy(pair, pair.channels)
        write(out / f"{pair.id}.wav", BASELINES[name](noisy, pair), SAMPLE_RATE, subtype="FLOAT")
    except (AudioError, BaselineError) as error:
        return str(error)
    return ""
