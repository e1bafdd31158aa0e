"""`stillwave enhance`: files, folders and pipes, and their errors."""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
import typer
from typer.testing import CliRunner

import stillwave
from stillwave import audio, checkpoint, pretrained
from stillwave.cli import guard
from stillwave.cli.enhance import enhance
from stillwave.errors import StillwaveError
from stillwave.models import build
from stillwave.schema import ModelConfig


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    torch.manual_seed(0)
    network = build(ModelConfig(channels=8, blocks=1))
    folder = tmp_path_factory.mktemp("model") / "c"
    checkpoint.save(folder, network, checkpoint.Card(model=network.config))
    return folder


@pytest.fixture
def run(model):
    app = typer.Typer()
    app.command()(guard(enhance))

    def call(*arguments, with_model=True, input=None):
        chosen = ["--model", str(model), "--device", "cpu"] if with_model else []
        return CliRunner().invoke(app, [*(str(a) for a in arguments), *chosen], input=input)

    return call


def recording(path: Path, samples: int = 2_000, rate: int = 16_000, channels: int = 1) -> Path:
    noise = 0.1 * np.random.default_rng(0).standard_normal((channels, samples))
    audio.write(path, noise, rate)
    return path


def test_one_file(tmp_path, run):
    recording(tmp_path / "a.wav", rate=48_000, channels=2)
    result = run(tmp_path / "a.wav", "-o", tmp_path / "b.flac")
    assert result.exit_code == 0, result.stderr
    assert result.stdout == ""
    assert "1 enhanced, 0 failed, 0 skipped" in result.stderr
    info = audio.probe(tmp_path / "b.flac")
    assert (info.sample_rate, info.channels, info.frames) == (48_000, 2, 2_000)


def test_options_reach_the_enhancer(tmp_path, run):
    source = recording(tmp_path / "a.wav")
    assert run(source, "-o", tmp_path / "b.wav", "--limit-db", 0, "--rate", 8_000).exit_code == 0
    found, rate = audio.read(tmp_path / "b.wav")
    samples, _ = audio.read(source)
    assert rate == 8_000
    assert np.abs(found - audio.resample(samples, 16_000, 8_000)).max() < 2**-15


def test_a_folder_with_good_and_bad_files(tmp_path, run):
    recording(tmp_path / "in" / "deep" / "a.wav")
    recording(tmp_path / "in" / "z.mp3")
    (tmp_path / "in" / "bad.wav").write_text("no audio")
    (tmp_path / "in" / "notes.txt").write_text("notes")
    result = run(tmp_path / "in", "-o", tmp_path / "out", "--json")
    assert result.exit_code == 1
    rows = {Path(row["source"]).name: row for row in json.loads(result.stdout)}
    assert rows["notes.txt"]["skipped"] == "not an audio format: '.txt'"
    assert "cannot be decoded" in rows["bad.wav"]["error"]
    assert rows["a.wav"]["target"] == str(tmp_path / "out" / "deep" / "a.wav")
    assert rows["z.mp3"]["subtype"] == "MPEG_LAYER_III"
    assert "2 enhanced, 1 failed, 1 skipped" in result.stderr
    assert str(tmp_path / "in" / "bad.wav") in result.stderr
    made = sorted(str(p.relative_to(tmp_path / "out")) for p in (tmp_path / "out").rglob("*.*"))
    assert made == ["deep/a.wav", "z.mp3"]


def test_nothing_is_overwritten_without_the_option(tmp_path, run):
    source = recording(tmp_path / "a.wav")
    target = tmp_path / "b.wav"
    target.write_text("precious")
    result = run(source, "-o", target)
    assert result.exit_code == 1
    assert "exists already; it is replaced only with --overwrite" in result.stderr
    assert target.read_text() == "precious"
    assert run(source, "-o", target, "--overwrite").exit_code == 0
    assert audio.probe(target).frames == 2_000


