"""What a recipe may add to a mixture: each by what it does, and nothing where its share is 0."""

import numpy as np
import pytest

from stillwave.audio import write
from stillwave.data import effects
from stillwave.data.manifest import Recording
from stillwave.data.mixing import Mixer
from stillwave.data.mixture import silence
from stillwave.errors import RecipeError
from stillwave.recipe import loads
from stillwave.schema import MixingConfig, Range

RATE = 16_000
PLAIN = MixingConfig(babble=0, reverberation=0, clipping=0, band_limit=0)


@pytest.fixture
def mixer(world, store):
    def make(seconds=1.0, **changes):
        config = PLAIN.model_copy(update=changes)
        return Mixer(world["speech"], world["noise"], world["rooms"], config, seconds, 0, store)

    return make


def tone(hertz, seconds=1.0):
    return (0.3 * np.sin(2 * np.pi * hertz * np.arange(round(seconds * RATE)) / RATE)).astype(np.float32)


def pitch(samples):
    return np.argmax(np.abs(np.fft.rfft(samples * np.hanning(len(samples)), RATE * 4))) / 4


@pytest.mark.parametrize("factor", [0.85, 1.0, 1.15])
def test_speed_changes_duration_and_pitch_by_the_factor(factor):
    played = effects.change_speed(tone(500), factor)
    assert len(played) == pytest.approx(RATE / factor, abs=1)
    assert pitch(played[1000:-1000]) == pytest.approx(500 * factor, rel=2e-3)


def test_the_target_is_the_speech_that_is_in_the_noisy_signal_at_any_speed(mixer):
    for seconds in (1.0, None):
        make = mixer(seconds, speed=1.0, speed_range=Range(low=0.8, high=1.2), snr_db=Range(low=60, high=60))
        for index in range(4):
            mixture = make(0, index)
            assert any(name.startswith("speed") for name in mixture.facts.effects)
            assert np.abs(mixture.noisy - mixture.clean).max() < 0.02 * np.abs(mixture.clean).max()
    assert len(make(0, 0).clean) != len(mixer(None)(0, 0).clean)


def test_equalised_speech_stays_aligned_and_at_its_snr(mixer):
    make = mixer(equaliser=1.0)
    for index in range(5):
        mixture = make(0, index)
        measured = effects.snr_db(mixture.clean, mixture.noisy - mixture.clean)
        assert measured == pytest.approx(mixture.facts.snr_db, abs=0.05)
        assert {"equaliser", "equalised noise"} <= set(mixture.facts.effects)


def test_synthetic_noise_replaces_a_recording(mixer):
    found = [mixer(synthetic_noise=1.0, noises=1)(0, index).facts.noises for index in range(12)]
    assert all(len(noises) == 1 and "/" not in noises[0] for noises in found)
    assert len(set(found)) > 2
    two = mixer(synthetic_noise=1.0, noises=4)
    assert any("/" in name for index in range(12) for name in two(0, index).facts.noises)


def test_a_change_of_level_is_the_same_in_noisy_and_target(mixer):
    plain, changed = mixer(), mixer(level_change=1.0, level_change_db=20.0)
    change = []
    for index in range(6):
        one, other = plain(0, index), changed(0, index)
        loud = np.abs(one.clean) > 0.1 * np.abs(one.clean).max()
        gains = other.clean[loud] / one.clean[loud]
        change.append(np.ptp(20 * np.log10(gains)))
        np.testing.assert_allclose(other.noisy[loud], one.noisy[loud] * gains, rtol=2e-3, atol=1e-5)
    assert max(change) > 6


def test_a_level_curve_goes_from_one_level_to_the_other():
    curve = 20 * np.log10(effects.level_curve(1000, -3.0, 9.0, 400, 100))
    assert curve[:349] == pytest.approx(-3.0, abs=1e-4)
    assert curve[451:] == pytest.approx(9.0, abs=1e-4)
    assert np.all(np.diff(curve) >= -1e-5)


