"""What a program may hand to a stream or an enhancer: shapes, types, layouts and values, each right or refused."""

from __future__ import annotations

import logging

import numpy as np
import pytest
import torch

from stillwave.errors import AudioError, StillwaveError
from stillwave.inference import Enhancer
from stillwave.inference.onnx_model import read
from stillwave.live.processor import LiveProcessor
from stillwave.models import build
from stillwave.schema import ModelConfig

LARGE = [1e10, 1e20, 1e36, -3e38, np.nan, np.inf]


def noise(*shape: int, seed: int = 0) -> np.ndarray:
    return 0.1 * np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


@pytest.fixture(scope="module", params=["onnx", "torch", "whole"])
def enhancer(request, file, network) -> Enhancer:
    if request.param == "whole":
        torch.manual_seed(0)
        return Enhancer(build(ModelConfig(channels=8, blocks=1)))
    return Enhancer(read(file) if request.param == "onnx" else network)


@pytest.fixture(scope="module")
def streaming(file) -> Enhancer:
    return Enhancer(read(file))


def test_a_block_of_samples_by_channels_is_refused_until_transposed(streaming):
    signal, stream = noise(480, 2), streaming.open(streams=2)
    with pytest.raises(AudioError, match=r"got \[480, 2\]; transpose it \(block\.T\)"):
        stream.process(signal)
    assert stream.process(signal.T).shape == (2, 480)


def test_the_error_suggests_transposing_only_where_that_fits(streaming):
    with pytest.raises(AudioError, match=r"shape \[samples\], got \[480, 1\]; transpose it \(block\.T\)"):
        streaming.open().process(np.zeros((480, 1)))
    with pytest.raises(AudioError, match=r"got \[480, 3\]$"):  # which would not fit either
        streaming.open(streams=2).process(np.zeros((480, 3)))


def test_a_processor_refuses_a_block_that_is_not_transposed(streaming):
    lane = LiveProcessor(streaming.open(), 480)
    with pytest.raises(AudioError, match=r"\[1, 480\], got \[480, 1\]; transpose it \(block\.T\)"):
        lane.exchange(np.zeros((480, 1), np.float32))
    assert lane.exchange(np.full((1, 480), 1e36, np.float32)).max() == 0
    assert lane.statistics.peak_in == 0


def test_recordings_that_are_transposed_are_refused(enhancer):
    with pytest.raises(AudioError, match="transpose"):
        enhancer.enhance(np.zeros((480, 1), np.float32), 16_000)


@pytest.mark.parametrize("value", LARGE[:4])
@pytest.mark.parametrize("rate", [16_000, 48_000])
def test_a_huge_sample_of_a_recording_is_replaced_by_silence(enhancer, value, rate, caplog):
    clean = noise(1, 4_000)
    clean[0, 1_500] = 0
    spoilt = clean.copy()
    spoilt[0, 1_500] = value
    with caplog.at_level(logging.WARNING):
        out = enhancer.enhance(spoilt, rate, limit_db=20)
    assert "replaced by silence: 1" in caplog.text
    assert np.array_equal(out, enhancer.enhance(clean, rate, limit_db=20))
    assert spoilt[0, 1_500] == np.float32(value)  # the caller's samples are the caller's


@pytest.mark.parametrize("value", LARGE)
@pytest.mark.parametrize("rate", [16_000, 44_100])
def test_a_huge_sample_of_a_stream_is_replaced_by_silence(streaming, network, value, rate):
    for one in (streaming, Enhancer(network)):
        signal = noise(4_000)
        signal[1_500] = 0
        expected = one.open(rate, limit_db=20).process(signal)
        signal[1_500] = value
        stream = one.open(rate, limit_db=20)
        found = np.concatenate([stream.process(block) for block in np.split(signal, [1_000, 1_600, 3_000])])
        assert np.abs(found - expected).max() < 1e-6
        assert (stream.repaired, stream.restarts) == (1, 0)


class Wild:
    """An engine whose estimates are finite and far beyond any audio."""

    sample_rate, microphones, n_fft, hop, fingerprint = 16_000, 1, 512, 256, "wild"

    def begin(self, streams):
        return {"frames": np.zeros((streams, 1), np.float32)}

    def step(self, spectrum, state):
        return np.where(np.abs(spectrum) > 3, np.float32(3e38), spectrum), state


@pytest.mark.parametrize("rate", [16_000, 48_000])
def test_a_huge_estimate_is_silence(rate):
    signal = noise(6_000)
    signal[2_000:2_100] = 10
    with np.errstate(all="raise", under="ignore"):
        out = Enhancer(Wild()).enhance(signal, rate)
        stream = Enhancer(Wild()).open(rate)
        streamed = np.concatenate([stream.process(signal), stream.flush()])
    for found in (out, streamed):
        assert np.isfinite(found).all()
        assert np.abs(found).max() < 20
        assert found[-500:].any()
    assert stream.restarts > 0


