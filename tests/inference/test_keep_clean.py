"""Clean sound stays as it is, causally, and what is noisy is enhanced as without it."""

from __future__ import annotations

import numpy as np
import pytest
import typer
from denoisers import Toy, half
from typer.testing import CliRunner

import stillwave
from stillwave.audio import read, write
from stillwave.cli import guard
from stillwave.cli.enhance import enhance
from stillwave.errors import StillwaveError
from stillwave.inference import Enhancer
from stillwave.inference.keep_clean import HIGHEST_DB, LOWEST_DB, KeepClean, share_of_input

RATE = 16_000


class Scaled:
    """A causal network that multiplies frames by `gain` before frame `change`, and by `later` from then on."""

    sample_rate, n_fft, hop, microphones, fingerprint = RATE, 512, 256, 1, "scaled"

    def __init__(self, gain: float, later: float | None = None, change: int = 0):
        self.gain, self.later, self.change = gain, gain if later is None else later, change

    def begin(self, streams):
        return {"frame": np.zeros((streams, 1), np.float32)}

    def step(self, spectrum, state):
        frames = state["frame"][:, :1].astype(int) + np.arange(spectrum.shape[2])
        gains = np.where(frames < self.change, self.gain, self.later).astype(np.float32)
        return spectrum * gains[:, None, :, None], {"frame": state["frame"] + spectrum.shape[2]}


def noise(samples: int = 3 * RATE, channels: int = 1) -> np.ndarray:
    return 0.1 * np.random.default_rng(0).standard_normal((channels, samples)).astype(np.float32)


def gain_for(ratio_db: float) -> float:
    """The gain whose estimate is `ratio_db` above what it removes."""
    ratio = 10 ** (ratio_db / 20)
    return ratio / (1 + ratio)


@pytest.mark.parametrize("rate", [8_000, 16_000, 44_100, 48_000])
def test_clean_in_clean_out(rate):
    clean = noise(2 * rate, 2)
    out = Enhancer(KeepClean(Scaled(gain_for(HIGHEST_DB + 0.5)))).enhance(clean, rate)
    plain = Enhancer(Scaled(1)).enhance(clean, rate)  # resampled, if it has another rate
    assert np.abs(out - plain).max() < 1e-6


def test_what_is_noisy_is_enhanced_as_without_it():
    network = Scaled(gain_for(LOWEST_DB - 0.5))
    noisy = noise()
    np.testing.assert_array_equal(
        Enhancer(KeepClean(network)).enhance(noisy, RATE), Enhancer(network).enhance(noisy, RATE)
    )


def test_between_the_two_the_input_is_mixed_in():
    middle = gain_for((LOWEST_DB + HIGHEST_DB) / 2)
    out = Enhancer(KeepClean(Scaled(middle))).enhance(noise(), RATE)
    np.testing.assert_allclose(out, (1 + middle) / 2 * noise(), atol=1e-4)


def test_the_change_takes_about_the_time_constant():
    clean, dirty = gain_for(40), gain_for(0)
    out = Enhancer(KeepClean(Scaled(clean, dirty, change=250))).enhance(noise(10 * RATE), RATE)[0]
    given = noise(10 * RATE)[0]
    assert np.abs(out - given)[: 249 * 256].max() < 1e-6
    assert np.abs(out - dirty * given)[260 * 256 : -512].max() < 1e-3  # noise is removed within 0.2 s
    given = noise(20 * RATE)[0]
    back = Enhancer(KeepClean(Scaled(dirty, clean, change=250))).enhance(given[None], RATE)[0]
    seconds = np.flatnonzero(np.abs(back - given) > 1e-6)[-1] / RATE - 4
    assert 6 < seconds < 12  # 22 dB: ln(10^2.2) = 5.1 time constants, less what is summed meanwhile


@pytest.mark.parametrize("block", [1, 160, 777, 4096])
def test_a_stream_returns_what_a_file_returns(block):
    network = KeepClean(Scaled(gain_for(12), gain_for(30), change=60))
    noisy = noise(2 * RATE)
    stream = Enhancer(network).open(RATE)
    out = [stream.process(noisy[0, i : i + block]) for i in range(0, noisy.shape[1], block)] + [
        stream.flush()
    ]
    streamed = np.concatenate(out)[stream.delay_samples :]
    np.testing.assert_allclose(streamed, Enhancer(network).enhance(noisy, RATE)[0], atol=1e-6)


def test_streams_of_one_batch_do_not_disturb_each_other():
    network = KeepClean(Scaled(gain_for(19)))
    both = np.stack([noise()[0], np.zeros(3 * RATE, np.float32)])
    out = Enhancer(network).enhance(both, RATE)
    np.testing.assert_array_equal(out[0], Enhancer(network).enhance(both[0], RATE))
    assert not out[1].any()


def test_future_input_changes_nothing_before_it():
    network = KeepClean(Scaled(gain_for(18), gain_for(21), change=20))
    other = noise()
    other[:, RATE:] = 0
    one, two = (Enhancer(network).enhance(x, RATE)[:, : RATE - 512] for x in (noise(), other))
    np.testing.assert_array_equal(one, two)


def test_silence_counts_as_noise_until_there_is_a_signal():
    assert share_of_input(np.float32([0]), np.float32([0])).item() == 0


def test_it_needs_a_causal_network(tmp_path, monkeypatch):
    from stillwave.inference import enhancer

    monkeypatch.setattr(enhancer, "open_model", lambda *_: Toy(half))
    with pytest.raises(StillwaveError, match=r"^keep_clean: needs a causal network"):
        stillwave.load("toy", keep_clean=True)


def test_the_command_line_and_the_api_agree_on_a_shipped_model(tmp_path):
    app = typer.Typer()
    app.command()(guard(enhance))
    write(tmp_path / "in.wav", noise(RATE), RATE, subtype="FLOAT")
    arguments = [str(tmp_path / "in.wav"), "-o", str(tmp_path / "out.wav"), "-m", "bsrnn-xs"]
    result = CliRunner().invoke(app, [*arguments, "--keep-clean", "-q"])
    assert result.exit_code == 0, result.output
    expected = stillwave.load("bsrnn-xs", keep_clean=True).enhance(noise(RATE), RATE)
    np.testing.assert_allclose(read(tmp_path / "out.wav")[0], expected, atol=1e-6)
    assert np.abs(expected).max() < 0.5 * np.abs(noise(RATE)).max()  # noise is removed
