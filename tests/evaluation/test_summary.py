"""Intervals that cover what they claim, pairs over common recordings only, exact and binned groups."""

from __future__ import annotations

import math

import pytest

from stillwave.errors import StillwaveError
from stillwave.evaluation import Score, ScoreRow, Scores, summarise
from stillwave.evaluation.summary import snr_groups
from stillwave.stats.bootstrap import paired


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
    with pytest.raises(StillwaveError, match=r"'mien'.*'mine'"):
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


def test_labels_are_groups_with_their_number_of_recordings():
    labels = {"language": {"1": "fr", "2": "de", "3": "fr", "4": ""}}
    found = summarise(scores({"a": {"1": 1.0, "2": 5.0, "3": 3.0, "4": 7.0}}), labels=labels).by["language"]
    assert list(found) == ["(none) (1)", "de (1)", "fr (2)"]
    assert [group["a"]["snr"].interval.mean for group in found.values()] == [7, 5, 2]


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
