"""Clean sound stays as it is, causally, and what is noisy is enhanced as without it."""

from __future__ import annotations

import numpy as np
import pytest
import typer
from denoisers import Toy, half
from typer.testing import CliRunner
from voices import noisy, voice

import stillwave
from stillwave.audio import read, write
from stillwave.cli import guard
from stillwave.cli.enhance import enhance
from stillwave.errors import StateError, StillwaveError
from stillwave.inference import Enhancer
from stillwave.inference.keep_clean import KeepClean, share_of_input
from stillwave.inference.stream_batch import StreamBatch

RATE = 16_000


class Lowpass:
    """A causal network that removes what lies above 4 kHz: there is the noise of these tests."""

    sample_rate, n_fft, hop, microphones, fingerprint = RATE, 512, 256, 1, "lowpass"

    def __init__(self, gain: float = 1.0):
        self.gains = (gain * (np.arange(257) < 128)).astype(np.float32)

    def begin(self, streams):
        return {"unused": np.zeros((streams, 1), np.float32)}

    def step(self, spectrum, state):
        return spectrum * self.gains, state


KEEPING = Enhancer(KeepClean(Lowpass()))


def tone(hertz: float, level_db: float, seconds: float, rate: int = RATE) -> np.ndarray:
    """A tone with this RMS level in dBFS."""
    place = np.arange(round(seconds * rate)) / rate
    return (np.sqrt(2) * 10 ** (level_db / 20) * np.sin(2 * np.pi * hertz * place)).astype(np.float32)


def mixture(speech_db: float, snr_db: float, seconds: float = 4, rate: int = RATE) -> np.ndarray:
    return tone(1_000, speech_db, seconds, rate) + tone(6_000, speech_db - snr_db, seconds, rate)


@pytest.mark.parametrize("speech_db", [-60, -40, -20])
@pytest.mark.parametrize(("snr_db", "share"), [(40, 1), (31, 1), (25, 0.5), (19, 0), (0, 0)])
def test_the_input_remains_from_30_db_of_snr_and_is_enhanced_up_to_20_db(speech_db, snr_db, share):
    out = KEEPING.enhance(mixture(speech_db, snr_db, seconds=20), RATE)
    found = (out - tone(1_000, speech_db, 20))[-RATE:-512]
    assert np.abs(found - share * tone(6_000, speech_db - snr_db, 20)[-RATE:-512]).max() < 0.02 * 10 ** (
        (speech_db - snr_db) / 20
    )


@pytest.mark.parametrize("rate", [16_000, 44_100, 48_000])
def test_clean_in_clean_out(rate):
    clean = mixture(-26, 50, 3, rate)
    assert np.abs(KEEPING.enhance(clean, rate) - clean).max() < 1e-6


def test_a_noise_is_removed_soon_after_it_begins_and_the_input_returns_after_seconds():
    clean, hiss = tone(1_000, -26, 16), tone(6_000, -30, 16)
    seconds = np.arange(len(hiss)) / RATE
    hiss = hiss * ((seconds >= 4) & (seconds < 6)) + 10 ** (-40 / 20) * hiss
    out = KEEPING.enhance(clean + hiss, RATE)
    kept = np.square(out - clean).reshape(160, -1).mean(1) / np.square(hiss).reshape(160, -1).mean(1)
    assert kept[20:39] == pytest.approx(np.ones(19), abs=1e-3)
    assert kept[41:59].max() < 1e-3
    returned = 0.1 * (np.flatnonzero(kept[60:] > 0.99)[0])
    assert 3 < returned < 8


def test_a_network_that_makes_speech_softer_keeps_it_as_it_was():
    speech = tone(1_000, -26, 4)
    for gain, kept in ((10 ** (-0.9 / 20), True), (0.5, False)):
        out = Enhancer(KeepClean(Lowpass(gain))).enhance(speech, RATE)
        assert np.abs(out - (1 if kept else gain) * speech)[RATE:-512].max() < 1e-4


