"""WAV as bytes in order equals the file that `open_writer` writes."""

from __future__ import annotations

import numpy as np
import pytest

from stillwave.audio import open_writer
from stillwave.audio.wav_bytes import WavBytes
from stillwave.errors import AudioError


def noise(channels: int, samples: int) -> np.ndarray:
    found = 0.5 * np.random.default_rng(0).standard_normal((channels, samples)).astype(np.float32)
    found[0, :2] = 1.0, -1.5
    return found


@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE"])
@pytest.mark.parametrize("channels", [1, 2, 3])
@pytest.mark.parametrize("frames", [2, 5, 1_001])
@pytest.mark.parametrize("tags", [{}, {"title": "Odd", "comment": "even"}])
def test_the_bytes_are_those_of_the_file(tmp_path, subtype, channels, frames, tags):
    samples, target = noise(channels, frames), tmp_path / "file.wav"
    with open_writer(target, 44_100, channels, subtype=subtype, tags=tags, frames=frames) as writer:
        writer.write(samples)
    wav = WavBytes(tmp_path / "scratch.wav", 44_100, channels, frames, subtype, tags)
    parts = [wav.samples(part) for part in np.array_split(samples, 3, axis=1)]
    assert wav.header + b"".join(parts) + wav.trailer == target.read_bytes()
    assert wav.size == target.stat().st_size
    assert not (tmp_path / "scratch.wav").exists()


def test_more_than_4_gb_are_refused(tmp_path):
    with pytest.raises(AudioError, match="4 GB"):
        WavBytes(tmp_path / "scratch.wav", 48_000, 8, 2**28, "FLOAT")