def test_joined_segments_are_the_start_of_one_mixture_and_the_end_of_another(mixer):
    mixture = mixer(joined=1.0)(0, 3)
    first = mixer()(0, 3)
    quarter = RATE // 4 - 200
    np.testing.assert_allclose(mixture.noisy[:quarter], first.noisy[:quarter], atol=1e-6)
    np.testing.assert_allclose(mixture.clean[:quarter], first.clean[:quarter], atol=1e-6)
    assert np.abs(mixture.noisy[-quarter:] - first.noisy[-quarter:]).max() > 1e-3
    assert len(mixture.facts.speech) > len(first.facts.speech)
    assert mixture.facts.effects[-1] == "joined"


def test_clean_examples_have_hardly_any_noise(mixer):
    make = mixer(clean=1.0)
    for index in range(5):
        mixture = make(0, index)
        assert 40 <= effects.snr_db(mixture.clean, mixture.noisy - mixture.clean) <= 60.5


def test_noise_alone_has_silence_for_a_target_and_a_level(mixer):
    make = mixer(noise_only=1.0)
    for index in range(3):
        mixture = make(0, index)
        assert not mixture.clean.any()
        assert effects.decibels(effects.level(mixture.noisy)) == pytest.approx(
            mixture.facts.level_dbfs, abs=0.1
        )
        assert mixture.facts.speech == ()
    assert mixer(None, noise_only=1.0, silence=1.0)(0, 0).clean.any(), "a set to be scored on has speech"


def test_silence_is_zeros(mixer):
    mixture = mixer(silence=1.0)(0, 5)
    assert not mixture.noisy.any()
    assert not mixture.clean.any()
    assert mixture.facts == silence(RATE).facts


def test_probabilities_are_met(mixer):
    make = mixer(0.2, silence=0.25)
    silent = sum(not make(0, index).noisy.any() for index in range(400))
    assert 70 <= silent <= 130


def test_all_effects_together_are_finite_and_deterministic(mixer):
    everything = dict.fromkeys(("equaliser", "speed", "level_change", "synthetic_noise"), 0.7)
    shares = {**everything, "joined": 0.3, "clean": 0.1, "noise_only": 0.1, "silence": 0.1, "codec": 0.3}
    make = mixer(0.5, babble=0.3, reverberation=0.5, clipping=0.3, band_limit=0.3, noises=4, **shares)
    for index in range(60):
        mixture = make(0, index)
        for samples in (mixture.noisy, mixture.clean):
            assert samples.shape == (8000,)
            assert samples.dtype == np.float32
            assert np.isfinite(samples).all()
            assert np.abs(samples).max(initial=0) <= effects.PEAK + 1e-5
    np.testing.assert_array_equal(make(0, 59).noisy, mixture.noisy)


@pytest.mark.parametrize("factor", [0.6, 1.6])
def test_noise_is_played_at_another_speed(tmp_path, world, store, factor):
    write(tmp_path / "noise.wav", tone(1_000, seconds=8.0)[None], RATE)
    noise = [Recording(path=tmp_path / "noise.wav", sample_rate=RATE, channels=1, seconds=8.0)]
    changes = {"noise_speed": 1.0, "noise_speed_range": Range(low=factor, high=factor)}
    config = PLAIN.model_copy(update={**changes, "noises": 1, "snr_db": Range(low=-60, high=-60)})
    mixture = Mixer(world["speech"], noise, (), config, 2.0, 0, store)(0, 0)
    assert f"noise speed {factor:.2f}" in mixture.facts.effects
    assert pitch(mixture.noisy) == pytest.approx(1_000 * factor, abs=0.5)


@pytest.mark.parametrize("name", ["speed_range", "noise_speed_range"])
def test_an_extreme_speed_is_refused(name):
    text = (
        f"data: {{train: {{speech: a, noise: n}}, development: d, mixing: {{{name}: {{low: 0, high: 1}}}}}}"
    )
    with pytest.raises(RecipeError, match=rf"data\.mixing: {name} .*0\.5 and 2"):
        loads(text)
