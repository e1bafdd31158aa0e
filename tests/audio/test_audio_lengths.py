"""Lengths in headers are verified: everything is decoded, and durations are those of the samples."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile

from stillwave import audio
from stillwave.audio import mpeg
from stillwave.data.decoded_cache import DecodedAudioCache
from stillwave.data.scan import scan
from stillwave.errors import AudioError

RATE = 44_100


def crescendo(seconds: float = 4, rate: int = RATE) -> np.ndarray:
    """Quiet first: the first frames of a variable bit rate are small, and say little of the rest."""
    time = np.arange(round(seconds * rate)) / rate
    noise = np.random.default_rng(0).standard_normal(len(time))
    return (0.2 * noise * (time / seconds) ** 4).astype(np.float32)


def mp3(
    path: Path, samples: np.ndarray, rate: int = RATE, channels: int = 1, mode: str = "VARIABLE"
) -> bytes:
    shown = np.tile(samples[:, None], (1, channels))
    soundfile.write(path, shown, rate, format="MP3", subtype="MPEG_LAYER_III", bitrate_mode=mode)
    return path.read_bytes()


def untagged(path: Path) -> bytes:
    """Without the first frame, which states the length."""
    with path.open("rb") as handle:
        tag = mpeg.walk(handle).streams[0].tag
    content = path.read_bytes()
    return content[: tag.start] + content[tag.stop :]


def blocks_of(path: Path) -> np.ndarray:
    with audio.open_reader(path) as reader:
        return np.concatenate(list(reader.blocks(10_007)), axis=1)


def read_in_all_ways(path: Path, frames: int) -> np.ndarray:
    whole, _ = audio.read(path)
    assert whole.shape[1] == frames
    assert np.array_equal(blocks_of(path), whole)
    assert audio.measure(path).frames == frames
    assert audio.measure(path).exact
    part, _ = audio.read(path, start=frames - 1_000, frames=2_000)
    assert np.array_equal(part, whole[:, -1_000:])
    return whole


@pytest.mark.parametrize("mode", ["CONSTANT", "AVERAGE", "VARIABLE"])
@pytest.mark.parametrize("rate", [8_000, 16_000, 44_100, 48_000])
@pytest.mark.parametrize("channels", [1, 2])
def test_mp3_without_a_stated_length_is_read_to_its_end(tmp_path, mode, rate, channels):
    tagged = tmp_path / "tagged.mp3"
    mp3(tagged, crescendo(rate=rate), rate, channels, mode)
    path = tmp_path / "a.mp3"
    path.write_bytes(untagged(tagged))
    whole = read_in_all_ways(path, audio.probe(path).frames)
    exact = audio.read(tagged)[0]
    assert exact.shape[1] == 4 * rate
    # The padding of the encoder is not stated, so it stays: some frames at both ends.
    assert 0 < whole.shape[1] - exact.shape[1] < 4 * 1152
    lag = 1105  # LAME's delay of 576 samples, and the decoder's of 529
    assert np.abs(whole[:, lag : lag + exact.shape[1]] - exact).max() < 1e-4


def test_joined_mp3_files_are_read_one_after_the_other(tmp_path):
    first, second = mp3(tmp_path / "1.mp3", crescendo(2)), mp3(tmp_path / "2.mp3", crescendo(3)[::-1])
    tag = b"ID3\x03\0\0" + bytes([0, 0, 10, 0]) + bytes(10 << 7)
    path = tmp_path / "a.mp3"
    path.write_bytes(first + tag + second)
    whole = read_in_all_ways(path, 5 * RATE)
    assert np.array_equal(whole[:, : 2 * RATE], audio.read(tmp_path / "1.mp3")[0])
    assert np.array_equal(whole[:, 2 * RATE :], audio.read(tmp_path / "2.mp3")[0])
    assert audio.probe(path).notes == ("consists of 2 recordings, which are read in sequence",)
    path.write_bytes(first + untagged(tmp_path / "2.mp3"))
    assert blocks_of(path).shape[1] >= 5 * RATE


def test_bytes_between_mp3_frames_are_skipped_and_counted(tmp_path):
    content = mp3(tmp_path / "1.mp3", crescendo())
    with (tmp_path / "1.mp3").open("rb") as handle:
        span = mpeg.walk(handle).streams[0].spans[0]
    middle = mpeg_border(content, span)
    path = tmp_path / "a.mp3"
    path.write_bytes(content[:middle] + b"\x55" * 5_000 + content[middle:])
    assert np.array_equal(read_in_all_ways(path, 4 * RATE), audio.read(tmp_path / "1.mp3")[0])
    assert audio.probe(path).notes == ("5000 bytes between its frames are not audio and were skipped",)


def mpeg_border(content: bytes, span: mpeg.Span) -> int:
    """Return the start of a frame in the middle of MPEG-1 layer III at 44.1 kHz, by the size in each header."""
    kilobits = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
    position = span.start
    while position < (span.start + span.stop) // 2:
        third = content[position + 2]
        position += 144_000 * kilobits[third >> 4] // RATE + (third >> 1 & 1)
    return position


def test_mp3_with_a_wrong_stated_length(tmp_path):
    content = mp3(tmp_path / "1.mp3", crescendo())
    at = content.index(b"Xing") + 8
    stated = struct.unpack(">I", content[at : at + 4])[0]
    for wrong in (stated + 1, stated - 1, stated // 4, 10 * stated):
        path = tmp_path / f"{wrong}.mp3"
        path.write_bytes(content[:at] + struct.pack(">I", wrong) + content[at + 4 :])
        frames = blocks_of(path).shape[1]
        assert 4 * RATE <= frames < 4 * RATE + 3 * 1152
        read_in_all_ways(path, frames)


def test_truncated_mp3_is_refused_if_detectable(tmp_path):
    content = mp3(tmp_path / "1.mp3", crescendo())
    bare = untagged(tmp_path / "1.mp3")
    path = tmp_path / "a.mp3"
    for cut in (10, len(content) // 2):
        path.write_bytes(content[:-cut])
        with pytest.raises(AudioError, match=r"a\.mp3: cut short: \d+ of \d+ frames"):
            audio.probe(path)
    path.write_bytes(bare[:-10])
    assert audio.probe(path).notes == ("ends within a frame; it may have been cut short",)
    assert blocks_of(path).shape[1] == audio.measure(path).frames > 3.9 * RATE
    path.write_bytes(bare[len(bare) // 2 + 3 :])  # begins within a frame
    assert blocks_of(path).shape[1] == audio.measure(path).frames > RATE / 2


@pytest.mark.parametrize("before", [0, 300, 5_000])
@pytest.mark.parametrize("behind", [b"", bytes(3_000), b"TAG" + bytes(125)])
def test_tags_and_zeros_around_mp3_are_not_audio(tmp_path, before, behind):
    content = mp3(tmp_path / "1.mp3", crescendo(1))
    path = tmp_path / "a.mp3"
    path.write_bytes(bytes(before) + content + behind)
    assert np.array_equal(read_in_all_ways(path, RATE), audio.read(tmp_path / "1.mp3")[0])


@pytest.mark.parametrize(
    ("suffix", "rate"), [(".ogg", 44_100), (".ogg", 16_000), (".opus", 48_000), (".opus", 16_000)]
)
def test_chained_ogg_is_read_to_its_end(tmp_path, suffix, rate):
    names = [tmp_path / f"{index}{suffix}" for index in range(3)]
    for index, name in enumerate(names):
        audio.write(name, crescendo((1 + index) / 4, rate), rate)
    path = tmp_path / f"a{suffix}"
    path.write_bytes(b"".join(name.read_bytes() for name in names))
    info = audio.probe(path)
    assert (info.frames, info.exact) == (6 * rate // 4, True)
    whole = read_in_all_ways(path, 6 * rate // 4)
    assert np.array_equal(whole, np.concatenate([audio.read(name)[0] for name in names], axis=1))


@pytest.mark.parametrize("suffix", [".ogg", ".mp3"])
@pytest.mark.parametrize(("rate", "channels"), [(22_050, 1), (44_100, 2)])
def test_parts_that_differ_are_refused_in_one_sentence(tmp_path, suffix, rate, channels):
    audio.write(tmp_path / f"1{suffix}", crescendo(1), RATE)
    audio.write(tmp_path / f"2{suffix}", np.tile(crescendo(1, rate), (channels, 1)), rate)
    path = tmp_path / f"a{suffix}"
    path.write_bytes(b"".join((tmp_path / f"{n}{suffix}").read_bytes() for n in (1, 2)))
    with pytest.raises(
        AudioError, match=rf"parts differ: 44100 Hz and 1 channel\(s\), then {rate} Hz and {channels}"
    ):
        audio.probe(path)


@pytest.mark.parametrize("stated", [0, 1, 100_000, 4 * RATE - 1])
@pytest.mark.parametrize("prefix", [b"", b"ID3\x03\0\0" + bytes([0, 0, 1, 0]) + bytes(128)])
def test_flac_with_too_small_a_total_is_read_to_its_end(tmp_path, stated, prefix):
    audio.write(tmp_path / "a.flac", crescendo(), RATE)
    expected, _ = audio.read(tmp_path / "a.flac")
    content = bytearray((tmp_path / "a.flac").read_bytes())
    content[18:26] = (int.from_bytes(content[18:26], "big") >> 36 << 36 | stated).to_bytes(8, "big")
    (tmp_path / "a.flac").write_bytes(prefix + content)
    assert not audio.probe(tmp_path / "a.flac").exact
    assert np.array_equal(read_in_all_ways(tmp_path / "a.flac", 4 * RATE), expected)


def test_flac_that_is_whole_needs_no_decoding(tmp_path):
    audio.write(tmp_path / "a.flac", crescendo(), RATE)
    info = audio.probe(tmp_path / "a.flac")
    assert (info.frames, info.exact) == (4 * RATE, True)


SIZES = [
    ("WAV", "<I", 40, [0, 0x7FFFF000, 0xFFFFFFFF]), ("RF64", "<Q", 28, [0, 2**64 - 1]),
    ("AU", ">I", 8, [0, 0xFFFFFFFF]), ("AIFF", ">I", 42, [0, 8, 0xFFFFFFFF]),
    ("CAF", ">Q", 4_084, [0, 2**64 - 1]), ("W64", "<Q", 96, [0, 24, 2**63 - 1]),
]  # fmt: skip


@pytest.mark.parametrize(("form", "kind", "at", "sizes"), SIZES)
def test_a_size_of_zero_or_the_largest_size_is_ignored(tmp_path, form, kind, at, sizes):
    path = tmp_path / "a"
    soundfile.write(path, crescendo(0.1), RATE, format=form, subtype="PCM_16")
    expected, _ = audio.read(path)
    content = path.read_bytes()
    width = struct.calcsize(kind)
    for size in sizes:
        path.write_bytes(content[:at] + struct.pack(kind, size) + content[at + width :])
        assert np.array_equal(read_in_all_ways(path, 4_410), expected), size
    assert struct.unpack(kind, content[at : at + width])[0] >= 8_820, "the size stands here"


@pytest.mark.parametrize("form", ["WAV", "RF64", "AU", "AIFF", "CAF", "W64", "NIST"])
def test_a_file_that_is_shorter_than_its_header_says_is_refused(tmp_path, form):
    path = tmp_path / "a"
    soundfile.write(path, crescendo(0.1), RATE, format=form, subtype="PCM_16")
    path.write_bytes(path.read_bytes()[:-500])
    with pytest.raises(AudioError, match="a: cut short: 500 bytes"):
        audio.probe(path)


def test_an_empty_recording_with_a_trailing_comment_is_empty(tmp_path):
    path = tmp_path / "a.wav"
    soundfile.write(path, np.zeros((0, 1)), RATE)
    path.write_bytes(path.read_bytes() + b"LIST" + struct.pack("<I", 4) + b"INFO")
    with pytest.raises(AudioError, match="no samples"):
        audio.probe(path)


def test_an_outdated_header_is_reported(tmp_path):
    path = tmp_path / "a.wav"
    soundfile.write(path, crescendo(0.1), RATE)
    content = path.read_bytes()
    path.write_bytes(content[:40] + struct.pack("<I", 1_000) + content[44:])
    assert audio.probe(path).notes == ("7820 bytes after the samples that its header states were not read",)
    assert audio.read(path)[0].shape == (1, 500)


@pytest.mark.parametrize("stated", [8_820, 0, 0xFFFFFFFF])
def test_more_than_four_gigabytes_behind_a_size_of_32_bits(tmp_path, stated):
    path = tmp_path / "a.wav"
    soundfile.write(path, crescendo(0.1), RATE)
    expected, _ = audio.read(path)
    with path.open("r+b") as handle:
        handle.seek(40)
        handle.write(struct.pack("<I", stated))
        handle.truncate(44 + 8_820 + 2**32)  # sparse: nothing is written
    assert audio.probe(path).frames == (8_820 + 2**32) // 2
    assert np.array_equal(audio.read(path, frames=4_410)[0], expected)


def test_the_length_of_wav_that_contains_mp3_is_counted(tmp_path):
    content = mp3(tmp_path / "a.mp3", crescendo(), mode="CONSTANT")
    form = struct.pack("<HHIIHHHHIHHH", 0x55, 1, RATE, 16_000, 1, 0, 12, 1, 2, 417, 1, 1105)
    chunks = (
        b"fmt " + struct.pack("<I", len(form)) + form + b"data" + struct.pack("<I", len(content)) + content
    )
    (tmp_path / "a.wav").write_bytes(b"RIFF" + struct.pack("<I", 4 + len(chunks)) + b"WAVE" + chunks)
    assert not audio.probe(tmp_path / "a.wav").exact
    assert blocks_of(tmp_path / "a.wav").shape[1] == audio.measure(tmp_path / "a.wav").frames


def test_manifests_and_training_get_the_true_length(tmp_path):
    mp3(tmp_path / "1.mp3", crescendo())
    (tmp_path / "in").mkdir()
    path = tmp_path / "in" / "a.mp3"
    path.write_bytes(untagged(tmp_path / "1.mp3"))
    frames = blocks_of(path).shape[1]
    assert soundfile.info(path).frames != frames, "libsndfile itself guesses"
    audio.write(tmp_path / "in" / "b.flac", crescendo(), RATE)
    content = bytearray((tmp_path / "in" / "b.flac").read_bytes())
    content[21:26] = bytes([content[21] & 0xF0, 0, 0, 16, 0])
    (tmp_path / "in" / "b.flac").write_bytes(content)
    for decode in (True, False):
        found = scan(tmp_path / "in", decode=decode).recordings
        assert [recording.seconds for recording in found] == [frames / RATE, 4.0]
    clip = DecodedAudioCache(tmp_path / "cache").open(found[0])
    assert abs(clip.frames - frames * 16_000 / RATE) <= 1


APE_ITEM = struct.pack("<II", 3, 0) + b"Title\0abc"
APE = b"APETAGEX" + struct.pack("<IIII", 2_000, len(APE_ITEM) + 32, 1, 0xA0000000) + bytes(8)


@pytest.mark.parametrize(
    "tags", [b"TAG" + bytes(125), APE + APE_ITEM + APE, APE + APE_ITEM + APE + b"TAG" + bytes(125)]
)
@pytest.mark.parametrize("stated", [True, False])
def test_mp3_tags_after_flac_are_not_samples(tmp_path, tags, stated):
    path = tmp_path / "a.flac"
    audio.write(path, crescendo()[None], RATE)
    expected, _ = audio.read(path)
    content = bytearray(path.read_bytes())
    if not stated:
        content[21] &= 0xF0
        content[22:26] = bytes(4)
    path.write_bytes(bytes(content) + tags)
    assert np.array_equal(read_in_all_ways(path, expected.shape[1]), expected)
