import pickle
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stillwave.audio import write
from stillwave.data import effects
from stillwave.data.effects import CODECS
from stillwave.data.manifest import ManifestError, Recording
from stillwave.data.mixing import Mixer
from stillwave.data.sampling import SILENT_DB, TRIES
from stillwave.errors import AudioError
from stillwave.schema import MixingConfig, Range

RATE = 16_000
PLAIN = MixingConfig(babble=0, reverberation=0, clipping=0, band_limit=0)


@pytest.fixture
def mixer(world, store):
    def make(config=None, seconds=1.0, seed=0, **parts):
        parts = {"speech": world["speech"], "noise": world["noise"], "rooms": world["rooms"], **parts}
        return Mixer(parts["speech"], parts["noise"], parts["rooms"], config, seconds, seed, store)

    return make


def with_(**changes):
    return PLAIN.model_copy(update=changes)


def test_a_mixture_is_a_pure_function_of_seed_epoch_and_index(mixer):
    one, other = mixer(), mixer()
    forwards = [one(2, i) for i in range(12)]
    backwards = [other(2, i) for i in reversed(range(12))][::-1]
    for a, b in zip(forwards, backwards, strict=True):
        np.testing.assert_array_equal(a.noisy, b.noisy)
        np.testing.assert_array_equal(a.clean, b.clean)
        assert a.facts == b.facts
    for different in (one(3, 0), one(2, 12), mixer(seed=1)(2, 0)):
        assert not np.array_equal(different.noisy, forwards[0].noisy)
    copied = pickle.loads(pickle.dumps(one))
    np.testing.assert_array_equal(copied(2, 5).noisy, forwards[5].noisy)


@pytest.mark.parametrize("reverberation", [0.0, 1.0])
def test_the_measured_snr_is_the_recorded_snr(mixer, reverberation):
    make = mixer(with_(reverberation=reverberation, early_ms=10_000.0))  # the whole response is early
    for index in range(10):
        mixture = make(0, index)
        measured = effects.snr_db(mixture.clean, mixture.noisy - mixture.clean)
        assert measured == pytest.approx(mixture.facts.snr_db, abs=0.05)
        assert -5 <= mixture.facts.snr_db <= 20


def test_levels_are_in_their_range_and_as_stated(mixer):
    make = mixer(with_(level_dbfs=Range(low=-40, high=-30)))
    levels = [make(0, index).facts.level_dbfs for index in range(20)]
    assert min(levels) >= -40.01
    assert max(levels) <= -29.99
    noisy = make(0, 0).noisy
    assert 10 * np.log10(np.mean(noisy.astype(float) ** 2)) == pytest.approx(levels[0], abs=0.01)


@given(seed=st.integers(0, 2**32 - 1), epoch=st.integers(0, 5), index=st.integers(0, 10_000))
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_mixtures_are_finite_complete_and_not_clipped(mixer, seed, epoch, index):
    busy = MixingConfig(
        babble=0.5, reverberation=0.5, clipping=0.5, band_limit=0.5, noises=4,
        snr_db=Range(low=-30, high=40), level_dbfs=Range(low=-60, high=0),
    )  # fmt: skip
    mixture = mixer(busy, seconds=0.7, seed=seed)(epoch, index)
    for samples in (mixture.noisy, mixture.clean):
        assert samples.shape == (11_200,)
        assert samples.dtype == np.float32
        assert np.isfinite(samples).all()
        assert np.abs(samples).max() <= effects.PEAK + 1e-6
    assert np.abs(mixture.clean).max() > 0


def test_noisy_and_target_are_aligned_in_a_room(mixer):
    make = mixer(with_(reverberation=1.0, snr_db=Range(low=60, high=60)))
    for index in range(6):
        mixture = make(0, index)
        spectrum = np.fft.rfft(mixture.noisy, 2 * RATE) * np.fft.rfft(mixture.clean, 2 * RATE).conj()
        assert np.argmax(np.fft.irfft(spectrum)) == 0
        assert mixture.facts.room
        assert "reverberation" in mixture.facts.effects


def test_the_target_in_a_room_is_drier_than_the_noisy_signal(mixer):
    mixture = mixer(with_(reverberation=1.0, snr_db=Range(low=80, high=80), early_ms=5.0))(0, 3)
    late = mixture.noisy - mixture.clean
    assert -30 < effects.decibels(effects.level(late)) - effects.decibels(effects.level(mixture.clean)) < 10


def test_without_effects_the_target_is_the_recording(mixer, world, store):
    make = mixer(PLAIN, seconds=None)
    for index in range(4):
        mixture = make(0, index)
        (source,) = [r for r in world["speech"] if str(r.path) == mixture.facts.speech[0]]
        dry = store.open(source).read()
        gain = np.dot(mixture.clean, dry) / np.dot(dry, dry)
        np.testing.assert_allclose(mixture.clean, gain * dry, atol=1e-6)
        assert mixture.facts.text == source.text
        assert mixture.facts.speaker == source.speaker


