"""Bytes of a file in blocks: the same slices and positions as those of `bytes`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from stillwave.audio.views import FileBytes


@pytest.fixture
def content(tmp_path: Path) -> tuple[bytes, Path]:
    """Several blocks of bytes, with words across the borders of blocks and at both ends."""
    content = bytearray(np.random.default_rng(0).integers(0, 255, 3 * 2**20 + 5, np.uint8).tobytes())
    for position in (0, 2**20 - 2, 2 * 2**20 - 1, 2 * 2**20 + 40, len(content) - 4):
        content[position : position + 4] = b"fLaC"
    path = tmp_path / "file"
    path.write_bytes(content)
    return bytes(content), path


def test_a_word_is_found_wherever_blocks_begin(content: tuple[bytes, Path]) -> None:
    expected, path = content
    with path.open("rb") as handle:
        data = FileBytes(handle)
        for start in (0, 1, 2**20 - 2, 2**20 - 1, 2 * 2**20 + 41, len(expected) - 4, len(expected) - 3):
            assert data.find(b"fLaC", start) == expected.find(b"fLaC", start)
        for stop in (3, 4, 2**20 + 1, 2**20 + 2):
            assert data.find(b"fLaC", 0, stop) == expected.find(b"fLaC", 0, stop)
        assert data.find(b"fLaC", 1, 2**20 + 1) == -1
        assert handle.tell() == 0


def test_slices_are_those_of_bytes(content: tuple[bytes, Path]) -> None:
    expected, path = content
    with path.open("rb") as handle:
        data = FileBytes(handle)
        assert len(data) == len(expected)
        for start, stop in (
            (0, 4),
            (2**20 - 3, 2**20 + 9),
            (-128, -125),
            (-3, None),
            (len(expected), len(expected) + 4),
        ):
            assert data[start:stop] == expected[start:stop]
        assert data[2**21 + 7] == expected[2**21 + 7]
        with pytest.raises(IndexError):
            data[len(expected)]


def test_one_block_is_in_memory(content: tuple[bytes, Path]) -> None:
    reads = []
    with content[1].open("rb") as handle:

        class Counted:
            fileno, tell, seek = handle.fileno, handle.tell, handle.seek

            def read(self, size: int) -> bytes:
                reads.append(size)
                return handle.read(size)

        assert FileBytes(Counted()).find(b"absent from the file") == -1
    assert max(reads) == 2**20
    assert len(reads) >= 3


def test_an_empty_file_has_no_bytes(tmp_path: Path) -> None:
    (tmp_path / "empty").write_bytes(b"")
    with (tmp_path / "empty").open("rb") as handle:
        assert (len(FileBytes(handle)), FileBytes(handle).find(b"a"), FileBytes(handle)[:4]) == (
            0,
            -1,
            b"",
        )
