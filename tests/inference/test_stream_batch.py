"""Streams of a batch are the streams they would be alone, whatever the others do."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stillwave.errors import StateError
from stillwave.inference.stream_batch import BatchedStream, StreamBatch


def noise(rows: int, samples: int, seed: int = 0) -> np.ndarray:
    return 0.1 * np.random.default_rng(seed).standard_normal((rows, samples)).astype(np.float32)


def advance(batch: StreamBatch, outputs: dict[BatchedStream, list[np.ndarray]]) -> None:
    """One step of all streams that have frames."""
    ready = [stream for stream in outputs if stream.frames]
    if ready:
        for stream, samples in zip(ready, batch.step(ready), strict=True):
            outputs[stream].append(samples)


@settings(deadline=None, max_examples=15)
@given(
    seed=st.integers(0, 2**31),
    rates=st.lists(st.sampled_from([8_000, 16_000, 44_100, 48_000]), min_size=1, max_size=4),
    limit=st.sampled_from([None, 12.0]),
)
def test_each_stream_is_the_whole(enhancer, seed, rates, limit):
    rng = np.random.default_rng(seed)
    batch, dry_mix = StreamBatch(enhancer.backend), 0.0 if limit is None else 10 ** (-limit / 20)
    signals = {}
    for number, rate in enumerate(rates):
        stream = batch.open(rate, int(rng.integers(1, 3)), dry_mix)
        signals[stream] = noise(stream.channels, int(rng.integers(0, 6_000)), number)
    outputs, sent = {stream: [] for stream in signals}, dict.fromkeys(signals, 0)
    finished = set()
    while not all(stream.ended for stream in signals):
        for stream, signal in signals.items():
            size = int(rng.integers(0, 1_200))
            if sent[stream] < signal.shape[1]:
                stream.push(signal[:, sent[stream] : sent[stream] + size])
                sent[stream] = min(signal.shape[1], sent[stream] + size)
            elif stream not in finished:
                finished.add(stream)
                stream.finish()
        advance(batch, outputs)
    for stream, signal in signals.items():
        if signal.shape[1]:
            expected = enhancer.enhance(signal, stream.rate, limit_db=limit)
            assert np.abs(np.concatenate(outputs[stream], axis=1) - expected).max() < 1e-5


def test_the_delay_is_never_exceeded(enhancer):
    batch = StreamBatch(enhancer.backend)
    stream = batch.open(44_100)
    for block in np.array_split(noise(1, 30_000), 211, axis=1):
        stream.push(block)
        while stream.frames:
            batch.step([stream])
        assert stream.received - stream.returned <= stream.delay_samples


def test_closed_streams_leave_no_state_to_the_next(enhancer):
    batch, signal = StreamBatch(enhancer.backend), noise(1, 3_000)
    results = []
    for _ in range(2):
        stream, others = batch.open(16_000), [batch.open(16_000) for _ in range(3)]
        parts = {stream: []}
        stream.push(signal)
        stream.finish()
        while not stream.ended:
            advance(batch, parts)
        results.append(np.concatenate(parts[stream], axis=1))
        for used in (stream, *others):
            batch.close(used)
    assert np.array_equal(*results)


def test_faults_of_one_stream_stay_its_own(enhancer):
    batch = StreamBatch(enhancer.backend)
    bad, good = batch.open(16_000), batch.open(16_000)
    outputs = {bad: [], good: []}
    signal = noise(1, 4_000)
    bad.push(np.full((1, 4_000), np.nan, np.float32))
    good.push(signal)
    for stream in outputs:
        stream.finish()
    while not all(stream.ended for stream in outputs):
        advance(batch, outputs)
    assert bad.repaired == 4_000
    assert not np.concatenate(outputs[bad], axis=1).any()
    assert np.abs(np.concatenate(outputs[good], axis=1) - enhancer.enhance(signal, 16_000)).max() < 1e-5


def test_several_microphones_are_refused(enhancer):
    class Two:
        microphones = 2

    with pytest.raises(StateError, match="several microphones"):
        StreamBatch(Two())
