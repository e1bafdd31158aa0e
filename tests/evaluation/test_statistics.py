"""Intervals that cover what they claim, pairs over common recordings only, exact and binned groups."""

from __future__ import annotations

import math

import numpy as np
import pytest

from stillwave.errors import StillwaveError
from stillwave.evaluation import Score, ScoreRow, Scores, bootstrap, paired, summarise
from stillwave.evaluation.statistics import snr_groups


def scores(values, metrics=("snr",), snr=None, inverted=()):
    """`values[system][id]`: a number, or a reason."""
    rows = tuple(
        ScoreRow(
            name,
            system,
            (snr or {}).get(name),
            {m: Score(None, v) if isinstance(v, str) else Score(v) for m in metrics},
            (system, name) in inverted,
        )
        for system, entries in values.items()
        for name, v in entries.items()
    )
    return Scores(tuple(values), metrics, rows)


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


def test_the_baseline_is_noisy_where_there_is_one():
    both = scores({"noisy": {"1": 1.0, "2": 2.0}, "mine": {"1": 2.0, "2": "silent"}})
    summary = summarise(both)
    assert summary.baseline == "noisy"
    assert summary.differences == {"mine": {"snr": paired({"1": 2.0}, {"1": 1.0})}}
    other = summarise(both, "mine")
    assert other.differences["noisy"]["snr"].mean == -1
    alone = summarise(scores({"mine": {"1": 2.0}}))
    assert alone.baseline is None
    assert alone.differences == {}
    with pytest.raises(StillwaveError, match="'mien' is not scored; did you mean 'mine'"):
        summarise(both, "mien")


def test_reasons_are_counted_the_commonest_first():
    values = {"1": "silent", "2": "empty", "3": "silent", "4": 1.0}
    cell = summarise(scores({"a": values})).means["a"]["snr"]
    assert list(cell.reasons.items()) == [("silent", 2), ("empty", 1)]
    assert cell.failed == 3
    assert (cell.interval.mean, cell.interval.count) == (1.0, 1)


def test_inverted_is_counted_by_system():
    found = summarise(scores({"a": {"1": 1.0, "2": 1.0}, "b": {"1": 1.0}}, inverted={("a", "1"), ("a", "2")}))
    assert found.inverted == {"a": 2, "b": 0}


def test_few_snrs_are_groups_of_their_own():
    found = summarise(
        scores({"a": {"1": 1.0, "2": 3.0, "3": 9.0, "4": 7.0}}, snr={"1": -5, "2": -5, "3": 2.5})
    ).by_snr
    assert list(found) == ["-5 dB", "2.5 dB"]
    assert found["-5 dB"]["a"]["snr"].interval.mean == 2
    assert found["2.5 dB"]["a"]["snr"].interval.count == 1
    assert summarise(scores({"a": {"1": 1.0}}, snr={"1": 5.0})).by_snr == {}


def test_many_snrs_are_bins_of_5_db():
    snr = {str(i): -5 + 1.25 * i for i in range(9)}  # −5 … 5: nine values
    found = summarise(scores({"a": {name: float(i) for i, name in enumerate(snr)}}, snr=snr)).by_snr
    assert list(found) == ["-5 … 0 dB", "0 … 5 dB", "5 … 10 dB"]
    counts = [group["a"]["snr"].interval.count for group in found.values()]
    assert counts == [4, 4, 1]  # 0 dB belongs to 0 … 5, 5 dB to 5 … 10


@pytest.mark.parametrize(
    ("values", "labels"),
    [
        ([-5.0, 0.0, 5.0, 10.0], ["-5 dB", "0 dB", "5 dB", "10 dB"]),
        ([2.5, 7.5, 12.5, 17.5], ["2.5 dB", "7.5 dB", "12.5 dB", "17.5 dB"]),
        ([3.0, 3.0, 7.0, 7.0], ["3 dB", "7 dB"]),
        ([-1.2, 0.31, 4.7, 7.2, 14.9], ["-5 … 0 dB", "0 … 5 dB", "5 … 10 dB", "10 … 15 dB"]),
        ([3.0, 7.0, 12.0, 19.0, 24.0], ["0 … 5 dB", "5 … 10 dB", "10 … 15 dB", "15 … 20 dB", "20 … 25 dB"]),
        ([float("inf"), 4.0, 8.0], ["0 … 5 dB", "5 … 10 dB"]),
        ([4.0], []),
    ],
)
def test_snrs_of_all_kinds_are_binned_and_those_of_a_grid_are_not(values, labels):
    groups = snr_groups({str(index): value for index, value in enumerate(values)})
    assert list(groups) == labels
    assert sum(map(len, groups.values())) == (sum(map(math.isfinite, values)) if labels else 0)
