"""Cutting and joining is the identity, for every length and every division into blocks."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stillwave.inference.offline_file import GRID, cut, join

WINDOW, OVERLAP = 10 * GRID, 2 * GRID


def blocks(signal: np.ndarray, size: int) -> list[np.ndarray]:
    return [signal[:, i : i + size] for i in range(0, signal.shape[1], size)]


def cut_whole(length: int, size: int = 1_000) -> list[tuple[int, np.ndarray]]:
    signal = np.arange(length, dtype=np.float32)[None]
    return list(cut(blocks(signal, size), WINDOW, OVERLAP))


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 5 * WINDOW), st.integers(1, 3 * WINDOW), st.integers(1, 3))
def test_cutting_and_joining_is_the_identity(length, size, channels):
    signal = np.random.default_rng(length).standard_normal((channels, length)).astype(np.float32)
    joined = np.concatenate(list(join(cut(blocks(signal, size), WINDOW, OVERLAP), OVERLAP)), axis=1)
    assert joined.shape == signal.shape
    assert np.abs(joined - signal).max() < 1e-6


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 6 * WINDOW), st.integers(1, 2 * WINDOW))
def test_pieces_do_not_depend_on_the_blocks(length, size):
    pieces = cut_whole(length, size)
    for start, piece in pieces:
        assert start % GRID == 0
        assert np.array_equal(piece[0], np.arange(start, start + piece.shape[1]))
        assert piece.shape[1] == length or WINDOW <= piece.shape[1] < WINDOW + GRID
    assert [p[0] for p in pieces] == [p[0] for p in cut_whole(length)]
    ends = [start + piece.shape[1] for start, piece in pieces]
    assert ends[-1] == length
    assert all(end - start >= OVERLAP for end, (start, _) in zip(ends[:-1], pieces[1:], strict=True))


@pytest.mark.parametrize(
    ("length", "starts"),
    [
        (1, [0]),
        (WINDOW, [0]),
        (WINDOW + 1, [0, 0]),
        (WINDOW + GRID, [0, GRID]),
        (WINDOW + 8 * GRID, [0, 8 * GRID]),
        (WINDOW + 8 * GRID + 1, [0, 8 * GRID, 8 * GRID]),
        (3 * WINDOW, [0, 8 * GRID, 16 * GRID, 20 * GRID]),
    ],
)
def test_starts_of_pieces(length, starts):
    assert [start for start, _ in cut_whole(length)] == starts


def test_an_empty_signal_has_no_pieces():
    assert cut_whole(0) == []
    assert list(join([], OVERLAP)) == []
    assert list(cut([np.zeros((1, 0), np.float32)], WINDOW, OVERLAP)) == []


def test_joints_are_smooth_and_the_last_piece_is_not_lost():
    """Each piece estimates another constant: the join rises steadily between them, by weights of sum one."""
    length = 3 * WINDOW
    pieces = [(start, np.full_like(piece, i)) for i, (start, piece) in enumerate(cut_whole(length))]
    joined = np.concatenate(list(join(pieces, OVERLAP)), axis=1)[0]
    assert joined[0] == 0
    assert joined[-1] == len(pieces) - 1
    assert (np.diff(joined) >= 0).all()
    assert np.diff(joined).max() < 1.01 * np.pi / 2 / OVERLAP