def test_a_pipe(tmp_path, run):
    source = recording(tmp_path / "a.flac", rate=44_100)
    result = run("-", "-o", "-", input=source.read_bytes())
    assert result.exit_code == 0, result.stderr
    samples, rate = soundfile.read(io.BytesIO(result.stdout_bytes))
    assert (rate, samples.shape) == (44_100, (2_000,))


def test_an_empty_pipe_is_reported(run):
    result = run("-", "-o", "-", input=b"")
    assert result.exit_code == 2
    assert result.stdout == ""
    assert "standard input: the file is empty" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["-", "-o", "b.wav"], "- must be the only input"),
        (["a.wav", "-o", "-"], "- must be the only input"),
        (["-", "a.wav", "-o", "-"], "- must be the only input"),
        (["-", "-o", "-", "--json"], "would both write to stdout"),
        (["none.wav", "-o", "b.wav"], "none.wav: there is no such file or folder"),
        ([".", "-o", "out"], "the inputs contain no recordings"),
    ],
)
def test_invalid_options_are_refused_before_any_work(tmp_path, run, monkeypatch, arguments, words):
    monkeypatch.chdir(tmp_path)
    result = run(*arguments)
    assert result.exit_code == 2
    assert words in result.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("stream", ["stdin", "stdout"])
def test_a_terminal_is_refused(stream, monkeypatch):
    class Stream:
        def __init__(self, name: str) -> None:
            self.isatty = lambda: name == stream

    monkeypatch.setattr(sys, "stdin", Stream("stdin"))
    monkeypatch.setattr(sys, "stdout", Stream("stdout"))
    with pytest.raises(StillwaveError, match=f"{stream} is a terminal"):
        enhance([Path("-")], Path("-"))


def test_a_recording_is_the_only_required_argument(tmp_path, run):
    source = recording(tmp_path / "a.wav", 8_000)
    result = run(source, with_model=False)
    assert result.exit_code == 0, result.stderr
    assert f"{tmp_path / 'a.wav'} → {tmp_path / 'a-enhanced.wav'}" in "".join(result.stderr.splitlines())
    found, _ = audio.read(tmp_path / "a-enhanced.wav")
    samples, _ = audio.read(source)
    expected = stillwave.load().enhance(samples, 16_000)
    assert np.abs(found - expected).max() < 2**-14
    assert run(source, with_model=False).exit_code == 1  # it is there already


def test_a_shipped_model_is_named_with_and_without_int8(tmp_path, run):
    source = recording(tmp_path / "a.wav", 8_000)
    name = pretrained.default()
    for chosen, target in ((name, "float.wav"), (f"{name}-int8", "int8.wav")):
        assert run(source, "-o", tmp_path / target, "-m", chosen, with_model=False).exit_code == 0
    one, other = (audio.read(tmp_path / target)[0] for target in ("float.wav", "int8.wav"))
    assert 0 < np.square(one - other).sum() < 0.01 * np.square(one).sum()


def test_an_unknown_model_lists_the_valid_names(tmp_path, run):
    source = recording(tmp_path / "a.wav")
    result = run(source, "-o", tmp_path / "b.wav", "-m", "nothing-of-the-kind", with_model=False)
    assert result.exit_code == 2
    message = " ".join(result.stderr.split())
    assert "nothing-of-the-kind: no such file or folder, and no model of this name" in message
    assert all(name in message for name in pretrained.names())
    assert not (tmp_path / "b.wav").exists()


def test_an_unsupported_rate_becomes_the_next_and_is_reported(tmp_path, run):
    source = recording(tmp_path / "a.wav", 4_410, rate=44_100)
    result = run(source, "-o", tmp_path / "a.opus", "--json")
    assert result.exit_code == 0, result.stderr
    assert "a.opus: resampled from 44100 to 48000 Hz, the nearest rate of OPUS" in result.stderr
    row = json.loads(result.stdout)[0]
    assert (row["source_rate"], row["sample_rate"]) == (44_100, 48_000)
    assert audio.probe(tmp_path / "a.opus").frames == 4_800
    result = run(source, "-o", tmp_path / "b.opus", "--rate", 44_100)
    assert result.exit_code == 1
    assert "OPUS does not support 44100 Hz" in result.stderr


