"""Writing through ffmpeg: audio files, and videos whose first audio track is replaced."""

from __future__ import annotations

import subprocess

import numpy as np
import pytest
from media_clips import MPEG4, PICTURE, RATE, SECONDS, lag, sound

from stillwave import audio
from stillwave.audio.ffmpeg import open_encoder
from stillwave.audio.ffmpeg.program import inspect
from stillwave.errors import AudioError


def rewrite(original, target, gain=1.0, **options):
    """The original's sound, louder or softer, in place of its own."""
    samples, rate = audio.read(original)
    info = audio.probe(original)
    options = {"tags": info.tags, "subtype": info.subtype, **options}
    with open_encoder(target, rate, len(samples), original=original, **options) as writer:
        for start in range(0, samples.shape[1], 30_000):
            writer.write(np.float32(gain) * samples[:, start : start + 30_000])
    return writer.report


@pytest.fixture
def packets(program):
    """The packets of streams, as they are stored: their hashes."""

    def of(path, streams: str) -> list[str]:
        command = [program / "ffmpeg", "-v", "error", "-i", f"file:{path}", "-map", streams, "-c", "copy"]
        done = subprocess.run([*command, "-f", "framemd5", "-"], capture_output=True, text=True, check=True)
        return [line.split(",")[-1].strip() for line in done.stdout.splitlines() if not line.startswith("#")]

    return of


@pytest.mark.parametrize(
    ("name", "subtype", "tolerance"),
    [("b.m4a", "AAC", 1_024), ("b.webm", "OPUS", 0), ("b.aac", "AAC", 1_024), ("b.wma", "WMAV2", 2_048)],
)  # fmt: skip
def test_audio_files_keep_length_and_alignment(tmp_path, wav, name, subtype, tolerance):
    report = rewrite(wav, tmp_path / name, tags={"title": "A -talk: 'x'"})
    expected, _ = audio.read(wav)
    found, rate = audio.read(tmp_path / name)
    found = audio.resample(found, rate, RATE)
    assert (report.subtype, report.frames, report.channels) == (subtype, round(SECONDS * RATE), 2)
    assert abs(found.shape[1] - expected.shape[1]) <= tolerance + 2_048 * (subtype == "WMAV2")
    assert abs(lag(found[0], expected[0])) <= (tolerance if subtype == "WMAV2" else 1)
    if not name.endswith("aac"):
        assert audio.probe(tmp_path / name).tags["title"] == "A -talk: 'x'"


@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24"])
def test_lossless_audio_is_unchanged(tmp_path, make, subtype):
    audio.write(tmp_path / "a.wav", sound(), RATE, subtype=subtype)
    made = make(tmp_path / "a.m4a", "-i", tmp_path / "a.wav", "-c:a", "alac")
    assert audio.probe(made).subtype == subtype
    rewrite(made, tmp_path / "b.m4a")
    assert np.array_equal(audio.read(tmp_path / "b.m4a")[0], audio.read(tmp_path / "a.wav")[0])
    assert audio.probe(tmp_path / "b.m4a").subtype == subtype
    assert rewrite(made, tmp_path / "c.m4a", gain=4).clipped > 0


def test_a_video_keeps_all_but_its_first_track(tmp_path, talk, packets):
    report = rewrite(talk, tmp_path / "b.mp4", gain=0.5)
    assert report.lost_tags == ()
    before, after = inspect(talk), inspect(tmp_path / "b.mp4")
    assert [(s.kind, s.codec) for s in after.streams] == [(s.kind, s.codec) for s in before.streams]
    for streams in ("0:v", "0:a:1", "0:s"):
        assert packets(tmp_path / "b.mp4", streams) == packets(talk, streams)
    assert after.tags["title"] == "A talk"
    first, second = audio.read(talk)[0], audio.read(tmp_path / "b.mp4")[0]
    assert abs(lag(second[0], first[0])) <= 1
    level = np.abs(second).mean() / np.abs(first).mean()
    assert level == pytest.approx(0.5, abs=0.02)


def test_chapters_languages_and_titles_stay(tmp_path, talk, program):
    rewrite(talk, tmp_path / "b.mp4")
    listed = [
        subprocess.run(
            [program / "ffmpeg", "-hide_banner", "-i", path], capture_output=True, text=True
        ).stderr
        for path in (talk, tmp_path / "b.mp4")
    ]
    for text in listed:
        assert text.count("Chapter #0") == 2
        assert "Opening" in text
        assert text.index("(eng): Audio") < text.index("(deu): Audio")


