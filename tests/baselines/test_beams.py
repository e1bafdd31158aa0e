"""What fixed and adaptive beams must do, by construction of the scene."""

import json

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from stillwave.audio import read, write
from stillwave.baselines import run as running
from stillwave.baselines.mvdr import covariance, mvdr, souden
from stillwave.baselines.run import cardioid, first_channel
from stillwave.cli import guard
from stillwave.cli.beamform import beamform
from stillwave.data.pair_manifest import Pair
from stillwave.data.pair_sets import read_pairs
from stillwave.data.scenes.ambisonics import direction, encode

RATE = 16_000


def plane(azimuth, wave):
    return np.outer(encode(direction(azimuth)), wave)


def noise(seed, frames):
    return np.random.default_rng(seed).standard_normal(frames)


def voice(frames, seed=1):
    """Bursts with pauses as long, of coloured noise."""
    bursts = np.repeat(np.arange(-(-frames // 2000)) % 2, 2000)[:frames]
    return 2 * bursts * np.convolve(noise(seed, frames), [1, 1, 1, 1], "same")


def si_sdr(estimate, clean):
    part = np.dot(estimate, clean) / np.dot(clean, clean) * clean
    return 10 * np.log10(np.sum(part**2) / np.sum((estimate - part) ** 2))


def test_a_cardioid_keeps_the_front_and_cancels_the_back():
    speech, other = noise(1, 1000), noise(2, 1000)
    received = plane(0.7, speech) + plane(0.7 + np.pi, other)
    np.testing.assert_allclose(cardioid(received, 3 * direction(0.7)), speech, atol=1e-9)
    side = cardioid(plane(0.7 + np.pi / 2, other), direction(0.7))
    np.testing.assert_allclose(side, other / 2, atol=1e-9)
    assert first_channel(received) is not None
    np.testing.assert_array_equal(first_channel(received), received[0])


def test_a_cardioid_leaves_a_third_of_diffuse_noise():
    rng = np.random.default_rng(0)
    towards = rng.standard_normal((4000, 3))
    towards /= np.linalg.norm(towards, axis=1, keepdims=True)
    powers = [cardioid(gains[:, None], (0, 0, 1))[0] ** 2 for gains in encode(towards)]
    assert np.mean(powers) == pytest.approx(1 / 3, abs=0.02)


def test_the_beam_of_true_covariances_keeps_speech_and_cancels_noise():
    """w^H a = a_0 for the steering vector a of a rank-one speech, and the noise's direction is dropped."""
    rng = np.random.default_rng(3)
    speech, interferer = rng.standard_normal((2, 4)) + 1j * rng.standard_normal((2, 4))
    noise = np.outer(interferer, interferer.conj()) + 1e-2 * np.eye(4)
    weights = souden(np.outer(speech, speech.conj())[None], noise[None])[0]
    assert abs(weights.conj() @ speech - speech[0]) < 1e-6
    assert abs(weights.conj() @ interferer) < 0.02 * abs(interferer[0])


def test_covariance_by_hand():
    observed = np.array([[[1, 1j], [2, 0]]], complex)  # one bin, two frames, two channels
    np.testing.assert_allclose(covariance(observed, np.array([[1.0, 0.0]])), [[[1, -1j], [1j, 1]]], atol=1e-8)
    np.testing.assert_allclose(
        covariance(observed, np.array([[0.5, 0.5]])), [[[2.5, -0.5j], [0.5j, 0.5]]], atol=1e-8
    )


@pytest.mark.parametrize(("iterations", "gain"), [(0, 3), (10, 8)])
def test_mvdr_finds_a_talker_in_noise_from_elsewhere(iterations, gain):
    frames = 32000
    speech, other = voice(frames), noise(2, frames)
    received = (
        plane(0.3, speech) + plane(2.0, other) + 0.01 * np.random.default_rng(5).standard_normal((4, frames))
    )
    estimate = mvdr(received, iterations)
    assert estimate.shape == (frames,)
    assert si_sdr(estimate, speech) > si_sdr(received[0], speech) + gain
    lags = np.correlate(estimate[4000:12000], speech[4000:12000], "same")
    assert np.argmax(np.abs(lags)) == 4000  # aligned with channel 0


def test_silence_stays_silence():
    out = mvdr(np.zeros((4, 5000), np.float32))
    assert out.dtype == np.float32
    np.testing.assert_array_equal(out, 0)


@pytest.fixture
def place(tmp_path):
    rng = np.random.default_rng(0)
    for i in range(2):
        speech = 0.03 * voice(9000, i)
        received = plane(0.3, speech) + 0.02 * rng.standard_normal((4, 9000))
        for side in "AB":
            write(tmp_path / f"data/c{i}_{side}.wav", received.astype(np.float32), RATE)
        write(tmp_path / f"labels/c{i}.wav", speech.astype(np.float32), RATE)
    return tmp_path


def verb(*arguments, code=0):
    app = typer.Typer()
    app.command()(guard(beamform))
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == code, result.output + str(result.exception)
    return result.stdout if code == 0 else result.output


def test_the_command_writes_what_evaluate_reads(place):
    assert "written 2  failed 0" in verb(place, "-o", place / "out", "--by", "w")
    samples, rate = read(place / "out/c1.wav")
    np.testing.assert_array_equal(samples[0], read(place / "data/c1_A.wav")[0][0])
    assert rate == RATE
    report = json.loads(verb(place, "-o", place / "mvdr", "--json"))
    assert report["written"] == 2
    assert (place / "mvdr/c0.wav").is_file()


def test_a_cardioid_without_a_direction_is_refused_and_with_one_is_not(place):
    assert "direction of the talker is not known" in verb(
        place, "-o", place / "o", "--by", "cardioid", code=2
    )
    (place / "scenes").mkdir()
    (place / "scenes/c0.json").write_text(json.dumps({"direction": list(direction(0.3))}))
    out = verb(place, "-o", place / "o", "--by", "cardioid", code=1)
    assert "written 1  failed 1" in out
    assert "c1: " in out
    received, speech = read(place / "data/c0_A.wav")[0][0], read(place / "labels/c0.wav")[0][0]
    assert si_sdr(read(place / "o/c0.wav")[0][0], speech) > si_sdr(received, speech) + 1.5


def test_invalid_input_is_reported(place):
    pairs = read_pairs(place)
    with pytest.raises(running.BaselineError, match=r"'mvd'.*'mvdr'"):
        running.run("mvd", pairs, place / "o")
    mono = Pair(id="x", noisy=pairs[0].clean, clean=pairs[0].clean)
    with pytest.raises(running.BaselineError, match="1 channels"):
        running.run("w", [mono], place / "o")
    pairs[0].noisy.write_bytes(b"RIFF")
    done = running.run("w", pairs, place / "o")
    assert (done.written, [name for name, _ in done.failed]) == (1, ["c0"])
