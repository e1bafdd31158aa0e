"""The input contract: what is taken, what it becomes, and what is refused with which words."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from stillwave.audio import check, check_channels, check_finite, check_rate
from stillwave.errors import AudioError

DTYPES = [np.uint8, np.int16, np.int32, np.float32, np.float64]
SHAPES = st.one_of(
    st.tuples(st.integers(1, 300)),
    st.tuples(st.integers(1, 16), st.integers(1, 300)),
)


@given(st.data(), st.sampled_from(DTYPES), SHAPES)
def test_accepted_arrays_become_float32_channels_by_samples(data, dtype, shape):
    bounds = {"min_value": -2.0, "max_value": 2.0} if np.issubdtype(dtype, np.floating) else {}
    samples = data.draw(hnp.arrays(dtype, shape, elements=hnp.from_dtype(np.dtype(dtype), **bounds)))
    original = samples.copy()
    out = check(samples)
    assert out.dtype == np.float32
    assert out.flags.c_contiguous
    assert out.shape == (shape if len(shape) == 2 else (1, *shape))
    offset, full = {"u1": (128, 128), "i2": (0, 2**15), "i4": (0, 2**31)}.get(samples.dtype.str[1:], (0, 1))
    expected = ((samples.astype(np.float64) - offset) / full).astype(np.float32)
    assert np.array_equal(out, expected.reshape(out.shape))
    assert np.array_equal(samples, original)


@pytest.mark.parametrize(
    ("dtype", "lowest", "middle", "highest"),
    [(np.uint8, 0, 128, 255), (np.int16, -(2**15), 0, 2**15 - 1), (np.int32, -(2**31), 0, 2**31 - 1)],
)
def test_full_scale_of_integers_is_one(dtype, lowest, middle, highest):
    out = check(np.array([lowest, middle, highest], dtype=dtype))[0]
    assert out[0] == -1
    assert out[1] == 0
    assert 0.99 < out[2] <= 1


def test_float32_is_not_copied_and_values_beyond_full_scale_stay():
    samples = np.array([[1.5, -3.0]], np.float32)
    assert np.shares_memory(check(samples), samples)
    assert np.array_equal(check(samples), samples)


@pytest.mark.parametrize("dtype", [">i2", "<i2", ">f4", ">f8"])
def test_byte_order_is_respected(dtype):
    values = np.array([0, 1, -1], dtype)
    assert np.array_equal(check(values), check(values.astype(values.dtype.newbyteorder("="))))


def test_views_of_any_stride_are_accepted():
    samples = np.arange(20, dtype=np.float32).reshape(2, 10)
    assert np.array_equal(check(samples[:, ::-2]), samples[:, ::-2])
    readonly = samples.copy()
    readonly.flags.writeable = False
    assert np.array_equal(check(readonly), samples)


@given(SHAPES, st.sampled_from([np.nan, np.inf, -np.inf]), st.data())
def test_nan_is_refused_with_its_count_and_first_position(shape, value, data):
    samples = np.zeros(shape, np.float32)
    places = data.draw(st.sets(st.integers(0, samples.size - 1), min_size=1, max_size=5))
    samples.reshape(-1)[list(places)] = value
    rows = samples.reshape(-1, samples.shape[-1])
    first = int(np.flatnonzero(~np.isfinite(rows).all(axis=0))[0])
    channel = int(np.flatnonzero(~np.isfinite(rows[:, first]))[0])
    with pytest.raises(AudioError, match=rf"^talk: {len(places)} .*sample {first} of channel {channel}$"):
        check(samples, "talk")


def test_infinities_of_both_signs_do_not_cancel():
    with pytest.raises(AudioError, match="2 values"):
        check(np.array([np.inf, -np.inf]))


def test_large_finite_values_are_not_taken_for_infinity():
    samples = np.full((1, 10), np.finfo(np.float32).max)
    assert check_finite(samples, "x") is samples
    largest = np.finfo(np.float32).max
    assert check(np.array([0.5, 1e300, -1e300])).tolist() == [[0.5, largest, -largest]]
    with pytest.raises(AudioError, match=r"^samples: 2 .*sample 1 of channel 0$"):
        check(np.array([1e300, np.nan, np.inf]))


@pytest.mark.parametrize("channels", [0, -1, "1", 1.0, True, None])
def test_a_number_of_channels_is_a_whole_number(channels):
    with pytest.raises(AudioError, match=f"^x: .*channels.*got {channels!r}$"):
        check_channels(channels, "x")


@pytest.mark.parametrize(
    ("samples", "words"),
    [
        ([0.0, 1.0], "NumPy array, got list; convert it with numpy.asarray"),
        (np.ma.masked_array([0.0, 1.0], mask=[0, 1]), "masked values; fill them"),
        (np.float32(1), "NumPy array, got float32"),
        (np.array(1.0), r"got \[\]"),
        (np.zeros((1, 2, 3)), r"got \[1, 2, 3\]"),
        (np.zeros(0), "no samples"),
        (np.zeros((2, 0)), "no samples"),
        (np.zeros((0, 5)), "no samples"),
        (np.zeros((48000, 2)), r"transpose it \(samples.T\)"),
        (np.zeros(4, np.complex64), "got complex64"),
        (np.zeros(4, np.int64), "got int64"),
        (np.zeros(4, bool), "got bool"),
        (np.array(["a"]), "got <U1"),
        (np.array([None]), "got object"),
    ],
)
def test_everything_else_is_refused_by_name(samples, words):
    with pytest.raises(AudioError, match=words) as caught:
        check(samples, "talk")
    assert str(caught.value).startswith("talk: ")


def test_many_microphones_are_not_taken_for_a_transposed_array():
    assert check(np.zeros((64, 2), np.float32)).shape == (64, 2)
    assert check(np.zeros((100, 100), np.float32)).shape == (100, 100)


@given(st.integers(1_000, 768_000))
def test_valid_rates_are_accepted(rate):
    assert check_rate(rate) == rate
    assert check_rate(np.int64(rate)) == rate
    assert check_rate(float(rate)) == rate


@pytest.mark.parametrize("rate", [0, -1, 999, 768_001, 16000.5, np.nan, np.inf, "16000", None, True, [16000]])
def test_invalid_rates_are_refused(rate):
    with pytest.raises(AudioError, match=r"^sample rate: .*1000 to 768000, got "):
        check_rate(rate)