def layouts() -> dict[str, np.ndarray]:
    base = noise(2, 3_000)
    readonly = base.copy()
    readonly.flags.writeable = False
    return {
        "fortran": np.asfortranarray(base),
        "strided": np.repeat(base, 2, axis=1)[:, ::2],
        "negative": base[:, ::-1].copy()[:, ::-1],
        "readonly": readonly,
        "big-endian": base.astype(">f4"),
        "float64": base.astype(np.float64),
        "subclass": np.ma.masked_array(base),
    }


@pytest.mark.parametrize("name", list(layouts()))
@pytest.mark.filterwarnings("error")
def test_layouts_do_not_matter(enhancer, streaming, name):
    base, given = noise(2, 3_000), layouts()[name]
    out = enhancer.enhance(given, 16_000)
    assert type(out) is np.ndarray
    assert np.abs(out - enhancer.enhance(base, 16_000)).max() < 1e-6
    streamed = streaming.open(streams=2).process(given)
    assert type(streamed) is np.ndarray
    assert np.abs(streamed - streaming.open(streams=2).process(base)).max() < 1e-6
    assert np.array_equal(np.asarray(given, np.float32), base)


def test_half_precision_and_integers_are_scaled_correctly(enhancer, streaming):
    half, steps = noise(3_000).astype(np.float16), (noise(3_000) * 2**15).astype(np.int16)
    for given, floats in ((half, half.astype(np.float32)), (steps, steps / np.float32(2**15))):
        assert np.array_equal(enhancer.enhance(given, 16_000), enhancer.enhance(floats, 16_000))
        assert np.array_equal(streaming.open().process(given), streaming.open().process(floats))


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ([0.0] * 100, "got list; .*numpy.asarray"),
        (torch.zeros(100), "got Tensor; .*numpy.asarray"),
        (np.float32(1), "got float32; .*numpy.asarray"),
        (np.zeros(()), r"got \[\]"),
        (np.zeros(100, np.complex64), "got complex64"),
        (np.zeros(100, np.int64), "got int64"),
        (np.zeros(100, bool), "got bool"),
        (np.array([None] * 100), "got object"),
        (np.zeros((1, 1, 1, 100)), r"got \[1, 1, 1, 100\]"),
        (np.ma.masked_array(np.zeros(100), mask=[1] + [0] * 99), r"masked.*\.filled\(0\)"),
    ],
)
def test_arrays_that_are_not_audio_are_refused(enhancer, streaming, given, words):
    with pytest.raises(AudioError, match=words):
        enhancer.enhance(given, 16_000)
    with pytest.raises(AudioError, match=words):
        streaming.open().process(given)


@pytest.mark.parametrize("rate", ["16000", None, 16_000.5, 0, -1, float("nan"), True, [16_000]])
def test_invalid_rates_are_refused(enhancer, streaming, rate):
    with pytest.raises(AudioError, match=r"^sample rate: .*1000 to 768000, got "):
        enhancer.enhance(noise(100), rate)
    if rate is not None:
        with pytest.raises(AudioError, match="sample rate"):
            streaming.open(rate)
        with pytest.raises(AudioError, match="sample rate"):
            streaming.open().process(noise(100), rate)


@pytest.mark.parametrize("limit", ["12", [12], -1, float("nan")])
def test_invalid_limits_are_refused(enhancer, streaming, limit):
    for call in (
        lambda: enhancer.enhance(noise(100), 16_000, limit_db=limit),
        lambda: streaming.open(limit_db=limit),
    ):
        with pytest.raises(AudioError, match=r"^limit_db: .*got "):
            call()


@pytest.mark.parametrize("batch", [0, -1])
def test_a_batch_holds_at_least_one_window(network, batch):
    with pytest.raises(StillwaveError, match=f"^batch: .*got {batch}$"):
        Enhancer(network, batch=batch)


def test_a_block_equals_its_parts(streaming):
    signal = noise(300_000)
    stream = streaming.open(48_000)
    parts = [stream.process(block) for block in np.split(signal, range(0, len(signal), 9_999))]
    assert np.abs(streaming.open(48_000).process(signal) - np.concatenate(parts)).max() < 1e-5


def test_progress_counts_every_sample(enhancer):
    done: list[int] = []
    enhancer.enhance(noise(2, 400_000), 48_000, rate_out=16_000, progress=done.append)
    assert len(done) > 1
    assert sum(done) == round(400_000 / 3)


def test_weights_in_float64_work_and_halves_are_refused(network):
    signal = noise(3_000)
    torch.manual_seed(0)
    for model in (build(network.config), build(ModelConfig(channels=8, blocks=1))):
        expected = Enhancer(model).enhance(signal, 16_000)
        assert np.abs(Enhancer(model.double()).enhance(signal, 16_000) - expected).max() < 1e-4
        with pytest.raises(StillwaveError, match=r"float16; .*model\.float\(\)"):
            Enhancer(model.half())
