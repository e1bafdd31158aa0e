"""The intervals and tests against cases whose answer is known."""

import math

import numpy as np
import pytest
from scipy import stats

from stillwave.stats.crossed import (
    complete,
    estimate,
    gap_closed,
    holm,
    mean_squares,
    resample,
    standard_error,
)


def excludes_zero(found):
    return found.low > 0 or found.high < 0


def simulate(rng, seeds=3, recordings=40, effect=0.0, of_seed=0.3, of_recording=0.5, of_both=1.0):
    """Differences with a part of the seed, one of the recording, and one of both."""
    return (
        effect
        + of_seed * rng.standard_normal((seeds, 1))
        + of_recording * rng.standard_normal((1, recordings))
        + of_both * rng.standard_normal((seeds, recordings))
    )


# --- by hand ----------------------------------------------------------------------------------------------


def test_mean_squares_and_standard_error_by_hand():
    # Mean 3; seeds −1, +1; recordings −1, 0, +1; nothing is left over but ±1 in two corners.
    values = np.array([[1.0, 2.0, 3.0], [3.0, 4.0, 5.0]]) + np.array([[1, 0, -1], [-1, 0, 1]])
    assert mean_squares(values) == pytest.approx((3 * 2, 2 * 2 / 2, 4 / 2))
    error, freedom = standard_error(values)  # 6 + 2 − 2 is no more than 6: the seeds are all there is
    assert error == pytest.approx(math.sqrt(6 / 6))
    assert freedom == 1
    values = np.array([[1.0, 2.0, 3.0], [3.0, 4.0, 5.0]])  # without the corners: 6 + 2 − 0
    error, freedom = standard_error(values)
    assert error == pytest.approx(math.sqrt(8 / 6))
    assert freedom == pytest.approx(8**2 / (6**2 / 1 + 2**2 / 2))


def test_one_seed_is_the_paired_t_test_over_recordings():
    values = simulate(np.random.default_rng(0), seeds=1, effect=0.3)
    found = estimate(values)
    assert found.p == pytest.approx(stats.ttest_1samp(values[0], 0).pvalue)
    assert (found.seeds, found.recordings) == (1, 40)


def test_one_recording_is_the_paired_t_test_over_seeds():
    values = simulate(np.random.default_rng(0), seeds=5, recordings=1, effect=1)
    assert estimate(values).p == pytest.approx(stats.ttest_1samp(values[:, 0], 0).pvalue)


def test_holm_by_hand():
    # Sorted 0.01·4, 0.02·3, 0.03·2, 0.04·1; none is below the one before it; nan is no comparison.
    assert holm({"c": 0.03, "a": 0.01, "d": 0.04, "x": math.nan, "b": 0.02}) == pytest.approx(
        {"a": 0.04, "b": 0.06, "c": 0.06, "d": 0.06, "x": math.nan}, nan_ok=True
    )
    assert holm({"a": 0.9, "b": 0.8}) == {"a": 1.0, "b": 1.0}
    assert holm({}) == {}


def test_gap_closed_by_hand():
    alone, teacher = np.array([[1.0, 2.0], [1.2, 2.2]]), np.array([[3.0, 4.0]])
    method = alone + 0.475  # of a gap of 2 and 1.8
    assert gap_closed(method, alone, teacher) == pytest.approx(0.475 / 1.9)
    assert gap_closed(alone, alone, teacher) == 0
    assert gap_closed(method, alone, np.array([[1.1, 2.1]])) is None, "the teacher is not clearly ahead"


def test_gap_closed_is_over_the_recordings_that_all_three_have():
    alone, teacher = np.zeros((1, 4)), np.array([[1.0, 1.1, 0.9, 50.0]])
    method = np.array([[0.5, 0.5, 0.5, math.nan]])
    assert gap_closed(method, alone, teacher) == pytest.approx(0.5)


