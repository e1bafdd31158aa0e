"""Reading of formats that libsndfile does not support, through ffmpeg."""

from __future__ import annotations

import os
import shutil

import numpy as np
import pytest
from media_clips import MPEG4, PICTURE, RATE, SECONDS, lag, sound

from stillwave import audio
from stillwave.audio.ffmpeg import program as programs
from stillwave.data.scan import scan
from stillwave.errors import AudioError

ALONE = [
    ("a.m4a", "aac", 441), ("a.m4a", "alac", 0), ("a.mka", "flac", 0), ("a.wma", "wmav2", 5_000),
    ("a.aac", "aac", 2_048), ("a.mka", "pcm_f32le", 0), ("a.wv", "wavpack", 0),
]  # fmt: skip


@pytest.mark.parametrize(("name", "codec", "tolerance"), ALONE)
def test_audio_files_are_read(tmp_path, make, wav, name, codec, tolerance):
    path = make(tmp_path / name, "-i", wav, "-c:a", codec)
    info = audio.probe(path)
    assert (info.sample_rate, info.channels, info.exact) == (RATE, 2, False)
    found, rate = audio.read(path)
    expected, _ = audio.read(wav)
    assert rate == RATE
    assert abs(found.shape[1] - expected.shape[1]) <= tolerance
    assert abs(lag(found[0], expected[0])) <= tolerance
    assert audio.measure(path).frames == found.shape[1]
    if codec in ("alac", "flac", "pcm_f32le", "wavpack"):
        assert np.array_equal(found, expected)
        assert info.subtype == ("FLOAT" if codec == "pcm_f32le" else "PCM_16")
    with audio.open_reader(path) as reader:
        blocks = list(reader.blocks(10_007))
    assert np.array_equal(np.concatenate(blocks, axis=1), found)
    assert np.array_equal(audio.read(path, start=20_000, frames=500)[0], found[:, 20_000:20_500])


VIDEOS = [("a.mp4", "aac"), ("a.mov", "aac"), ("a.mkv", "pcm_s16le"), ("a.webm", "libopus")]


@pytest.mark.parametrize(("name", "codec"), VIDEOS)
@pytest.mark.parametrize("late", [0, 0.5])
def test_audio_of_a_video_stays_aligned(tmp_path, make, wav, name, codec, late):
    video = ("-c:v", "libvpx", "-deadline", "realtime", "-cpu-used", "8") if name.endswith("webm") else MPEG4
    inputs = (*PICTURE, "-itsoffset", late, "-i", wav)
    path = make(tmp_path / name, *inputs, "-map", "0:v", "-map", "1:a", *video, "-c:a", codec)
    found, rate = audio.read(path)
    expected = audio.resample(audio.read(wav)[0], RATE, rate)
    # Of an encoder's own delay, containers may or may not speak: 1024 samples, while half a second is 22050.
    assert abs(lag(found[0], expected[0]) - late * rate) <= 1_100


def test_many_channels_at_a_high_rate(tmp_path, make):
    samples = np.stack([sound(0.5, 96_000) / (1 + channel) for channel in range(8)])
    audio.write(tmp_path / "a.wav", samples, 96_000, subtype="PCM_24")
    path = make(tmp_path / "a.mka", "-i", tmp_path / "a.wav", "-c:a", "flac", "-sample_fmt", "s32")
    found, rate = audio.read(path)
    assert (rate, audio.probe(path).subtype) == (96_000, "PCM_24")
    assert np.array_equal(found, audio.read(tmp_path / "a.wav")[0])


@pytest.mark.skipif(os.name == "nt", reason="such names are not possible")
@pytest.mark.parametrize(
    "name",
    ["-i.mp4", "http:x.mp4", "concat:a|b.mp4", "a b'\"$.mp4", "%d.mp4", "pipe:0.mp4", "é\n.mp4", "a.wav"],
)
def test_file_names_are_not_interpreted_by_ffmpeg(tmp_path, monkeypatch, talk, name):
    monkeypatch.chdir(tmp_path)
    shutil.copy(talk, tmp_path / name)
    assert audio.probe(name).channels == 2


def test_a_second_track_is_reported(talk):
    assert audio.probe(talk).notes == ("has 2 audio tracks, of which the first is read",)
    assert audio.probe(talk).tags["title"] == "A talk"