def test_every_utterance_is_used_before_any_is_repeated(mixer, world):
    make = mixer(PLAIN)
    orders = []
    for turn in range(2):
        used = [make(0, turn * len(make) + i).facts.speech[0] for i in range(len(make))]
        assert sorted(used) == sorted(str(r.path) for r in world["speech"])
        orders.append(used)
    assert orders[0] != orders[1]


def test_short_utterances_are_followed_by_the_same_speakers(mixer, world):
    make = mixer(PLAIN, seconds=6.0)
    speaker_of = {str(r.path): r.speaker for r in world["speech"]}
    for index in range(8):
        facts = make(0, index).facts
        assert len(facts.speech) > 1
        assert {speaker_of[path] for path in facts.speech} == {facts.speaker}


def test_an_utterance_without_speaker_is_followed_by_itself(mixer, world):
    nameless = [r.model_copy(update={"speaker": ""}) for r in world["speech"]]
    facts = mixer(PLAIN, seconds=6.0, speech=nameless)(0, 0).facts
    assert len(facts.speech) > 1
    assert len(set(facts.speech)) == 1


def test_babble_is_four_other_speakers_or_more(mixer, world):
    make = mixer(with_(babble=1.0, noises=1, reverberation=0.5))
    speaker_of = {str(r.path): r.speaker for r in world["speech"]}
    for index in range(12):
        facts = make(0, index).facts
        voices = {speaker_of[path] for path in facts.noises}
        assert len(voices) >= 4
        assert facts.speaker not in voices
        assert "babble" in facts.effects


def test_several_noises_are_drawn_up_to_the_number_given(mixer):
    counts = {len(mixer(with_(noises=3))(0, i).facts.noises) for i in range(30)}
    assert counts == {1, 2, 3}


def test_clipping_is_applied_to_the_noisy_signal_only(mixer):
    clipped = mixer(with_(clipping=1.0))(0, 1)
    same = mixer(PLAIN)(0, 1)
    np.testing.assert_array_equal(clipped.clean, same.clean)
    top = np.abs(clipped.noisy).max()
    assert top < np.abs(same.noisy).max()
    assert np.count_nonzero(np.abs(clipped.noisy) >= top * 0.9999) >= 2
    assert clipped.facts.effects[0].startswith("clipping")


def test_a_band_limit_is_applied_to_both(mixer):
    mixture = mixer(with_(band_limit=1.0))(0, 1)
    edge = int(mixture.facts.effects[0].split()[2])
    for samples in (mixture.noisy, mixture.clean):
        spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples)))) ** 2  # bins of 1 Hz
        assert spectrum[edge + 20 :].sum() < 1e-6 * spectrum.sum()


@pytest.mark.parametrize("noise_only", [0.0, 1.0])
def test_noise_above_the_bandwidth_of_the_speech_is_removed_if_there_is_speech(mixer, world, noise_only):
    narrow = [r.model_copy(update={"bandwidth_hz": 4000.0}) for r in world["speech"]]
    mixture = mixer(with_(noise_only=noise_only), speech=narrow)(0, 1)
    noise = mixture.noisy - mixture.clean
    power = np.abs(np.fft.rfft(noise)) ** 2
    share = power[4_000:].sum() / power.sum()  # of one second
    assert share == pytest.approx(0.5 * noise_only, abs=0.02)
    if not noise_only:
        assert effects.snr_db(mixture.clean, noise) == pytest.approx(mixture.facts.snr_db, abs=0.05)


def test_the_bandwidth_of_the_speech_moves_with_its_speed(mixer, world):
    narrow = [r.model_copy(update={"bandwidth_hz": 3000.0}) for r in world["speech"]]
    config = with_(speed=1.0, speed_range=Range(low=1.5, high=1.5))
    mixture = mixer(config, speech=narrow)(0, 1)
    power = np.abs(np.fft.rfft(mixture.noisy - mixture.clean)) ** 2
    assert power[4_510:].sum() < 1e-4 * power.sum()
    assert power[3_000:4_000].sum() > 0.1 * power.sum()


def silent_then_loud(tmp_path, name, loud_at, **fields):
    samples = np.zeros(20 * RATE, np.float32)
    samples[loud_at : loud_at + 1600] = 0.3 * np.sin(np.arange(1600) / 3)
    write(tmp_path / name, samples, RATE)
    return Recording(path=tmp_path / name, sample_rate=RATE, channels=1, seconds=20.0, **fields)


