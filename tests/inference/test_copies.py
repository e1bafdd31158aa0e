"""Enhancers and streams that are pickled, copied, sent to processes, or used by several threads."""

from __future__ import annotations

import copy
import multiprocessing
import pickle
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from spawned import work

import stillwave
from stillwave.inference import Enhancer
from stillwave.inference.onnx_model import read
from stillwave.models import build
from stillwave.schema import ModelConfig


def noise(*shape: int, seed: int = 0) -> np.ndarray:
    return 0.1 * np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def through_pickle(thing):
    return pickle.loads(pickle.dumps(thing))


WAYS = pytest.mark.parametrize("again", [through_pickle, copy.deepcopy, copy.copy])


@pytest.fixture(params=["onnx", "torch", "whole"])
def enhancer(request, file, network) -> Enhancer:
    if request.param == "whole":
        torch.manual_seed(0)
        return Enhancer(build(ModelConfig(channels=8, blocks=1)))
    return Enhancer(read(file) if request.param == "onnx" else network)


@WAYS
def test_a_pickled_enhancer_is_equal(enhancer, again):
    other = again(enhancer)
    assert np.array_equal(other.enhance(noise(2, 3_000), 48_000), enhancer.enhance(noise(2, 3_000), 48_000))
    assert repr(other) == repr(enhancer)


@WAYS
@pytest.mark.parametrize("kind", ["onnx", "torch"])
def test_a_copied_stream_continues_independently(file, network, again, kind):
    stream = Enhancer(read(file) if kind == "onnx" else network).open(44_100, limit_db=20)
    stream.process(np.array([np.nan, *noise(1_999)], np.float32))
    other = again(stream)
    assert (other.repaired, other.delay_samples, repr(other)) == (1, stream.delay_samples, repr(stream))
    out = other.process(noise(3_000, seed=1))
    assert np.array_equal(stream.process(noise(3_000, seed=1)), out)
    assert np.array_equal(stream.flush(), other.flush())


def test_a_pickled_enhancer_does_not_need_its_file(file, tmp_path):
    there = tmp_path / "there.onnx"
    there.write_bytes(Path(file).read_bytes())
    enhancer = stillwave.load(there)
    kept = pickle.dumps(enhancer)
    there.unlink()
    expected = enhancer.enhance(noise(2_000), 16_000)
    assert np.array_equal(pickle.loads(kept).enhance(noise(2_000), 16_000), expected)


def test_a_spawned_process_gives_the_same():
    enhancer = stillwave.load("bsrnn-xs")
    stream, samples = enhancer.open(), noise(3_000)
    stream.process(samples)
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        whole, block = pool.apply(work, ((enhancer, stream, samples),))
    assert np.array_equal(whole, enhancer.enhance(samples, 16_000))
    assert np.array_equal(block, stream.process(samples))


def test_threads_may_share_an_enhancer(enhancer):
    signals = [noise(6_000, seed=seed) for seed in range(8)]
    expected = [enhancer.enhance(signal, 16_000) for signal in signals]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda signal: enhancer.enhance(signal, 16_000), signals))
    assert all(np.array_equal(a, b) for a, b in zip(found, expected, strict=True))


def test_enhancers_of_one_module_may_run_in_threads(network):
    enhancers = [Enhancer(network) for _ in range(4)]
    expected = enhancers[0].enhance(noise(6_000), 16_000)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda one: one.enhance(noise(6_000), 16_000), enhancers))
    assert all(np.array_equal(one, expected) for one in found)


def test_calls_on_one_stream_are_serialised(file):
    """Whose block comes first is theirs to settle; no sample is lost or given twice."""
    stream = Enhancer(read(file)).open()
    ones = np.ones(333, np.float32)
    with ThreadPoolExecutor(4) as pool:
        found = np.concatenate(list(pool.map(stream.process, [ones] * 40)))
    alone = Enhancer(read(file)).open()
    expected = np.concatenate([alone.process(ones) for _ in range(40)])
    blocks = np.sort(found.reshape(40, 333).sum(1)), np.sort(expected.reshape(40, 333).sum(1))
    assert np.abs(blocks[0] - blocks[1]).max() < 1e-2


def test_repr_says_model_rate_and_delay(file, network):
    shipped = stillwave.load("bsrnn-xs")
    late = "streams with a delay of 511 samples (31.9 ms)"
    assert repr(shipped) == f"<Enhancer bsrnn-xs: 16000 Hz, 1 microphone, {late}>"
    assert (
        repr(shipped.open(48_000)) == "<Stream of bsrnn-xs: 48000 Hz, 1 stream, delay 1725 samples (35.9 ms)>"
    )
    assert (
        repr(shipped.open(streams=3))
        == "<Stream of bsrnn-xs: 16000 Hz, 3 streams, delay 511 samples (31.9 ms)>"
    )
    assert repr(Enhancer(read(file))).startswith("<Enhancer small: 16000 Hz")
    assert repr(Enhancer(network)).startswith("<Enhancer BSRNN: 16000 Hz")
    whole = "<Enhancer DPDCRN: 16000 Hz, 1 microphone, windows of 10 s, no streaming>"
    assert repr(Enhancer(build(ModelConfig(channels=8)))) == whole
