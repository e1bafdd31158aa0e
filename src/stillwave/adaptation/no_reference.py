"""Compare two networks on recordings without clean references: predicted ratings, and noise left in pauses."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec

import numpy as np

from stillwave.adaptation.recordings import Material
from stillwave.audio import Samples
from stillwave.console import track
from stillwave.data import effects
from stillwave.schema import SAMPLE_RATE
from stillwave.stats.bootstrap import Interval, bootstrap

EXCERPT = 10 * SAMPLE_RATE
"""Samples of an excerpt of a held-out recording: just above a window of DNSMOS, which repeats shorter ones."""
PAUSE_DB = 30.0
"""A frame is a pause if the teacher's speech is this far below its active level, in it and in its neighbours."""
_NEIGHBOURS = 6
"""Frames of 16 ms before and after a pause that must be below the threshold too."""
_LEAST_PAUSE_S = 0.3
_FLOOR_DB = -100.0
RATINGS = {"ovrl_mos": "overall quality", "sig_mos": "speech quality", "bak_mos": "freedom from noise"}
"""Ratings of DNSMOS P.835, 1 to 5."""
PAUSES = "pauses_db"
"""Level of the output over that of the recording in pauses, in dB; lower is less noise."""

Enhance = Callable[[Samples], Samples]


@dataclass(frozen=True)
class Change:
    """Means of a measure over the held-out recordings before and after, and the mean difference with its interval."""

    before: float
    after: float
    difference: Interval


def compare(material: Material, speech: Samples, before: Enhance, after: Enhance) -> dict[str, Change]:
    """Measure both networks on the held-out recordings; without the package `speechmos` only the noise in pauses.

    Args:
        material: The recordings.
        speech: The teacher's estimates of them, which tell where pauses are.
        before: The network that was adapted: recording `[n]` at 16 kHz to estimate `[n]`.
        after: The adapted network.

    Returns:
        Changes by the names in `RATINGS` and `PAUSES`. Intervals are over recordings, or over excerpts if fewer than
        three recordings are held out. A measure without a value in any excerpt is left out.

    """
    found: dict[str, dict[str, list[tuple[float, float]]]] = defaultdict(lambda: defaultdict(list))
    for name, start, end in track(_excerpts(material), "comparing"):
        recording, voice = np.array(material.samples[start:end]), np.array(speech[start:end])
        one, other = (_measured(recording, voice, enhance(recording)) for enhance in (before, after))
        for measure in one.keys() & other.keys():
            found[measure][name].append((one[measure], other[measure]))
    return {measure: _change(values) for measure, values in sorted(found.items())}


def _excerpts(material: Material) -> list[tuple[str, int, int]]:
    """Return name, start and end of excerpts, one after the other; a recording shorter than `EXCERPT` is one."""
    excerpts = []
    for one in material.stretches:
        if one.held_out:
            length = min(EXCERPT, one.frames)
            starts = range(one.start, one.start + one.frames - length + 1, length)
            excerpts += [(one.name, start, start + length) for start in starts]
    return excerpts


def _measured(recording: Samples, voice: Samples, output: Samples) -> dict[str, float]:
    found = {}
    if find_spec("speechmos") is not None:
        from stillwave.evaluation.dnsmos import dnsmos

        found.update(dnsmos(output))
    left = noise_in_pauses(recording, voice, output)
    return found if left is None else {**found, PAUSES: left}


def noise_in_pauses(recording: Samples, voice: Samples, output: Samples) -> float | None:
    """Return the level of the output over that of the recording in pauses of the speech, in dB.

    Args:
        recording: `[n]` at 16 kHz.
        voice: An estimate of its speech, `[n]`.
        output: Of the network to measure, `[n]`.

    Returns:
        At least −100 dB; None if there are less than 0.3 s of pauses, or the recording is silent in them.

    """
    frames = len(recording) // effects.FRAME
    levels = np.array([effects.decibels(effects.level(frame)) for frame in _frames(voice, frames)])
    quiet = levels < effects.decibels(effects.active_level(voice)) - PAUSE_DB
    window = np.ones(2 * _NEIGHBOURS + 1)
    pause = np.convolve(~quiet, window)[_NEIGHBOURS:-_NEIGHBOURS] == 0
    if pause.sum() * effects.FRAME < _LEAST_PAUSE_S * SAMPLE_RATE:
        return None
    noise, left = (effects.level(_frames(x, frames)[pause].ravel()) for x in (recording, output))
    return None if noise == 0 else max(_FLOOR_DB, effects.decibels(left / noise))


def _frames(samples: Samples, count: int) -> Samples:
    return samples[: count * effects.FRAME].reshape(count, effects.FRAME)


def _change(values: dict[str, list[tuple[float, float]]]) -> Change:
    groups = (
        list(values.values()) if len(values) > 2 else [[pair] for pairs in values.values() for pair in pairs]
    )
    means = np.array([np.mean(group, axis=0) for group in groups])
    before, after = means.mean(axis=0)
    return Change(float(before), float(after), bootstrap((means[:, 1] - means[:, 0]).tolist()))


def verdict(changes: dict[str, Change]) -> str:
    """Return in one sentence whether the adapted network is better, as far as these measures tell.

    The overall rating decides if its interval excludes 0; else the noise in pauses, if speech is not rated lower.
    """
    overall, noise = changes.get("ovrl_mos"), changes.get(PAUSES)
    if overall and overall.difference.low > 0:
        return f"It helped: predicted overall quality rose by {_shown(overall.difference, 2)}."
    if overall and overall.difference.high < 0:
        return (
            "It made the recordings worse: predicted overall quality fell by "
            f"{_shown(_negated(overall.difference), 2)}; use the model that you started from."
        )
    speech = changes.get("sig_mos")
    harmed = speech is not None and speech.difference.high < 0
    if noise and noise.difference.high < 0 and not harmed:
        return (
            f"It removes more noise: {_shown(_negated(noise.difference), 1, ' dB in pauses')}; "
            "no change of the overall quality is shown."
        )
    if noise and noise.difference.low > 0:
        return (
            f"It leaves more noise: {_shown(noise.difference, 1, ' dB in pauses')}; "
            "use the model that you started from."
        )
    return "No difference is shown: use the model that you started from, or give more recordings."


def _negated(interval: Interval) -> Interval:
    return Interval(-interval.mean, -interval.high, -interval.low, interval.count)


def _shown(interval: Interval, digits: int, unit: str = "") -> str:
    return f"{interval.mean:.{digits}f}{unit} (95 % interval {interval.low:.{digits}f} to {interval.high:.{digits}f})"