def test_clipping_and_lost_metadata_are_reported(tmp_path, run, monkeypatch):
    from stillwave.inference import offline_file

    def amplified(self, blocks, *_):
        return (100 * block for block in blocks)

    monkeypatch.setattr(offline_file.OfflineBlocks, "enhance", amplified)
    audio.write(tmp_path / "a.wav", np.full(2_000, 0.1), 16_000, tags={"title": "T"})
    result = run(tmp_path / "a.wav", "-o", tmp_path / "b.w64")
    assert result.exit_code == 0
    assert "b.w64: 2000 samples were beyond full scale and were clipped" in result.stderr
    assert "b.w64: its format cannot store title" in result.stderr


def test_help_shows_an_example(run):
    result = run("--help", with_model=False)
    assert result.exit_code == 0
    assert "stillwave enhance talk.mp3 -o talk.flac" in result.stdout


def test_existing_outputs_are_skipped_and_quiet_prints_failures_only(tmp_path, run):
    for name in ("a.wav", "b.wav"):
        recording(tmp_path / "in" / name)
    (tmp_path / "in" / "bad.wav").write_text("no audio")
    assert run(tmp_path / "in" / "a.wav", "-o", tmp_path / "out").exit_code == 0
    before = (tmp_path / "out" / "a.wav").stat()
    result = run(tmp_path / "in", "-o", tmp_path / "out", "--skip-existing", "--quiet", "--json", "-j", 2)
    assert result.exit_code == 1
    assert result.stderr.splitlines()[0].startswith("failed: ")
    assert len(result.stderr.split("failed")) == 2
    rows = {Path(row["source"]).name: row for row in json.loads(result.stdout)}
    assert rows["a.wav"] == {"source": str(tmp_path / "in" / "a.wav"), "skipped": "its output exists already"}
    assert rows["b.wav"]["target"] == str(tmp_path / "out" / "b.wav")
    assert (tmp_path / "out" / "a.wav").stat().st_mtime_ns == before.st_mtime_ns
    (tmp_path / "in" / "bad.wav").unlink()
    assert run(tmp_path / "in", "-o", tmp_path / "out", "--skip-existing").exit_code == 0
    result = run(tmp_path / "in", "-o", tmp_path / "out", "--skip-existing", "--overwrite")
    assert result.exit_code == 2
    assert "exclude each other" in result.stderr


def test_a_dry_run_prints_inputs_and_outputs_only(tmp_path, run):
    recording(tmp_path / "in" / "a.wav")
    recording(tmp_path / "in" / "b-enhanced.wav")
    result = run(
        tmp_path / "in", "-o", tmp_path / "out", "--dry-run", "-m", "no-such-model", with_model=False
    )
    assert result.exit_code == 0, result.stderr
    assert result.stdout == f"{tmp_path / 'in' / 'a.wav'} → {tmp_path / 'out' / 'a.wav'}\n"
    assert "b-enhanced.wav: is named '…-enhanced'" in result.stderr
    assert not (tmp_path / "out").exists()
    recording(tmp_path / "out" / "a.wav")
    rows = json.loads(run(tmp_path / "in", "-o", tmp_path / "out", "-n", "--json").stdout)
    assert [row.get("error") for row in rows] == [None, f"{tmp_path / 'out' / 'a.wav'}: exists already"]


