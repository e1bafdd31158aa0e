"""Raw AAC that ends within a frame."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from stillwave.audio.ffmpeg.adts import ends_within_frame


def frame(length: int, seed: int) -> bytes:
    head = bytes([0xFF, 0xF1, 0x50, 0x80 | length >> 11, length >> 3 & 0xFF, (length & 7) << 5 | 0x1F, 0xFC])
    return head + np.random.default_rng(seed).bytes(length - 7)


STREAM = b"".join(frame(300 + 7 * n, n) for n in range(600))  # longer than what is read


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (STREAM, False),
        (STREAM[:-1], True),
        (STREAM[: -(300 + 7 * 599) + 1], True),  # one byte of the last frame is left
        (STREAM[: -(300 + 7 * 599)], False),
        (STREAM[1_000:], False),
        (STREAM[1_000:-9], True),
        (STREAM + b"TAG" + bytes(125), False),
        (frame(100, 0), False),
        (np.random.default_rng(1).bytes(200_000), False),
        (b"", False),
    ],
)
def test_a_cut_last_frame_is_found(tmp_path: Path, data: bytes, expected: bool):
    (tmp_path / "a.aac").write_bytes(data)
    assert ends_within_frame(tmp_path / "a.aac") is expected
