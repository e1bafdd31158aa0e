"""`stillwave enhance` on videos and other files that go through ffmpeg."""

from __future__ import annotations

import io
import shutil

import numpy as np
import pytest
from media_clips import MPEG4, PICTURE, lag

from stillwave import audio
from stillwave.audio.ffmpeg.program import inspect
from stillwave.errors import AudioError
from stillwave.inference import Enhancer, enhance_file, enhance_pipe, plan


@pytest.fixture
def enhancer() -> Enhancer:
    """Halves what it is given."""
    from denoisers import Toy, half

    return Enhancer(Toy(half), window_seconds=0.64, overlap_seconds=0.16)


def test_a_video_keeps_its_pictures(tmp_path, enhancer, talk):
    report = enhance_file(enhancer, talk, tmp_path / "clean.mp4")
    assert report.lost_tags == ()
    assert report.notes == ("has 2 audio tracks, of which the first is read",)
    assert report.subtype == "AAC"
    kinds = [stream.kind for stream in inspect(tmp_path / "clean.mp4").streams]
    assert kinds[:4] == ["Video", "Audio", "Audio", "Subtitle"]
    before, after = audio.read(talk)[0], audio.read(tmp_path / "clean.mp4")[0]
    assert abs(lag(after[0], before[0])) <= 2
    assert np.abs(after).mean() / np.abs(before).mean() == pytest.approx(0.5, abs=0.1)
    with pytest.raises(AudioError, match="overwrite=True"):
        enhance_file(enhancer, talk, tmp_path / "clean.mp4")


@pytest.mark.parametrize("name", ["b.wav", "b.flac", "b.opus", "b.m4a", "b.mp3"])
def test_the_audio_of_a_video_can_be_written_alone(tmp_path, enhancer, talk, name):
    report = enhance_file(enhancer, talk, tmp_path / name)
    before, rate = audio.read(talk)
    after, rate_after = audio.read(tmp_path / name)
    assert abs(after.shape[1] / rate_after - before.shape[1] / rate) < 0.05
    assert report.seconds == pytest.approx(before.shape[1] / rate)
    # The bit rate is that of the sound, not of the whole file.
    assert (tmp_path / name).stat().st_size < 120_000 or name in ("b.wav", "b.flac")


def test_surround_keeps_its_channel_layout(tmp_path, enhancer, make):
    speakers = (
        np.eye(6, dtype=np.float32).repeat(16_000, axis=1) * np.tile(np.sin(np.arange(16_000) / 4), 6) * 0.5
    )
    audio.write(tmp_path / "a.wav", speakers.astype(np.float32), 16_000)
    six = ("-channel_layout", "5.1", "-i", tmp_path / "a.wav")
    path = make(tmp_path / "a.mka", *six, "-c:a", "flac")
    assert audio.probe(path).layout == "5.1"
    for name in ("b.mka", "b.ogg", "b.wav"):
        enhance_file(enhancer, path, tmp_path / name)
    loudest = {
        name: np.abs(audio.read(tmp_path / name)[0].reshape(6, 6, -1)).mean(axis=2).argmax(axis=1).tolist()
        for name in ("b.mka", "b.wav", "b.ogg")
    }
    assert loudest["b.mka"] == loudest["b.wav"] == [0, 1, 2, 3, 4, 5]
    assert loudest["b.ogg"][:5] == [0, 2, 1, 4, 5]  # the last, low frequencies alone, does not hold this tone
    lfe = audio.read(tmp_path / "b.mka")[0][3]
    assert np.array_equal(lfe, audio.read(path)[0][3])
    microphones = tmp_path / "array.wav"
    audio.write(microphones, speakers.astype(np.float32), 16_000)
    with pytest.raises(AudioError, match=r"c\.m4a: .*6 channels.*\.wav or \.flac"):
        enhance_file(enhancer, microphones, tmp_path / "c.m4a")


def test_pipes_take_media(enhancer, talk, tmp_path, monkeypatch):
    sink = io.BytesIO()
    enhance_pipe(enhancer, io.BytesIO(talk.read_bytes()), sink)
    assert sink.getvalue()[:4] == b"RIFF"
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(AudioError, match=r"^standard input: .*ffmpeg.*PATH"):
        enhance_pipe(enhancer, io.BytesIO(talk.read_bytes()), io.BytesIO())


def test_failed_conversions_leave_no_file(tmp_path, enhancer, talk, make):
    make(tmp_path / "silent.mp4", *PICTURE, *MPEG4)
    shutil.copy(talk, tmp_path / "talk.mp4")

    def stop(frames: int) -> None:
        raise KeyboardInterrupt

    before = sorted(tmp_path.iterdir())
    with pytest.raises(AudioError, match=r"silent\.mp4: .*only: video"):
        enhance_file(enhancer, tmp_path / "silent.mp4", tmp_path / "b.mp4")
    with pytest.raises(AudioError, match=r"b\.webm: .*VP8"):
        enhance_file(enhancer, talk, tmp_path / "b.webm")
    with pytest.raises(KeyboardInterrupt):
        enhance_file(enhancer, talk, tmp_path / "b.mp4", progress=stop)
    assert sorted(tmp_path.iterdir()) == before


def test_folders_and_names(tmp_path, monkeypatch):
    folder = tmp_path / "in"
    folder.mkdir()
    for name in ("a.wav", "b.mp4", "c.amr", "d.ts", "e.txt"):
        (folder / name).touch()
    targets = {job.source.name: job.target.name for job in plan([folder], tmp_path / "out").jobs}
    assert targets == {"a.wav": "a.wav", "b.mp4": "b.mp4", "c.amr": "c.wav"}
    alone = plan([folder / "b.mp4", folder / "c.amr"]).jobs
    assert [job.target.name for job in alone] == ["b-enhanced.mp4", "c-enhanced.wav"]
    assert plan([folder / "a.wav"], tmp_path / "a.m4a").jobs[0].target == tmp_path / "a.m4a"
    monkeypatch.setenv("PATH", str(folder))
    made = plan([folder], tmp_path / "out")
    assert [job.source.name for job in made.jobs] == ["a.wav"]
    reasons = {path.name: reason for path, reason in made.skipped}
    assert reasons["b.mp4"] == "'.mp4' needs ffmpeg, which is not on the PATH"
