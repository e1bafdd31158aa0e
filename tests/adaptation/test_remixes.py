"""Remixes conserve the estimates, mix different pieces, and leave out what the teacher did badly."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from place import material

from stillwave.adaptation.recordings import PIECE
from stillwave.adaptation.remixes import Remixes, judge

GOOD = (0.1, 0.05)


def remixes(count=4, **options):
    found, speech = material(*[GOOD] * count)
    return found, speech, Remixes(found, speech, judge(found, speech), **options)


def test_a_remix_is_the_sum_of_both_estimates():
    found, speech, source = remixes(gain_db=0.0)
    for index in range(8):
        remix = source(0, index)
        noise = (found.samples - speech)[remix.noise : remix.noise + PIECE]
        np.testing.assert_array_equal(remix.clean, speech[remix.speech : remix.speech + PIECE])
        np.testing.assert_allclose(remix.noisy, remix.clean + noise, atol=1e-7)


def test_only_the_noise_gets_the_gain():
    found, speech, source = remixes(gain_db=6.0)
    remix = source(0, 0)
    noise = (found.samples - speech)[remix.noise : remix.noise + PIECE]
    gain = float(np.dot(remix.noisy - remix.clean, noise) / np.dot(noise, noise))
    assert 10 ** (-6 / 20) <= gain <= 10 ** (6 / 20)
    np.testing.assert_allclose(remix.noisy - remix.clean, gain * noise, atol=1e-6)


def test_without_remixing_examples_are_the_recordings():
    found, speech, source = remixes(remixed=0.0)
    example = source(0, 3)
    assert example.speech == example.noise
    np.testing.assert_array_equal(example.noisy, found.samples[example.speech : example.speech + PIECE])
    np.testing.assert_array_equal(example.clean, speech[example.speech : example.speech + PIECE])


def test_speech_and_noise_are_of_different_pieces():
    *_, source = remixes(5)
    assert all(one != other for one, other in (source.pair(0, index) for index in range(100)))


def test_one_piece_of_noise_is_used_with_itself():
    *_, source = remixes(1)
    assert source.pair(0, 0) == (0, 0)


def test_all_pieces_are_used_before_any_is_repeated():
    *_, source = remixes(5)
    for turn in range(3):
        used = [source.pair(0, 5 * turn + index)[0] for index in range(5)]
        assert sorted(used) == [0, 1, 2, 3, 4]


def test_an_example_is_a_function_of_its_number_and_the_seed():
    _, _, source = remixes(5, seed=3)
    np.testing.assert_array_equal(source(0, 7).noisy, source(0, 7).noisy)
    _, _, other = remixes(5, seed=4)
    assert not np.array_equal(source(0, 7).noisy, other(0, 7).noisy)


def test_pieces_are_judged_by_the_levels_of_their_estimates():
    found, speech = material(GOOD, (0.0, 0.05), (0.1, 0.0), (0.02, 0.1))
    pieces = judge(found, speech)
    assert pieces.usable.tolist() == [0, 1, 2, 3]
    assert pieces.speech.tolist() == [0, 2]
    assert pieces.noise.tolist() == [0, 1, 3]
    assert pieces.left_out == {"no clear speech": 2, "no noise": 1}


def test_failures_of_the_teacher_are_counted():
    found, speech = material(GOOD, GOOD, GOOD, (0.0, 0.0))
    speech = speech.copy()
    speech[5] = np.nan
    speech[PIECE : 2 * PIECE] = 2 * found.samples[PIECE : 2 * PIECE]
    pieces = judge(found, speech)
    assert pieces.usable.tolist() == pieces.speech.tolist() == pieces.noise.tolist() == [2]
    assert pieces.left_out == {
        "the teacher failed": 1,
        "the estimate is louder than the recording": 1,
        "the recording is silent": 1,
    }


def test_held_out_recordings_are_not_trained_on():
    found, speech = material(GOOD, GOOD, held_out=True)
    assert len(judge(found, speech).starts) == 0
    mixed = replace(found, stretches=(replace(found.stretches[0], held_out=False, frames=PIECE),))
    assert judge(mixed, speech).starts.tolist() == [0]


@pytest.mark.parametrize("index", range(6))
def test_examples_stay_within_their_recording(index):
    found, speech = material(*[GOOD] * 3)
    first, second = (replace(found.stretches[0], start=s, frames=PIECE) for s in (0, 2 * PIECE))
    source = Remixes(
        replace(found, stretches=(first, second)),
        speech,
        judge(replace(found, stretches=(first, second)), speech),
    )
    example = source(0, index)
    assert {example.speech, example.noise} == {0, 2 * PIECE}