def fails(path, words: str) -> str:
    with pytest.raises(AudioError, match=words) as caught:
        audio.read(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_files_that_are_not_audio_are_refused(tmp_path, make):
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "text.mp4").write_text("no video at all " * 100)
    (tmp_path / "list.m4a").write_text("#EXTM3U\n#EXTINF:10,\nfile:/etc/passwd\n#EXT-X-ENDLIST\n")
    (tmp_path / "list.mp4").write_text("ffconcat version 1.0\nfile 'other.mp4'\n")
    make(tmp_path / "silent.mp4", *PICTURE, *MPEG4)
    fails(tmp_path / "empty.mp4", "empty$")
    fails(tmp_path / "text.mp4", "by ffmpeg: ")
    fails(tmp_path / "list.m4a", "by ffmpeg: ")
    fails(tmp_path / "list.mp4", "by ffmpeg: ")
    fails(tmp_path / "silent.mp4", r"\(only: video\)$")
    (tmp_path / "folder.mp4").mkdir()
    fails(tmp_path / "folder.mp4", "is a folder")


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("a.m4a", ("-c:a", "aac"), "index .* missing"),
        ("a.m4a", ("-c:a", "aac", "-movflags", "+faststart"), r"cut short: .* of the 1.50 s"),
        ("a.mka", ("-c:a", "aac"), "cut short"),
    ],
)
def test_truncated_files_are_refused(tmp_path, make, wav, name, options, words):
    path = make(tmp_path / name, "-i", wav, *options)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * 2 // 3])
    fails(path, words)


def test_errors_during_decoding_are_reported(tmp_path, make, wav):
    path = make(tmp_path / "a.aac", "-i", wav, "-c:a", "aac")
    path.write_bytes(path.read_bytes()[:-100])
    with audio.open_reader(path) as reader:
        assert sum(block.shape[1] for block in reader.blocks(10_000)) > RATE
        assert any("ffmpeg reported" in note for note in reader.notes)


def test_without_ffmpeg_the_error_names_it(tmp_path, monkeypatch, talk, wav):
    monkeypatch.setenv("PATH", str(tmp_path))
    fails(
        talk,
        r"'\.mp4' files need ffmpeg, which is not on the PATH; install it .* or convert the file to wav$",
    )
    assert audio.probe(wav).frames
    (tmp_path / "in").mkdir()
    shutil.copy(talk, tmp_path / "in" / "a.mp4")
    shutil.copy(wav, tmp_path / "in" / "a.wav")
    found = scan(tmp_path / "in")
    assert [item.path.name for item in found.recordings] == ["a.wav"]
    assert found.reasons() == {"needs ffmpeg": 1}


def test_a_scan_finds_media_and_their_true_length(tmp_path, make, wav):
    make(tmp_path / "a.m4a", "-i", wav, "-c:a", "alac")
    (tmp_path / "index.ts").write_text("export default 1")
    for decode in (True, False):
        found = scan(tmp_path, decode=decode)
        assert [item.seconds for item in found.recordings] == [SECONDS]


@pytest.mark.skipif(os.name == "nt", reason="there are no such files")
def test_named_pipes_are_refused(tmp_path):
    os.mkfifo(tmp_path / "a.mp4")
    fails(tmp_path / "a.mp4", "is not a regular file")


def test_ffmpeg_ends_with_its_reader(monkeypatch, talk):
    started = []

    class Watched(programs.subprocess.Popen):
        def __init__(self, *args, **options):
            super().__init__(*args, **options)
            started.append(self)

    monkeypatch.setattr(programs.subprocess, "Popen", Watched)
    with audio.open_reader(talk) as reader:
        reader.read(100)
        assert started[0].poll() is None
    assert started[0].poll() is not None
    with pytest.raises(KeyboardInterrupt), audio.open_reader(talk):
        raise KeyboardInterrupt
    assert all(process.poll() is not None for process in started)


@pytest.mark.parametrize("name", ["a.mp3", "a.wav", "a.flac"])
def test_media_with_another_suffix_are_read(tmp_path, make, wav, monkeypatch, name):
    """AAC data holds what look like frames of MP3."""
    made = make(tmp_path / "a.m4a", "-i", wav, "-c:a", "aac")
    path = tmp_path / name
    shutil.copy(made, path)
    assert np.array_equal(audio.read(path)[0], audio.read(made)[0])
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(AudioError, match=rf"{name}: .*ffmpeg.*PATH"):
        audio.read(path)