def test_a_codec_is_applied_to_the_noisy_signal_only(mixer):
    coded, plain = mixer(with_(codec=1.0)), mixer()
    for index in range(4):
        one, other = coded(0, index), mixer(with_(codec=0.0))(0, index)
        assert one.facts.effects[-1] in {codec.name for codec in CODECS}
        np.testing.assert_allclose(one.clean, other.clean, atol=0.02)  # but for what "peak" may turn down
        assert not np.array_equal(one.noisy, other.noisy)
        assert effects.level(one.noisy - other.noisy) < 0.5 * effects.level(other.noisy)
    assert not any("µ-law" in plain(0, index).facts.effects for index in range(4))


def test_silent_crops_are_drawn_again_and_at_last_the_loudest_is_taken(mixer, tmp_path, world):
    speech = [silent_then_loud(tmp_path, "s.wav", 150_000, speaker="a")]
    noise = [silent_then_loud(tmp_path, "n.wav", 250_000)]
    for index in range(5):
        mixture = mixer(PLAIN, speech=speech, noise=noise)(0, index)
        assert effects.decibels(effects.active_level(mixture.clean)) > SILENT_DB
        assert np.abs(mixture.noisy - mixture.clean).max() > 1e-4


@pytest.mark.parametrize("part", ["speech", "noise"])
@pytest.mark.parametrize("seconds", [1.0, None])
def test_a_silent_recording_is_named(mixer, tmp_path, part, seconds):
    write(tmp_path / "zero.wav", np.zeros(3 * RATE, np.float32), RATE)
    silent = Recording(path=tmp_path / "zero.wav", sample_rate=RATE, channels=1, seconds=3.0)
    with pytest.raises(AudioError, match=r"zero\.wav: .*silent"):
        mixer(PLAIN, seconds, **{part: [silent]})(0, 0)
    assert TRIES < 20


def test_a_silent_room_is_named(mixer, tmp_path):
    write(tmp_path / "room.wav", np.zeros(3000, np.float32), RATE)
    room = Recording(path=tmp_path / "room.wav", sample_rate=RATE, channels=1, seconds=0.2)
    with pytest.raises(AudioError, match=r"room\.wav.*silent"):
        mixer(with_(reverberation=1.0), rooms=[room])(0, 0)


def test_a_noise_of_one_sample_is_valid(mixer, tmp_path):
    write(tmp_path / "click.wav", np.array([0.5], np.float32), RATE)
    click = Recording(path=tmp_path / "click.wav", sample_rate=RATE, channels=1, seconds=1 / RATE)
    assert np.isfinite(mixer(PLAIN, noise=[click])(0, 0).noisy).all()


def test_long_rooms_are_rarer(world, store, tmp_path):
    from stillwave.data.sampling import Rooms

    long = world["rooms"][0].model_copy(update={"seconds": 2.0})  # the other lasts 0.5 s: 16 times as likely
    rooms = Rooms([long, world["rooms"][1]], store)
    drawn = [rooms.draw(np.random.default_rng(i)).recordings[0] for i in range(400)]
    assert 5 < drawn.count(long) < 50


@pytest.mark.parametrize(("part", "message"), [("speech", "^speech: "), ("noise", "^noise: ")])
def test_empty_lists_are_refused(mixer, part, message):
    with pytest.raises(ManifestError, match=message):
        mixer(PLAIN, **{part: []})


def test_babble_without_speakers_is_refused_with_the_remedy(mixer, world):
    one = [r.model_copy(update={"speaker": "only"}) for r in world["speech"]]
    with pytest.raises(ManifestError, match=r"1: .*data\.mixing\.babble to 0"):
        mixer(with_(babble=0.1), speech=one)
    assert mixer(PLAIN, speech=one)(0, 0).facts.speaker == "only"


def test_a_segment_that_is_too_short_is_refused(mixer):
    with pytest.raises(ManifestError, match=r"segment_seconds: .*16 samples"):
        mixer(PLAIN, seconds=0.001)


def test_nan_in_a_recording_is_found_while_mixing(mixer, tmp_path):
    import soundfile

    samples = np.full(3 * RATE, 0.1, np.float32)
    samples[7] = np.nan
    soundfile.write(tmp_path / "nan.wav", samples, RATE, subtype="FLOAT")
    bad = Recording(path=Path(tmp_path / "nan.wav"), sample_rate=RATE, channels=1, seconds=3.0)
    with pytest.raises(AudioError, match=r"nan\.wav.*NaN"):
        mixer(PLAIN, seconds=None, speech=[bad])(0, 0)


def test_recordings_without_a_speaker_are_speakers_of_their_own(mixer, world):
    unnamed = [recording.model_copy(update={"speaker": ""}) for recording in world["speech"]]
    mixture = mixer(with_(babble=1.0, noises=1), speech=unnamed)(0, 0)
    assert "babble" in mixture.facts.effects
    used = set(mixture.facts.speech)
    assert used.isdisjoint(mixture.facts.noises)
