"""Files and pipes through the enhancer, and which file becomes which."""

from __future__ import annotations

import errno
import io
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
import soundfile
from denoisers import Toy, half

from stillwave import audio
from stillwave.errors import AudioError
from stillwave.inference import Enhancer, enhance_file, enhance_pipe, plan

HERE = Path(__file__).parents[1] / "_support"


@pytest.fixture
def enhancer() -> Enhancer:
    return Enhancer(Toy(half), window_seconds=0.64, overlap_seconds=0.16)


def recording(path: Path, seconds: float = 1.0, rate: int = 16_000, channels: int = 1, **options) -> Path:
    time = np.arange(round(seconds * rate)) / rate
    samples = 0.4 * np.sin(2 * np.pi * 440 * time) * np.ones((channels, 1))
    audio.write(path, samples.astype(np.float32), rate, **options)
    return path


@pytest.mark.parametrize(
    ("source", "target", "rate", "channels", "given_subtype", "subtype"),
    [
        ("a.wav", "b.wav", 8_000, 1, "PCM_U8", "PCM_16"),
        ("a.wav", "b.wav", 96_000, 8, "PCM_24", "PCM_24"),
        ("a.wav", "b.wav", 44_100, 2, "FLOAT", "FLOAT"),
        ("a.wav", "b.flac", 192_000, 1, "FLOAT", "PCM_24"),
        ("a.mp3", "b.mp3", 44_100, 2, None, "MPEG_LAYER_III"),
        ("a.opus", "b.opus", 48_000, 2, None, "OPUS"),
        ("a.ogg", "b.ogg", 22_050, 1, "VORBIS", "VORBIS"),
        ("a.aiff", "b.aiff", 48_000, 2, "PCM_24", "PCM_24"),
        ("a.mp3", "b.wav", 22_050, 2, None, "PCM_16"),
    ],
)
def test_a_file_keeps_its_properties(
    tmp_path, enhancer, source, target, rate, channels, given_subtype, subtype
):
    tags = {"title": "A talk", "artist": "Someone", "comment": "On something"}
    recording(tmp_path / source, 1.5, rate, channels, subtype=given_subtype, tags=tags)
    done: list[int] = []
    report = enhancer.enhance_file(tmp_path / source, tmp_path / target, progress=done.append)
    before, _ = audio.read(tmp_path / source)
    after, rate_after = audio.read(tmp_path / target)
    assert (rate_after, after.shape, report.subtype) == (rate, before.shape, subtype)
    assert (report.channels, report.sample_rate, report.clipped) == (channels, rate, 0)
    assert sum(done) == after.shape[1]
    inner = slice(rate // 10, -rate // 10)
    error = (after - before / 2)[:, inner]
    if source[2:] in (
        "mp3",
        "opus",
        "ogg",
    ):  # the encoder adds noise; `enhance` itself is exact here (test_upper_band)
        assert np.sqrt(np.mean(error**2)) < 0.012
    else:
        assert np.abs(error).max() < 4e-3
    if not target.endswith(".aiff"):
        assert tags.items() <= audio.probe(tmp_path / target).tags.items()


def test_files_give_the_samples_of_arrays(tmp_path, enhancer):
    recording(tmp_path / "a.wav", 3, 44_100, 2, subtype="FLOAT")
    enhance_file(enhancer, tmp_path / "a.wav", tmp_path / "b.wav", limit_db=12, rate_out=48_000)
    samples, rate = audio.read(tmp_path / "a.wav")
    expected = enhancer.enhance(samples, rate, limit_db=12, rate_out=48_000)
    found, _ = audio.read(tmp_path / "b.wav")
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() < 1e-6


def test_a_file_replaces_itself_only_with_overwrite(tmp_path, enhancer):
    path = recording(tmp_path / "a.wav")
    before = path.read_bytes()
    with pytest.raises(AudioError, match="overwrite=True"):
        enhance_file(enhancer, path, path)
    assert path.read_bytes() == before
    enhance_file(enhancer, path, path, overwrite=True)
    assert np.abs(audio.read(path)[0]).max() == pytest.approx(0.2, abs=1e-3)
    with pytest.raises(AudioError, match="is a folder"):
        enhance_file(enhancer, path, tmp_path, overwrite=True)


def test_overs_are_clipped_and_reported(tmp_path):
    louder = Enhancer(Toy(lambda noisy: 3 * noisy))
    recording(tmp_path / "a.wav")
    report = louder.enhance_file(tmp_path / "a.wav", tmp_path / "b.wav")
    assert report.peak == pytest.approx(1.2, rel=1e-3)
    assert 100 < report.clipped < 16_000


@pytest.mark.parametrize("samples", [1, 2, 7])
def test_the_shortest_recordings(tmp_path, enhancer, samples):
    for rate in (8_000, 16_000, 44_100, 192_000):
        audio.write(tmp_path / "a.wav", np.full((2, samples), 0.25, np.float32), rate)
        enhance_file(enhancer, tmp_path / "a.wav", tmp_path / "b.wav", overwrite=True)
        assert audio.probe(tmp_path / "b.wav").frames == samples


def test_invalid_recordings_leave_no_file(tmp_path, enhancer):
    spoilt = np.zeros((30_000, 1), np.float32)
    spoilt[29_000] = np.nan
    soundfile.write(tmp_path / "nan.wav", spoilt, 16_000, subtype="FLOAT")
    (tmp_path / "text.wav").write_text("x" * 200)
    whole = recording(tmp_path / "whole.flac", 20)
    (tmp_path / "cut.flac").write_bytes(whole.read_bytes()[:-9_000])
    before = sorted(tmp_path.iterdir())
    for name, words in [("nan.wav", "sample 29000"), ("text.wav", "decoded"), ("cut.flac", "cut.flac: ")]:
        with pytest.raises(AudioError, match=words):
            enhance_file(enhancer, tmp_path / name, tmp_path / "out.wav")
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize("fault", [KeyboardInterrupt(), OSError(errno.ENOSPC, "No space left on device")])
def test_an_interruption_leaves_no_file(tmp_path, enhancer, fault):
    recording(tmp_path / "a.wav", 3)

    def stop(frames: int) -> None:
        raise fault

    with pytest.raises((KeyboardInterrupt, AudioError)) as caught:
        enhance_file(enhancer, tmp_path / "a.wav", tmp_path / "b.wav", progress=stop)
    if isinstance(fault, OSError):
        assert str(caught.value) == f"{tmp_path / 'b.wav'}: cannot be written: No space left on device"
    assert [p.name for p in tmp_path.iterdir()] == ["a.wav"]


def test_a_recording_with_the_wrong_number_of_microphones_is_named(tmp_path):
    recording(tmp_path / "a.wav", channels=2)
    several = Enhancer(Toy(lambda noisy: noisy[:, 0], microphones=4))
    with pytest.raises(AudioError, match=r"a\.wav: .*4 channels.* 2$"):
        several.enhance_file(tmp_path / "a.wav", tmp_path / "b.wav")


def test_output_to_a_pipe_is_wav(tmp_path, enhancer):
    for name in ("a.wav", "a.flac", "a.mp3"):
        source = io.BytesIO(recording(tmp_path / name, 1, 44_100, 2).read_bytes())
        sink = io.BytesIO()
        report = enhance_pipe(enhancer, source, sink, rate_out=16_000)
        sink.seek(0)
        samples, rate = soundfile.read(sink)
        assert (rate, samples.shape, report.format) == (16_000, (16_000, 2), "WAV")
    with pytest.raises(AudioError, match=r"standard input: .*empty"):
        enhance_pipe(enhancer, io.BytesIO(), io.BytesIO())


# Which file becomes which


def touch(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def pairs(made, root: Path) -> list[tuple[str, str]]:
    return [(str(j.source.relative_to(root)), str(j.target.relative_to(root))) for j in made.jobs]


def test_one_file_to_one_file(tmp_path):
    touch(tmp_path / "a.mp3")
    assert pairs(plan([tmp_path / "a.mp3"], tmp_path / "b.flac"), tmp_path) == [("a.mp3", "b.flac")]
    assert pairs(plan([tmp_path / "a.mp3"], tmp_path / "out"), tmp_path) == [("a.mp3", "out/a.mp3")]
    (tmp_path / "folder.wav").mkdir()
    made = plan([tmp_path / "a.mp3"], tmp_path / "folder.wav")
    assert pairs(made, tmp_path) == [("a.mp3", "folder.wav/a.mp3")]


def test_a_folder_keeps_its_structure_and_reports_skipped_files(tmp_path):
    names = ["in/b/c.FLAC", "in/a.wav", "in/notes.txt", "in/.a.wav", "in/README"]
    touch(*(tmp_path / name for name in names))
    made = plan([tmp_path / "in"], tmp_path / "out")
    assert pairs(made, tmp_path) == [("in/a.wav", "out/a.wav"), ("in/b/c.FLAC", "out/b/c.FLAC")]
    assert {p.name: reason for p, reason in made.skipped} == {
        "notes.txt": "not an audio format: '.txt'",
        "README": "not an audio format: 'README'",
        ".a.wav": "hidden file",
    }


def test_outputs_of_an_earlier_run_are_not_inputs(tmp_path):
    touch(tmp_path / "in" / "a.wav", tmp_path / "in" / "enhanced" / "a.wav")
    made = plan([tmp_path / "in"], tmp_path / "in" / "enhanced")
    assert pairs(made, tmp_path) == [("in/a.wav", "in/enhanced/a.wav")]
    assert [reason for _, reason in made.skipped] == ["is in the output folder"]
    assert len(plan([tmp_path / "in"], tmp_path / "in").jobs) == 2


def test_invalid_inputs_and_outputs_are_refused(tmp_path):
    touch(tmp_path / "x" / "a.wav", tmp_path / "y" / "a.wav", tmp_path / "file.wav")
    with pytest.raises(AudioError, match=r"none\.wav: .*no such file"):
        plan([tmp_path / "none.wav"], tmp_path / "out")
    with pytest.raises(AudioError, match=r"y/a\.wav .*x/a\.wav .*out/a\.wav"):
        plan([tmp_path / "x" / "a.wav", tmp_path / "y" / "a.wav"], tmp_path / "out")
    with pytest.raises(AudioError, match=r"file\.wav: is a file"):
        plan([tmp_path / "x"], tmp_path / "file.wav")
    with pytest.raises(AudioError, match=r"a\.wav: .*twice"):
        plan([tmp_path / "x" / "a.wav", tmp_path / "x" / ".." / "x" / "a.wav"], tmp_path / "out")


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads the peak memory from /proc")
@pytest.mark.parametrize("rate", [16_000, 48_000])
def test_an_hour_takes_no_more_memory_than_five_minutes(tmp_path, rate):
    peaks = {}
    for minutes in (5, 60):
        source, target = tmp_path / f"{minutes}.flac", tmp_path / "out.flac"
        with audio.open_writer(source, rate, 1) as writer:
            generator = np.random.default_rng(0)
            for _ in range(minutes * 6):
                writer.write(generator.uniform(-0.1, 0.1, (1, 10 * rate)).astype(np.float32))
        script = f"""
            import sys
            sys.path.insert(0, {str(HERE)!r})
            from denoisers import Toy, half
            from stillwave.inference import Enhancer
            enhancer = Enhancer(Toy(half))
            enhancer.enhance_file({str(source)!r}, {str(target)!r}, overwrite=True, limit_db=20)
            print([line for line in open("/proc/self/status") if line.startswith("VmHWM")][0].split()[1])
        """
        out = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(script)],
            capture_output=True, text=True, check=True, env={**os.environ, "OMP_NUM_THREADS": "1"},
        )  # fmt: skip
        peaks[minutes] = int(out.stdout) / 1024
        assert audio.probe(target).frames == minutes * 60 * rate
        source.unlink()
    print(f"\npeak memory at {rate} Hz, MiB by minutes: {peaks}")
    assert peaks[60] < peaks[5] + 20


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads the peak memory from /proc")
def test_the_command_takes_less_than_400_mb_for_stereo_at_48_khz(tmp_path):
    """Ten minutes: that an hour takes no more is tested above."""
    source, target = tmp_path / "in.wav", tmp_path / "out.wav"
    with audio.open_writer(source, 48_000, 2) as writer:
        generator = np.random.default_rng(0)
        for _ in range(600):
            writer.write(generator.uniform(-0.1, 0.1, (2, 48_000)).astype(np.float32))
    script = f"""
        import sys
        from stillwave.cli import main
        sys.argv = ["stillwave", "enhance", {str(source)!r}, "-o", {str(target)!r}, "--keep-clean", "-q"]
        try:
            main()
        finally:
            print([line for line in open("/proc/self/status") if line.startswith("VmHWM")][0].split()[1])
    """
    out = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, check=True
    )
    assert audio.probe(target).frames == 600 * 48_000
    assert int(out.stdout.split()[-1]) / 1024 < 400


