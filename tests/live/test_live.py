"""Live processing without a sound card: the callback never blocks, and late blocks give the dry signal."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from stillwave.errors import AudioError
from stillwave.inference.stream import Stream
from stillwave.live.processor import LiveProcessor, LiveWorker

BLOCK = 160


class Halved:
    """A network that halves; `gate` holds it up."""

    sample_rate, microphones, n_fft, hop, fingerprint = 16_000, 1, 512, 256, "halved"

    def __init__(self, gate: threading.Event | None = None, microphones: int = 1):
        self.gate, self.microphones = gate, microphones

    def begin(self, streams):
        return {"nothing": np.zeros((streams, 1), np.float32)}

    def step(self, spectrum, state):
        if self.gate:
            assert self.gate.wait(10)
        first = spectrum.shape[1] // 2
        return 0.5 * spectrum[:, [0, first]], state


class Clock:
    """Every look at it costs a millisecond."""

    now = 0.0

    def __call__(self):
        self.now += 0.001
        return self.now


def lane(**options) -> LiveProcessor:
    return LiveProcessor(
        Stream(Halved(**options.pop("backend", {})), options.pop("rate", None)),
        BLOCK,
        clock=Clock(),
        **options,
    )


def ramp(count: int) -> list[np.ndarray]:
    """Blocks of a slow sine: smooth, so that a jump would show."""
    signal = 0.5 * np.sin(2 * np.pi * 100 * np.arange(count * BLOCK) / 16_000)
    return [block[None].astype(np.float32) for block in np.split(signal, count)]


def played(given: LiveProcessor, blocks, busy=lambda index: False) -> np.ndarray:
    """All that goes out if the worker works after every block in which it is not `busy` elsewhere."""
    out = []
    for index, block in enumerate(blocks):
        out.append(given.exchange(block))
        if not busy(index):
            given.work()
    return np.concatenate(out)


def late(blocks, given: LiveProcessor) -> np.ndarray:
    """The input as it would come out of the lane, dry."""
    signal = np.concatenate([block[0] for block in blocks])
    return np.concatenate([np.zeros(given.delay_samples, np.float32), signal])[: len(signal)]


@pytest.mark.parametrize("lag", [1, 2, 5])
def test_in_time_blocks_are_enhanced_after_the_stated_delay(lag):
    given, blocks = lane(lag=lag), ramp(60)
    out = played(given, blocks)
    assert given.delay_samples == 511 + (lag + 1) * BLOCK
    assert np.abs(out - late(blocks, given) / 2).max() < 1e-6
    statistics = given.statistics
    assert (statistics.blocks, statistics.late, statistics.fallbacks, statistics.skipped) == (60, 0, 0, 0)
    assert statistics.clean


def test_late_blocks_give_the_dry_signal_and_then_the_enhanced_one_again():
    given, blocks = lane(lag=2), ramp(120)
    out = played(given, blocks, busy=lambda index: 40 <= index < 50)
    dry = late(blocks, given)
    for first, last, gain in ((0, 42, 0.5), (43, 75, 1), (76, 120, 0.5)):
        inside = slice(first * BLOCK, last * BLOCK)
        assert np.abs(out - gain * dry)[inside].max() < 1e-6
    assert given.statistics.fallbacks == 1
    assert given.statistics.skipped == 0
    assert given.statistics.clean


def test_late_blocks_are_counted_exactly():
    """Busy for blocks 40 … 49: with a lag of 2, block 40 is due for callback 42; block 49 is clean after 50."""
    given = lane(lag=2)
    played(given, ramp(120), busy=lambda index: 40 <= index < 50)
    # Callback k asks for block k − 2: 42 … 50 ask for 40 … 48, and the worker comes round after callback 50.
    assert given.statistics.late == 9


def test_switching_between_enhanced_and_dry_is_smooth():
    given, blocks = lane(lag=1), ramp(200)
    out = played(given, blocks, busy=lambda index: index % 60 in range(20, 30))
    assert given.statistics.fallbacks == 3
    steps = np.abs(np.diff(out)).max()
    steepest = 0.5 * 2 * np.pi * 100 / 16_000 + 0.25 * np.pi / 2 / BLOCK  # of the sine, and of the fade
    assert steps < 1.05 * steepest


def test_delays_within_the_lag_are_not_late():
    given, blocks = lane(lag=3), ramp(100)
    out = played(given, blocks, busy=lambda index: index % 3 != 0)
    assert given.statistics.late == 0
    assert np.abs(out - late(blocks, given) / 2).max() < 1e-6


def test_a_slow_machine_plays_the_dry_signal():
    given, blocks = lane(lag=1), ramp(300)
    out = played(given, blocks, busy=lambda index: index % 5 != 4)
    dry = late(blocks, given)
    assert np.abs(out - dry)[20 * BLOCK :].max() < 1e-6
    assert not given.statistics.clean
    assert given.statistics.fallbacks <= 1


def test_a_long_interruption_is_skipped_and_alignment_is_kept():
    given, blocks = lane(lag=2), ramp(300)
    out = played(given, blocks, busy=lambda index: 50 <= index < 150)
    assert given.statistics.skipped > 50
    dry = late(blocks, given)
    assert np.abs(out - dry / 2)[220 * BLOCK :].max() < 1e-6
    assert given.waiting <= given.lag + 2


def test_bypass_is_a_fade_without_late_blocks():
    given, blocks = lane(lag=2), ramp(120)
    out = []
    for index, block in enumerate(blocks):
        given.bypass = 40 <= index < 80
        out.append(given.exchange(block))
        given.work()
    dry, out = late(blocks, given), np.concatenate(out)
    assert np.abs(out - dry / 2)[: 39 * BLOCK].max() < 1e-6
    assert np.abs(out - dry)[42 * BLOCK : 79 * BLOCK].max() < 1e-6
    assert np.abs(out - dry / 2)[82 * BLOCK :].max() < 1e-6
    assert (given.statistics.late, given.statistics.fallbacks) == (0, 0)


def test_the_rate_of_the_device_is_independent():
    given = lane(rate=48_000)
    assert given.delay_samples == given.stream.delay_samples + 3 * BLOCK
    out = played(given, ramp(80))
    expected = late(ramp(80), given) / 2
    assert np.abs(out - expected)[20 * BLOCK :].max() < 1e-3


def test_the_dry_signal_is_the_first_microphone():
    given = lane(backend={"microphones": 2})
    given.bypass = True
    blocks = [np.concatenate([block, -block]) for block in ramp(40)]
    assert np.abs(played(given, blocks) - late(ramp(40), given)).max() < 1e-6


def test_damaged_samples_do_not_reach_the_loudspeaker():
    given, blocks = lane(), ramp(60)
    blocks[30] = np.full((1, BLOCK), np.nan, np.float32)
    assert np.isfinite(played(given, blocks)).all()
    assert given.stream.repaired == BLOCK


def test_load_and_levels_are_measured():
    given = lane()
    played(given, ramp(200))
    assert given.statistics.load == pytest.approx(
        0.1, rel=0.01
    )  # a millisecond by the clock for ten of sound
    assert given.statistics.slowest_ms == pytest.approx(1)
    assert given.statistics.peak_in == pytest.approx(0.5, rel=0.01)
    assert given.statistics.peak_out == pytest.approx(0.25, rel=0.01)


def test_a_thread_that_is_stuck_does_not_hold_the_callback():
    """The network waits at a gate until the callback has gone on for three seconds of sound."""
    gate = threading.Event()
    given = lane(lag=2, backend={"gate": gate})
    worker = LiveWorker(given)
    worker.start()
    blocks = ramp(300)
    out = [given.exchange(block) for block in blocks]
    assert np.abs(np.concatenate(out) - late(blocks, given)).max() < 1e-6
    gate.set()
    worker.stop()
    assert worker.error is None
    assert not worker.is_alive()


def test_a_network_that_fails_ends_the_worker_and_the_dry_signal_goes_on():
    given = lane()
    given.stream.backend.step = None
    worker = LiveWorker(given)
    worker.start()
    blocks = ramp(50)
    out = [given.exchange(block) for block in blocks]
    worker.join(10)
    assert isinstance(worker.error, TypeError)
    assert np.abs(np.concatenate(out) - late(blocks, given)).max() < 1e-6


def test_what_cannot_be_a_lane_is_refused():
    with pytest.raises(AudioError, match=r"^streams: .* 2$"):
        LiveProcessor(Stream(Halved(), streams=2), BLOCK)
    for block, lag in ((0, 2), (BLOCK, 0)):
        with pytest.raises(AudioError, match=r"block and lag .*got "):
            LiveProcessor(Stream(Halved()), block, lag)