def test_a_second_run_does_not_enhance_outputs(tmp_path, run):
    recording(tmp_path / "a.wav")
    assert run(tmp_path / "a.wav").exit_code == 0
    result = run(tmp_path / "a.wav", tmp_path / "a-enhanced.wav", "--overwrite")
    assert result.exit_code == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a-enhanced.wav", "a.wav"]
    assert run(tmp_path / "a-enhanced.wav", "-o", tmp_path / "b.wav").exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (
            ["a.wav", "b.wav", "-o", "one.wav"],
            "one.wav: names one file for 2 inputs; give the name of a folder",
        ),
        ([".", "-o", "one.wav"], "one.wav: names one file for a folder"),
        (["a.wav", "-o", "none/of/these"], "none/of/these: there is no folder none/of; create it"),
        (["a.wav", "b.wav", "-o", "no/out"], "no/out: there is no folder no; create it"),
        (["a.wav", "-o", "no/out/x.wav"], "no/out/x.wav: there is no folder no; create it"),
    ],
)
def test_invalid_outputs_are_refused_before_any_work(tmp_path, run, monkeypatch, arguments, words):
    for name in ("a.wav", "b.wav"):
        recording(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    result = run(*arguments)
    assert result.exit_code == 2
    assert words in " ".join(result.stderr.split())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.wav", "b.wav"]


def test_names_that_are_not_utf_8_are_enhanced_and_reported(tmp_path, run):
    odd = os.fsdecode(b"caf\xe9.wav")
    recording(tmp_path / "in" / odd)
    recording(tmp_path / "in" / ("n" * 251 + ".wav"))
    (tmp_path / "elsewhere").mkdir()
    recording(tmp_path / "elsewhere" / "c.wav")
    (tmp_path / "in" / "linked").symlink_to(tmp_path / "elsewhere")
    result = run(tmp_path / "in", "-o", tmp_path / "out", "--json")
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)[0]["source"] == str(tmp_path / "in" / odd)
    found = {os.fsencode(path.name) for path in (tmp_path / "out").rglob("*.wav")}
    assert found == {b"caf\xe9.wav", b"n" * 251 + b".wav", b"c.wav"}


def test_the_bar_counts_what_is_enhanced_and_names_failures(tmp_path, run):
    for index in range(3):
        recording(tmp_path / "in" / f"{index}.wav")
    (tmp_path / "in" / "bad.wav").write_text("no audio")
    result = run(tmp_path / "in", "-o", tmp_path / "out")
    bar = next(line for line in result.stderr.splitlines() if line.startswith("enhancing"))
    assert "3/4" in bar
    assert "1 failed" in bar
    assert "3 enhanced, 1 failed, 0 skipped" in result.stderr


PROGRAM = """
import sys
import time
from stillwave.cli import main
sys.argv = ["stillwave", *sys.argv[1:]]
main()
"""


def test_messages_of_decoders_are_not_printed(tmp_path, run, capfd):
    noise = 0.1 * np.random.default_rng(0).standard_normal((1, 88_200))
    audio.write(tmp_path / "whole.mp3", noise, 44_100)
    content = bytearray((tmp_path / "whole.mp3").read_bytes())
    content[2_000:9_000:97] = b"\xff" * len(range(2_000, 9_000, 97))
    (tmp_path / "bad.mp3").write_bytes(content)
    run(tmp_path / "bad.mp3", "-o", tmp_path / "out.wav")
    hidden = capfd.readouterr().err
    with contextlib.suppress(StillwaveError):
        audio.read(tmp_path / "bad.mp3")
    shown = capfd.readouterr().err
    assert "libmpg123" in shown
    assert "libmpg123" not in hidden


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interruption_keeps_complete_files_only(tmp_path, number, code):
    for index in range(40):
        recording(tmp_path / "in" / f"{index:02d}.wav", 16_000 * 20)
    command = [sys.executable, "-c", PROGRAM, "enhance", tmp_path / "in", "-o", tmp_path / "out", "-j", "2"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        deadline = time.monotonic() + 60
        while not list((tmp_path / "out").glob("??.wav")) and time.monotonic() < deadline:
            time.sleep(0.05)
        process.send_signal(number)
        _, message = process.communicate(timeout=60)
    assert process.returncode == code
    assert number != signal.SIGINT or "interrupted; finished output is kept" in message
    assert "Traceback" not in message
    made = list((tmp_path / "out").iterdir())
    assert 0 < len(made) < 40
    assert all(not path.name.startswith(".") and audio.probe(path).frames == 320_000 for path in made)