@pytest.mark.parametrize("rate", [16_000, 48_000])
@pytest.mark.parametrize("block", [1, 160, 4096])
def test_a_stream_returns_what_a_file_returns(rate, block):
    mixed = mixture(-26, 24, 0.5 if block == 1 else 2, rate)
    stream = KEEPING.open(rate)
    parts = [stream.process(mixed[i : i + block]) for i in range(0, len(mixed), block)]
    streamed = np.concatenate([*parts, stream.flush()])[stream.delay_samples :]
    np.testing.assert_allclose(streamed, KEEPING.enhance(mixed, rate), atol=1e-6)


def test_a_stream_continues_from_its_state():
    mixed = mixture(-26, 24, 2)
    stream, other = KEEPING.open(), KEEPING.open()
    stream.process(mixed[:20_000])
    other.restore(stream.state())
    np.testing.assert_array_equal(stream.process(mixed[20_000:]), other.process(mixed[20_000:]))
    with pytest.raises(StateError):
        Enhancer(Lowpass()).open().restore(stream.state())


def test_streams_of_one_batch_do_not_disturb_each_other():
    both = np.stack([mixture(-26, 24), mixture(-40, 5), np.zeros(4 * RATE, np.float32)])
    out = KEEPING.enhance(both, RATE)
    for row, signal in zip(out, both, strict=True):
        np.testing.assert_array_equal(row, KEEPING.enhance(signal, RATE))
    assert not out[2].any()
    batch = StreamBatch(KEEPING.backend)
    stream = batch.open(RATE, 2)
    stream.push(both[:2])
    stream.finish()
    parts = []
    while stream.frames > 0:
        parts += batch.step([stream])
    np.testing.assert_allclose(np.concatenate(parts, axis=1), out[:2], atol=1e-6)


def test_future_input_changes_nothing_before_it():
    mixed = mixture(-26, 24, 2)
    other = mixed.copy()
    other[RATE:] = 0
    one, two = (KEEPING.enhance(x, RATE)[: RATE - 512] for x in (mixed, other))
    np.testing.assert_array_equal(one, two)


def test_silence_counts_as_noise():
    assert share_of_input(0, 0) == share_of_input(0, 1) == 0
    assert share_of_input(1, 0) == 1
    assert not KEEPING.enhance(np.zeros(RATE, np.float32), RATE).any()


def test_a_shipped_model_keeps_a_clean_voice_and_removes_a_noise_that_joins_it():
    clean = voice(3)
    kept, usual = (stillwave.load(keep_clean=keep).enhance(clean, RATE) for keep in (True, False))
    assert np.sum((kept - clean) ** 2) < 0.5 * np.sum((usual - clean) ** 2)
    mixed = noisy(clean, 10)
    kept, usual = (stillwave.load(keep_clean=keep).enhance(mixed, RATE) for keep in (True, False))
    assert np.abs(kept - usual)[RATE:].max() < 1e-3


def test_it_needs_a_causal_network(tmp_path, monkeypatch):
    from stillwave.inference import enhancer

    monkeypatch.setattr(enhancer, "open_model", lambda *_: Toy(half))
    with pytest.raises(StillwaveError, match=r"^keep_clean: needs a causal network"):
        stillwave.load("toy", keep_clean=True)


def test_the_command_line_and_the_api_agree_on_a_shipped_model(tmp_path):
    app = typer.Typer()
    app.command()(guard(enhance))
    mixed = noisy(voice(1), 10)
    write(tmp_path / "in.wav", mixed[None], RATE, subtype="FLOAT")
    arguments = [str(tmp_path / "in.wav"), "-o", str(tmp_path / "out.wav"), "-m", "bsrnn-xs"]
    result = CliRunner().invoke(app, [*arguments, "--keep-clean", "-q"])
    assert result.exit_code == 0, result.output
    expected = stillwave.load("bsrnn-xs", keep_clean=True).enhance(mixed, RATE)
    np.testing.assert_allclose(read(tmp_path / "out.wav")[0][0], expected, atol=1e-6)
