"""FLAC files that were joined, and WAV files whose last block of samples is filled up."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import soundfile

from stillwave import audio
from stillwave.audio import flac
from stillwave.errors import AudioError

RATE = 16_000


def noise(path: Path, samples: int, rate: int = RATE) -> np.ndarray:
    """A FLAC file of its own, and what is in it."""
    steps = np.random.default_rng(samples).integers(-3_000, 3_000, (1, samples))
    audio.write(path, (steps / 32_768).astype(np.float32), rate)
    return audio.read(path)[0]


def joined(target: Path, *parts: Path) -> Path:
    target.write_bytes(b"".join(part.read_bytes() for part in parts))
    return target


def without_total(path: Path) -> None:
    """As an encoder leaves a file that it writes into a pipe."""
    with path.open("rb") as handle:
        pieces = list(flac.unlimited(handle))
    content = bytearray(path.read_bytes())
    content[18:26] = (int.from_bytes(pieces[1], "big") & ~(2**36 - 1)).to_bytes(8, "big")
    path.write_bytes(content)


@pytest.mark.parametrize("lengths", [(48_000, 48_000), (48_000, 20_000, 9_000)])
@pytest.mark.parametrize("unknown", [(), (0,), (1,)])
def test_joined_flac_files_are_read_one_after_the_other(tmp_path, lengths, unknown):
    paths = [tmp_path / f"{index}.flac" for index in range(len(lengths))]
    parts = [noise(path, length) for path, length in zip(paths, lengths, strict=True)]
    for index in unknown:
        without_total(paths[index])
    path, expected = joined(tmp_path / "a.flac", *paths), np.concatenate(parts, axis=1)
    samples, _ = audio.read(path)
    assert np.array_equal(samples, expected)
    assert audio.measure(path).frames == sum(lengths)
    assert np.array_equal(audio.read(path, start=50_000, frames=500)[0], expected[:, 50_000:50_500])
    assert audio.probe(path).notes[0].startswith(f"consists of {len(lengths)} recordings")


def test_joined_flac_files_of_two_rates_are_refused(tmp_path):
    noise(tmp_path / "0.flac", 9_000)
    noise(tmp_path / "1.flac", 9_000, 8_000)
    with pytest.raises(AudioError, match=r"a\.flac: .*16000 Hz .* 8000 Hz"):
        audio.probe(joined(tmp_path / "a.flac", tmp_path / "0.flac", tmp_path / "1.flac"))


def test_headers_only_searches_no_file_whose_header_agrees_with_its_last_frame(tmp_path):
    noise(tmp_path / "0.flac", 9_000)
    noise(tmp_path / "1.flac", 8_000)
    equal = joined(tmp_path / "equal.flac", tmp_path / "0.flac", tmp_path / "0.flac")
    longer = joined(tmp_path / "longer.flac", tmp_path / "0.flac", tmp_path / "1.flac")
    for path, by_header in ((equal, 9_000), (longer, 17_000)):
        with audio.open_reader(path, headers_only=True) as reader:
            assert (reader.info.frames, reader.info.exact) == (by_header, True)
    assert audio.probe(equal).frames == 18_000


def blocks(path: Path, subtype: str, stated: int | None = None) -> Path:
    """One second and some samples, in blocks, with the number of samples in `fact`."""
    soundfile.write(path, 0.2 * np.sin(np.arange(16_100) / 10), RATE, subtype=subtype)
    if stated is not None:
        content = bytearray(path.read_bytes())
        at = content.index(b"fact") + 8
        content[at : at + 4] = stated.to_bytes(4, "little")
        path.write_bytes(content)
    return path


@pytest.mark.parametrize("subtype", ["MS_ADPCM", "IMA_ADPCM", "GSM610"])
def test_padding_of_the_last_block_is_dropped(tmp_path, subtype):
    path = blocks(tmp_path / "a.wav", subtype, 16_100)
    assert soundfile.info(path).frames > 16_100
    assert audio.probe(path).frames == 16_100
    samples, _ = audio.read(path)
    assert samples.shape == (1, 16_100)
    assert np.array_equal(samples[0], soundfile.read(path, dtype="float32")[0][:16_100])
    assert audio.read(path, start=16_000)[0].shape == (1, 100)
    with audio.open_reader(path) as reader:
        assert sum(block.shape[1] for block in reader.blocks(777)) == 16_100


@pytest.mark.parametrize("stated", [0, 8_136, 14_000, 20_000])
def test_an_impossible_number_of_samples_is_ignored(tmp_path, stated):
    path = blocks(tmp_path / "a.wav", "IMA_ADPCM", stated)
    assert audio.read(path)[0].shape == (1, soundfile.info(path).frames)


@pytest.mark.skipif(not shutil.which("sox"), reason="needs SoX")
@pytest.mark.parametrize("encoding", ["ms-adpcm", "ima-adpcm"])
def test_files_written_by_sox_keep_their_length(tmp_path, encoding):
    noise(tmp_path / "a.wav", 16_100)
    subprocess.run(
        ["sox", tmp_path / "a.wav", "-e", encoding, tmp_path / "b.wav"], check=True, capture_output=True
    )
    assert audio.read(tmp_path / "b.wav")[0].shape == (1, 16_100)