def test_a_suffix_that_is_no_format_is_refused(tmp_path):
    (tmp_path / "in.wav").write_bytes(b"")
    with pytest.raises(AudioError, match=r"out\.xyz: .*'\.xyz'.*\.aif"):
        plan([tmp_path / "in.wav"], tmp_path / "out.xyz")
    assert plan([tmp_path / "in.wav"], tmp_path / "out").jobs[0].target == tmp_path / "out" / "in.wav"


def test_the_default_output_is_next_to_the_input(tmp_path, monkeypatch):
    day = tmp_path / "day.one"
    for path in (tmp_path / "a.b.wav", day / "x.flac", day / "deep" / "y.ogg"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    made = {job.source: job.target for job in plan([tmp_path / "a.b.wav", day]).jobs}
    assert made == {
        tmp_path / "a.b.wav": tmp_path / "a.b-enhanced.wav",
        day / "x.flac": tmp_path / "day.one-enhanced" / "x.flac",
        day / "deep" / "y.ogg": tmp_path / "day.one-enhanced" / "deep" / "y.ogg",
    }
    monkeypatch.chdir(day)
    assert {job.target for job in plan([Path()]).jobs} == {
        tmp_path / "day.one-enhanced" / name for name in ("x.flac", "deep/y.ogg")
    }
    with pytest.raises(AudioError, match=r"a\.b\.wav: .*twice"):
        plan([tmp_path / "a.b.wav", tmp_path / "a.b.wav"])
