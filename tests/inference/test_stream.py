"""Streams equal the whole recording for any blocks, rates and states."""

from __future__ import annotations

import resource

import numpy as np
import pytest
import torch
from block_streams import Through, fed, noise
from hypothesis import given, settings
from hypothesis import strategies as st

from stillwave.errors import AudioError
from stillwave.inference import Enhancer, OnnxBackend
from stillwave.inference.pipeline import StreamingPipeline
from stillwave.inference.stream import delay
from stillwave.models import build
from stillwave.schema import PRESETS, ModelConfig

SIZES = st.lists(st.one_of(st.just(0), st.integers(0, 40), st.integers(0, 1_500)), max_size=12)


@settings(deadline=None, max_examples=40)
@given(sizes=SIZES, rate=st.sampled_from([16_000, 8_000, 44_100, 48_000]), limit=st.sampled_from([None, 12]))
def test_blocks_of_any_size_equal_the_whole(enhancer, sizes, rate, limit):
    signal = noise(1, sum(sizes) + 777)[0]
    found = fed(enhancer.open(rate, limit_db=limit), signal, sizes)
    assert np.abs(found - enhancer.enhance(signal, rate, limit_db=limit)).max() < 1e-5


def test_streams_files_and_training_agree(network, enhancer):
    """One network: whole in PyTorch, streamed in PyTorch, streamed from a file."""
    signal = noise(2, 9_001)
    with torch.inference_mode():
        expected = network(torch.from_numpy(signal)).numpy()
    assert np.abs(enhancer.enhance(signal, 16_000) - expected).max() < 1e-5
    assert np.abs(Enhancer(network).enhance(signal, 16_000) - expected).max() < 1e-5


@pytest.mark.parametrize("name", sorted(name for name, config in PRESETS.items() if config.causal))
def test_every_causal_preset_streams(name):
    torch.manual_seed(1)
    model = build(PRESETS[name]).eval()
    signal = noise(model.microphones, 3_333)
    with torch.inference_mode():
        expected = model(torch.from_numpy(signal)[None].squeeze(1)).numpy()[0]
    stream = Enhancer(model).open()
    blocks = np.split(signal.squeeze() if len(signal) == 1 else signal, [100, 100, 1_100, 1_113], axis=-1)
    given = [stream.process(block) for block in blocks]
    assert [part.shape[-1] for part in given] == [block.shape[-1] for block in blocks]
    found = np.concatenate([*given, stream.flush().reshape(-1)])[stream.delay_samples :]
    assert np.abs(found - expected).max() < 1e-5