@pytest.mark.parametrize(
    ("name", "codec"), [("a.mkv", "aac"), ("a.mkv", "flac"), ("a.ts", "mp2"), ("a.mov", "aac")]
)
def test_audio_and_video_stay_in_sync(tmp_path, make, wav, packets, name, codec):
    """Where the picture begins may move with the sound, not against it."""
    inputs = (*PICTURE, "-itsoffset", 0.3, "-i", wav)
    video = ("-c:v", "mpeg2video") if name == "a.ts" else MPEG4
    path = make(tmp_path / name, *inputs, "-map", "0:v", "-map", "1:a", *video, "-c:a", codec)
    rewrite(path, tmp_path / f"b{name}")
    assert packets(tmp_path / f"b{name}", "0:v") == packets(path, "0:v")
    shift = lag(audio.read(tmp_path / f"b{name}")[0][0], audio.read(path)[0][0]) / RATE
    moved = starts(make, tmp_path / f"b{name}") - starts(make, path)
    assert abs(shift - moved) < 0.005


def starts(make, path) -> float:
    """When the picture begins, counted from the file's start."""
    target = make(path.with_suffix(".framecrc"), "-i", path, "-map", "0:v", "-c", "copy", "-f", "framecrc")
    lines = target.read_text().splitlines()
    base = next(line for line in lines if line.startswith("#tb 0: ")).split()[2].split("/")
    first = next(line for line in lines if not line.startswith("#"))
    return int(first.split(",")[2]) * int(base[0]) / int(base[1])


def test_formats_without_video_get_the_audio_only(tmp_path, talk):
    report = rewrite(talk, tmp_path / "b.m4a")
    assert len(inspect(tmp_path / "b.m4a").streams) == 1
    assert report.lost_tags == (
        "video stream 0 (mpeg4)", "audio stream 2 (aac)", "subtitle stream 3 (mov_text)"
    )  # fmt: skip


def test_streams_that_a_container_cannot_hold_are_refused(tmp_path, talk, wav):
    with pytest.raises(AudioError, match=r"b\.webm: .*VP8") as caught:
        rewrite(talk, tmp_path / "b.webm")
    assert "\n" not in str(caught.value)
    with (
        pytest.raises(AudioError, match=r"b\.wma: asf .*2 channels, not 3"),
        open_encoder(tmp_path / "b.wma", RATE, 3, original=wav, tags={}),
    ):
        pass
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("fault", [KeyboardInterrupt, RuntimeError])
def test_an_interruption_leaves_no_file(tmp_path, talk, fault):
    (tmp_path / "b.mp4").write_text("before")
    with pytest.raises(fault), open_encoder(tmp_path / "b.mp4", RATE, 1, original=talk, tags={}) as writer:
        writer.write(sound()[None])
        raise fault
    assert [path.name for path in tmp_path.iterdir()] == ["b.mp4"]
    assert (tmp_path / "b.mp4").read_text() == "before"


def test_a_killed_ffmpeg_is_reported(tmp_path, wav, monkeypatch):
    started = []

    class Recorded(subprocess.Popen):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)
            started.append(self)

    monkeypatch.setattr(subprocess, "Popen", Recorded)
    with (
        pytest.raises(AudioError, match=r"b\.m4a: .*ffmpeg"),
        open_encoder(tmp_path / "b.m4a", RATE, 1, original=wav, tags={}) as writer,
    ):
        started[-1].kill()
        for _ in range(20):
            writer.write(np.zeros((1, 100_000), np.float32))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["b.m4a", "b.mka", "b.webm"])
def test_the_same_samples_give_the_same_bytes(tmp_path, wav, name):
    for folder in ("1", "2"):
        rewrite(wav, tmp_path / folder / name)
    assert (tmp_path / "1" / name).read_bytes() == (tmp_path / "2" / name).read_bytes()


@pytest.mark.parametrize("name", ["b.mov", "b.mp4"])
def test_a_timecode_is_kept(tmp_path, make, wav, name):
    made = make(
        tmp_path / "a.mov", *PICTURE, "-i", wav, "-timecode", "01:00:00:00", *MPEG4, "-c:a", "pcm_s16le"
    )
    report = rewrite(made, tmp_path / name)
    assert report.lost_tags == ()
    assert any("tmcd" in stream.description for stream in inspect(tmp_path / name).streams)
