"""Streams with values that are not finite, and blocks, states and networks that are refused."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from block_streams import Through, fed, noise

from stillwave.errors import AudioError, StateError, StillwaveError
from stillwave.inference import Enhancer, OnnxBackend
from stillwave.models import build
from stillwave.schema import PRESETS, ModelConfig


def test_states_of_other_streams_are_refused(enhancer, network):
    state = enhancer.open().state()
    torch.manual_seed(9)
    stranger = Enhancer(build(network.config))  # the same shapes, other weights
    with pytest.raises(StateError, match="another model"):
        stranger.open().restore(state)
    with pytest.raises(StateError, match="another model"):
        Enhancer(build(PRESETS["bsrnn-xs"])).open().restore(state)
    with pytest.raises(StateError, match=r"16000 Hz.* 48000 Hz"):
        enhancer.open(48_000).restore(state)
    with pytest.raises(StateError, match=r"1 streams.* 2$"):
        enhancer.open(streams=2).restore(state)
    name = next(name for name in state if name.startswith("network."))
    with pytest.raises(StateError, match=f"damaged: '{name}'"):
        enhancer.open().restore({**state, name: state[name][..., :-1]})
    with pytest.raises(StateError, match="another bandwidth"):
        enhancer.open().restore({k: v for k, v in state.items() if k != name})


@pytest.mark.parametrize("rate", [16_000, 44_100])
def test_nan_and_infinity_are_replaced_by_silence(enhancer, rate):
    signal = noise(1, 6_000)[0]
    spoilt, mended = signal.copy(), signal.copy()
    spoilt[[0, 1_000, 1_001, 3_000]] = np.nan, np.inf, -np.inf, np.nan
    mended[[0, 1_000, 1_001, 3_000]] = 0
    stream = enhancer.open(rate, limit_db=20)
    found = fed(stream, spoilt, [500, 501, 0, 2_000])
    assert stream.repaired == 4
    assert np.isfinite(found).all()
    assert np.abs(found - enhancer.enhance(mended, rate, limit_db=20)).max() < 1e-5
    assert np.isnan(spoilt[0])  # the caller's block is the caller's


def test_a_value_that_only_float64_holds_is_infinite():
    stream = Enhancer(Through()).open()
    assert not stream.process(np.full(3, 1e300)).any()
    assert stream.repaired == 3


def test_a_non_finite_estimate_resets_the_state():
    """Its state is poisoned by then: with it the stream would be silent for ever."""

    def rule(spectrum, state):
        ill = np.abs(spectrum).max(axis=(1, 2, 3), keepdims=True) > 1e3
        return np.where(ill, np.float32(np.nan), spectrum) + 0 * state["count"][:, :, None, None]

    signals = noise(2, 8_000)
    signals[0, 3_000] = 1e6
    stream = Enhancer(Through(rule)).open(streams=2)
    found = fed(stream, signals, [256] * 20)
    assert stream.restarts == 2  # two frames hold the sample
    assert np.isfinite(found).all()
    assert np.abs(found[1] - signals[1]).max() < 1e-6  # a stream beside it notices nothing
    touched = np.flatnonzero(np.abs(found[0] - signals[0]) > 1e-6)
    assert touched.min() >= 3_000 - 512
    assert touched.max() < 3_000 + 512


def test_digital_silence_gives_silence_for_any_network():
    biased = Enhancer(Through(lambda spectrum, state: spectrum + 1))
    signal = np.zeros(6_000, np.float32)
    signal[2_000:2_500] = 0.1
    out = biased.enhance(signal, 16_000)
    assert out[2_000:2_500].any()
    assert not out[: 2_000 - 512].any()
    assert not out[2_500 + 512 :].any()
    assert not biased.enhance(np.zeros((2, 3_000)), 48_000).any()


def test_the_rate_of_a_stream_is_fixed(enhancer):
    stream = enhancer.open(48_000)
    stream.process(np.zeros(10), rate=48_000)
    with pytest.raises(StateError, match=r"stream is 48000 Hz.* 44100 Hz"):
        stream.process(np.zeros(10), rate=44_100)


@pytest.mark.parametrize(
    ("block", "words"),
    [
        ([0.0], "^block: .*got list"),
        (np.zeros((2, 10)), r"\[samples\], got \[2, 10\]"),
        (np.zeros((1, 1, 10)), r"got \[1, 1, 10\]"),
        (np.zeros(()), r"got \[\]"),
        (np.array(["a"]), "samples, got <U1"),
        (np.zeros(3, np.complex64), "samples, got complex64"),
    ],
)
def test_an_invalid_block_is_refused_without_side_effects(enhancer, block, words):
    stream = enhancer.open()
    before = stream.state()
    with pytest.raises(AudioError, match=words):
        stream.process(block)
    assert all(np.array_equal(before[name], value) for name, value in stream.state().items())


@pytest.mark.parametrize("streams", [0, -1, 1.5, True])
def test_a_number_of_streams_is_a_number(enhancer, streams):
    with pytest.raises(AudioError, match=f"^streams: .*got {streams}$"):
        enhancer.open(streams=streams)


def test_an_offline_network_cannot_stream():
    whole = Enhancer(build(ModelConfig(channels=8)))
    with pytest.raises(StateError, match="causal"):
        whole.open()


def test_an_error_of_onnx_runtime_is_reported(file):
    backend = OnnxBackend(file)
    with pytest.raises(StillwaveError, match="INVALID_ARGUMENT"):
        backend.step(np.zeros((1, 2, 1, 3), np.float32), backend.begin(1))