@pytest.mark.parametrize("rate", [1_000, 8_000, 11_025, 16_000, 22_050, 44_100, 44_101, 48_000, 192_000])
def test_the_delay_is_the_smallest_that_suffices(rate):
    """The most samples by which the output of the pipeline is ever behind its input."""
    pipeline, stated = (
        StreamingPipeline(Through(), 1, rate, rate),
        Enhancer(Through()).open(rate).delay_samples,
    )
    samples_in, samples_out, needed = 0, 0, 0
    for _ in range(max(6_000, 8 * stated) // 7 if rate > 16_000 else 6_000):
        step = 7 if rate > 16_000 else 1
        samples_in += step
        samples_out += pipeline.push(np.zeros((1, 1, step), np.float32)).shape[1]
        needed = max(needed, samples_in - samples_out)
    assert stated - (8 if rate > 16_000 else 1) < needed <= stated


def test_the_delay_at_the_rate_of_the_network_is_a_window_less_a_sample():
    assert delay(16_000, 16_000, 256) == 511
    # 48 kHz: three times that, less what one sample at 16 kHz is, and 32 zero crossings there and back
    assert delay(16_000, 48_000, 256) == 3 * 511 + 2 * 96
    assert Enhancer(Through()).open(48_000).delay_seconds == pytest.approx(0.0359375)


def test_an_impulse_is_delayed_by_the_stated_delay():
    stream = Enhancer(Through()).open()
    signal = np.zeros(2_000, np.float32)
    signal[300] = 1
    out = stream.process(signal)
    assert np.argmax(np.abs(out)) == 300 + stream.delay_samples
    assert np.abs(out).max() == pytest.approx(1, abs=1e-6)


@settings(deadline=None, max_examples=20)
@given(sizes=SIZES, where=st.integers(0, 12), rate=st.sampled_from([16_000, 44_100]))
def test_a_restored_state_continues_exactly(enhancer, sizes, where, rate):
    signal = noise(1, sum(sizes) + 500)[0]
    blocks = np.split(signal, np.cumsum(sizes))
    first = enhancer.open(rate)
    given = [first.process(block) for block in blocks[:where]]
    state = first.state()
    kept = {name: array.copy() for name, array in state.items()}
    first.process(noise(1, 999, seed=5)[0])  # what happens to the first stream later is nothing to the state
    second = enhancer.open(rate)
    second.process(noise(1, 333, seed=6)[0])
    second.restore(state)
    given += [second.process(block) for block in blocks[where:]]
    found = np.concatenate([*given, second.flush()])[second.delay_samples :]
    assert np.abs(found - enhancer.enhance(signal, rate)).max() < 1e-5
    assert all(np.array_equal(kept[name], state[name]) for name in kept)


def test_a_state_can_be_saved_to_a_file(tmp_path, enhancer):
    stream, other = enhancer.open(), enhancer.open()
    stream.process(noise(1, 1_000)[0])
    np.savez(tmp_path / "state.npz", **stream.state())
    with np.load(tmp_path / "state.npz") as state:
        other.restore(dict(state))
    assert np.array_equal(other.process(noise(1, 900)[0]), stream.process(noise(1, 900)[0]))


def test_a_state_fits_the_exported_file_and_its_checkpoint(tmp_path, network):
    """The weights are what a state belongs to, not the program that runs them."""
    from exported import export

    from stillwave.inference.torch_backend import TorchBackend

    file = export(network, tmp_path / "a.onnx", card={"sha256": "abc"})
    signal = noise(1, 3_000)[0]
    there, here = Enhancer(OnnxBackend(file)).open(), Enhancer(TorchBackend(network, "abc")).open()
    out = there.process(signal[:1_234])
    here.restore(there.state())
    found = np.concatenate([out, here.process(signal[1_234:]), here.flush()])[511:]
    assert np.abs(found - Enhancer(network).enhance(signal, 16_000)).max() < 1e-5


def test_streams_of_a_batch_are_independent(enhancer):
    signals = noise(5, 4_000)
    together = fed(enhancer.open(streams=5), signals, [17, 0, 900, 256])
    for signal, found in zip(signals, together, strict=True):
        assert np.abs(found - fed(enhancer.open(), signal, [500])).max() < 1e-5


def test_several_microphones_are_one_stream():
    torch.manual_seed(0)
    config = ModelConfig(channels=8, causal=True, norm="frame", microphones=2, depth=1, past_frames=4)
    model = build(config).eval()
    signal = noise(2, 2_000)
    with torch.inference_mode():
        expected = model(torch.from_numpy(signal)[None])[0].numpy()
    enhancer = Enhancer(model)
    stream = enhancer.open()
    found = np.concatenate([stream.process(signal[:, :700]), stream.process(signal[:, 700:]), stream.flush()])
    assert np.abs(found[511:] - expected).max() < 1e-5
    assert np.abs(enhancer.enhance(signal, 16_000)[0] - expected).max() < 1e-5
    pair = enhancer.open(streams=2)
    out = pair.process(np.stack([signal, signal[::-1]]))
    assert out.shape == (2, 2_000)
    assert np.abs(out[0, 511:] - expected[:-511]).max() < 1e-5
    with pytest.raises(AudioError, match=r"\[2 microphones, samples\], got \[3, 10\]"):
        enhancer.open().process(np.zeros((3, 10)))


def test_integers_are_scaled_as_in_files(enhancer):
    steps = (noise(1, 2_000)[0] * 2**15).astype(np.int16)
    first, second = enhancer.open(), enhancer.open()
    assert np.array_equal(first.process(steps), second.process((steps / 2**15).astype(np.float32)))
    assert first.process(np.zeros(0, np.int16)).shape == (0,)


def test_a_reset_is_a_new_signal(enhancer):
    stream = enhancer.open()
    fresh = stream.process(noise(1, 3_000)[0])
    stream.process(np.array([np.nan], np.float32))
    stream.reset()
    assert np.array_equal(stream.process(noise(1, 3_000)[0]), fresh)
    assert stream.repaired == 1  # the counts stay
    stream.flush()
    assert np.array_equal(stream.process(noise(1, 3_000)[0]), fresh)


@pytest.mark.slow
def test_an_hour_neither_drifts_nor_grows(enhancer):
    """An hour at 48 kHz in odd blocks: the last minute is what it is alone, but for what the network remembers."""
    minute = noise(1, 48_000 * 60)[0]
    stream, peaks = enhancer.open(48_000), []
    for number in range(60):
        parts = [stream.process(block) for block in np.split(minute, range(4_801, len(minute), 4_801))]
        peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
        if number == 1:
            early = np.concatenate(parts)
    assert peaks[-1] - peaks[2] < 4_096  # KiB
    assert np.abs(np.concatenate(parts) - early).max() < 1e-4