# --- what they claim --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("of_seed", "of_recording"), [(0.0, 1.0), (0.3, 0.5), (1.0, 0.2)])
def test_without_an_effect_one_test_in_twenty_is_significant(of_seed, of_recording):
    rng = np.random.default_rng(1)
    found = [estimate(simulate(rng, of_seed=of_seed, of_recording=of_recording)) for _ in range(300)]
    wrong = np.mean([e.p < 0.05 for e in found])
    assert wrong <= 0.09, "with three seeds, whatever the parts of seeds and recordings"
    assert np.mean([excludes_zero(e) for e in found]) <= 0.09, "and so say the intervals"


def test_a_plain_percentile_interval_would_be_wrong_far_more_often():
    rng = np.random.default_rng(2)
    outside = []
    for _ in range(200):
        low, high = np.percentile(resample(simulate(rng, of_seed=1.0, of_both=0.5)), (2.5, 97.5))
        outside.append(low > 0 or high < 0)
    assert np.mean(outside) > 0.12, "or else the widening in `estimate` has no reason to be"


def test_grids_without_an_effect_rarely_report_one_after_the_correction():
    rng = np.random.default_rng(3)
    reported = 0
    for _ in range(60):
        p = {method: estimate(simulate(rng)).p for method in range(8)}
        reported += min(holm(p).values()) < 0.05
    assert reported <= 8, "about one grid in twenty, however many methods it has"


def test_a_planted_effect_is_found_where_it_is():
    rng = np.random.default_rng(4)
    found = estimate(simulate(rng, effect=1.0, of_seed=0.05, of_recording=0.2))
    assert excludes_zero(found)
    assert found.p < 0.05
    assert found.low < 1.0 < found.high
    worse = estimate(simulate(rng, effect=-1.0, of_seed=0.05))
    assert excludes_zero(worse)
    assert worse.high < 0


def test_variation_between_seeds_widens_the_interval():
    rng = np.random.default_rng(5)
    values = simulate(rng, of_seed=0.0)
    calm, restless = estimate(values), estimate(values + np.array([[-0.6], [0.0], [0.6]]))
    assert restless.mean == pytest.approx(calm.mean)
    assert restless.high - restless.low > 2 * (calm.high - calm.low)
    assert restless.p > calm.p


def test_more_seeds_narrow_it():
    rng = np.random.default_rng(6)
    width = {n: estimate(simulate(rng, seeds=n, of_seed=0.5)) for n in (3, 30)}
    assert width[30].high - width[30].low < 0.5 * (width[3].high - width[3].low)


def test_resampling_draws_both_levels():
    only_seeds = resample(np.array([[0.0] * 5, [1.0] * 5]))
    assert set(np.round(only_seeds, 6)) == {0.0, 0.5, 1.0}
    assert np.mean(only_seeds == 0.5) == pytest.approx(0.5, abs=0.02)
    only_recordings = resample(np.array([[0.0, 1.0]] * 5))
    assert set(np.round(only_recordings, 6)) == {0.0, 0.5, 1.0}


# --- what has no answer -----------------------------------------------------------------------------------


def test_a_recording_without_a_value_for_some_seed_is_left_out_for_all():
    values = np.array([[1.0, math.nan, 3.0], [1.0, 2.0, 3.0]])
    assert complete(values).tolist() == [[1.0, 3.0], [1.0, 3.0]]
    found = estimate(values)
    assert (found.mean, found.recordings) == (2.0, 2)


def test_empty_single_and_equal_values():
    assert estimate(np.full((2, 3), math.nan)) is None
    assert estimate(np.zeros((0, 3))) is None
    single = estimate(np.array([[2.0]]))
    assert single.mean == 2.0
    assert math.isnan(single.low)
    assert math.isnan(single.p)
    same = estimate(np.full((3, 4), 0.1))
    assert (same.low, same.high) == (same.mean, same.mean)
    assert estimate(np.zeros((3, 4))).p == 1.0


def test_results_are_deterministic():
    values = simulate(np.random.default_rng(7))
    assert estimate(values) == estimate(values.copy())
    assert estimate(values, seed=1).low != estimate(values).low
