"""Bootstrap intervals cover the mean at their stated rate; pairs are over common recordings."""

import math

import numpy as np
import pytest

from stillwave.stats.bootstrap import bootstrap, paired


def test_intervals_cover_the_mean_of_normal_data():
    rng = np.random.default_rng(7)
    hits = [
        interval.low <= 3 <= interval.high
        for interval in (bootstrap(rng.normal(3, 2, 60), seed, 500) for seed in range(400))
    ]
    assert 0.92 <= np.mean(hits) <= 0.975  # 95 %, less what a percentile interval of 60 loses, ± two errors


def test_the_width_is_that_of_the_standard_error():
    data = np.random.default_rng(1).normal(0, 1, 400)
    interval = bootstrap(data)
    assert interval.high - interval.low == pytest.approx(2 * 1.96 * data.std() / 20, rel=0.05)
    few = bootstrap(data[:25])
    assert few.high - few.low > 2.5 * (interval.high - interval.low)
    assert (interval.mean, interval.count) == (pytest.approx(data.mean()), 400)


def test_chunks_and_seed(monkeypatch):
    data = np.random.default_rng(2).normal(0, 1, 50)
    whole = bootstrap(data)
    assert bootstrap(data) == whole
    assert bootstrap(data, seed=1) != whole
    monkeypatch.setattr("stillwave.stats.bootstrap.CHUNK", 1_700)  # 34 of 10 000 rows at a time
    assert bootstrap(data) == whole
    monkeypatch.setattr("stillwave.stats.bootstrap.CHUNK", 1)
    assert bootstrap(data[:3], resamples=40).count == 3


def test_one_recording_has_no_interval():
    interval = bootstrap([2.5])
    assert (interval.mean, interval.count) == (2.5, 1)
    assert math.isnan(interval.low)
    assert math.isnan(interval.high)


def test_pairs_are_over_common_recordings():
    found = paired({"a": 3.0, "b": 5.0, "only ours": 100.0}, {"b": 4.0, "a": 1.0, "only theirs": -100.0})
    assert (found.mean, found.count) == (1.5, 2)
    assert paired({"a": 1.0}, {"b": 1.0}) is None


def test_a_paired_difference_is_narrower_than_the_spread_of_recordings():
    rng = np.random.default_rng(0)
    level = rng.normal(0, 10, 50)
    ours, theirs = (dict(enumerate(level + gain + rng.normal(0, 0.1, 50))) for gain in (1, 0))
    found = paired(ours, theirs)
    assert found.low < 1 < found.high
    assert found.high - found.low < 0.1
    alone = bootstrap(list(ours.values()))
    assert alone.high - alone.low > 4
