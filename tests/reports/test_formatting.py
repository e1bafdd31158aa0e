"""Numbers and intervals as text."""

from __future__ import annotations

import math

import pytest

from stillwave.reports.formatting import bounds, count
from stillwave.stats.bootstrap import Interval


@pytest.mark.parametrize(
    ("value", "shown"),
    [(None, "–"), (12, "12"), (9930, "9.93 k"), (595_494, "595 k"), (42.7e6, "42.7 M"), (13.26e9, "13.3 G")],
)
def test_counts_have_three_digits(value: float | None, shown: str) -> None:
    assert count(value) == shown


def test_one_recording_has_no_interval() -> None:
    assert bounds(Interval(1.0, math.nan, math.nan, 1), "stoi") == ""
    assert bounds(Interval(0.15, 0.1, 0.2, 36), "stoi") == "[10.00, 20.00]"
