"""Measures without a reference: known levels in pauses, differences with intervals, and the sentence that follows."""

from __future__ import annotations

import math

import numpy as np
import pytest

from stillwave.adaptation import no_reference
from stillwave.adaptation.no_reference import PAUSES, Change, compare, noise_in_pauses, verdict
from stillwave.adaptation.recordings import Material, Stretch
from stillwave.stats.bootstrap import Interval

RATE = 16_000


def talk(seconds: float = 4.0, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return speech with pauses of a second, and noise."""
    rng = np.random.default_rng(seed)
    time = np.arange(round(seconds * RATE)) / RATE
    speech = 0.2 * rng.standard_normal(len(time)) * (time % 2 < 1)
    return speech.astype(np.float32), (0.05 * rng.standard_normal(len(time))).astype(np.float32)


@pytest.mark.parametrize("gain_db", [-20.0, 0.0])
def test_the_noise_that_is_left_in_pauses(gain_db):
    speech, noise = talk()
    output = speech + 10 ** (gain_db / 20) * noise
    assert noise_in_pauses(speech + noise, speech, output) == pytest.approx(gain_db, abs=0.01)


def test_silence_in_pauses_has_a_floor():
    speech, noise = talk()
    assert noise_in_pauses(speech + noise, speech, speech) == -100.0


def test_without_pauses_there_is_no_value():
    rng = np.random.default_rng(0)
    speech = rng.standard_normal(2 * RATE).astype(np.float32)
    assert noise_in_pauses(speech, speech, speech) is None


def test_recordings_are_compared_pairwise(monkeypatch):
    monkeypatch.setattr(no_reference, "find_spec", lambda _: None)
    parts = [talk(4.0, seed) for seed in range(4)]
    speech, noise = (np.concatenate(x) for x in zip(*parts, strict=True))
    frames = 4 * RATE
    stretches = tuple(Stretch(f"{i}.wav", i * frames, frames, held_out=i > 0) for i in range(4))
    material = Material(speech + noise, stretches, (), 0, "")
    changes = compare(material, speech, lambda x: x, lambda x: 0.5 * x)
    assert list(changes) == [PAUSES]
    change = changes[PAUSES]
    assert change.before == 0.0
    assert change.after == pytest.approx(20 * math.log10(0.5), abs=1e-4)
    assert change.difference.count == 3
    assert change.difference.low == pytest.approx(change.difference.high, abs=1e-4)


def test_excerpts_count_if_few_recordings_are_held_out(monkeypatch):
    monkeypatch.setattr(no_reference, "find_spec", lambda _: None)
    speech, noise = talk(24.0)
    material = Material(speech + noise, (Stretch("0.wav", 0, len(speech), held_out=True),), (), 0, "")
    changes = compare(material, speech, lambda x: x, lambda x: x)
    assert changes[PAUSES].difference == Interval(0.0, 0.0, 0.0, 2)


def change(low: float, high: float) -> Change:
    return Change(0.0, 0.0, Interval((low + high) / 2, low, high, 9))


@pytest.mark.parametrize(
    ("found", "start"),
    [
        (
            {"ovrl_mos": (0.1, 0.3)},
            "It helped: predicted overall quality rose by 0.20 (95 % interval 0.10 to 0.30)",
        ),
        ({"ovrl_mos": (-0.3, -0.1)}, "It made the recordings worse: predicted overall quality fell by 0.20"),
        ({"ovrl_mos": (-0.1, 0.1), PAUSES: (-3, -1)}, "It removes more noise: 2.0 dB in pauses"),
        ({"ovrl_mos": (-0.1, 0.1), "sig_mos": (-0.2, -0.1), PAUSES: (-3, -1)}, "No difference is shown"),
        ({PAUSES: (1, 3)}, "It leaves more noise: 2.0 dB in pauses"),
        ({PAUSES: (-1, 1)}, "No difference is shown"),
        ({PAUSES: (math.nan, math.nan)}, "No difference is shown"),
        ({}, "No difference is shown"),
    ],
)
def test_the_verdict_follows_from_the_intervals(found, start):
    assert verdict({name: change(*bounds) for name, bounds in found.items()}).startswith(start)
