"""`stillwave enhance` as its users meet it: files, folders and pipes, and what goes wrong with them."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
import typer
from typer.testing import CliRunner

import stillwave
from stillwave import audio, checkpoint, weights
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


def test_nothing_is_overwritten_unless_told_to(tmp_path, run):
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


def test_an_empty_pipe_is_one_sentence(run):
    result = run("-", "-o", "-", input=b"")
    assert result.exit_code == 2
    assert result.stdout == ""
    assert "standard input: the file is empty" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["-", "-o", "b.wav"], "- goes with itself alone"),
        (["a.wav", "-o", "-"], "- goes with itself alone"),
        (["-", "a.wav", "-o", "-"], "- goes with itself alone"),
        (["-", "-o", "-", "--json"], "would both write to stdout"),
        (["none.wav", "-o", "b.wav"], "none.wav: there is no such file or folder"),
        ([".", "-o", "out"], "there is no recording among the inputs"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_done(tmp_path, run, monkeypatch, arguments, words):
    monkeypatch.chdir(tmp_path)
    result = run(*arguments)
    assert result.exit_code == 2
    assert words in result.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("stream", ["stdin", "stdout"])
def test_a_terminal_is_no_pipe(stream, monkeypatch):
    class Stream:
        def __init__(self, name: str) -> None:
            self.isatty = lambda: name == stream

    monkeypatch.setattr(sys, "stdin", Stream("stdin"))
    monkeypatch.setattr(sys, "stdout", Stream("stdout"))
    with pytest.raises(StillwaveError, match=f"{stream} is a terminal"):
        enhance([Path("-")], Path("-"))


def test_a_recording_is_all_it_needs(tmp_path, run):
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
    name = weights.default()
    for chosen, target in ((name, "float.wav"), (f"{name}-int8", "int8.wav")):
        assert run(source, "-o", tmp_path / target, "-m", chosen, with_model=False).exit_code == 0
    one, other = (audio.read(tmp_path / target)[0] for target in ("float.wav", "int8.wav"))
    assert 0 < np.square(one - other).sum() < 0.01 * np.square(one).sum()


def test_an_unknown_model_is_one_sentence_with_the_names_that_exist(tmp_path, run):
    source = recording(tmp_path / "a.wav")
    result = run(source, "-o", tmp_path / "b.wav", "-m", "nothing-of-the-kind", with_model=False)
    assert result.exit_code == 2
    said = " ".join(result.stderr.split())
    assert "nothing-of-the-kind: no such file or folder, and no model of this name" in said
    assert all(name in said for name in weights.names())
    assert not (tmp_path / "b.wav").exists()


def test_a_rate_that_the_format_cannot_hold_becomes_the_next_and_is_named(tmp_path, run):
    source = recording(tmp_path / "a.wav", 4_410, rate=44_100)
    result = run(source, "-o", tmp_path / "a.opus", "--json")
    assert result.exit_code == 0, result.stderr
    assert "a.opus: resampled from 44100 to 48000 Hz, the nearest that OPUS holds" in result.stderr
    row = json.loads(result.stdout)[0]
    assert (row["source_rate"], row["sample_rate"]) == (44_100, 48_000)
    assert audio.probe(tmp_path / "a.opus").frames == 4_800
    result = run(source, "-o", tmp_path / "b.opus", "--rate", 44_100)
    assert result.exit_code == 1
    assert "OPUS does not hold 44100 Hz, only" in result.stderr


def test_clipping_and_lost_metadata_are_said(tmp_path, run, monkeypatch):
    from stillwave.enhance import offline

    monkeypatch.setattr(offline.Offline, "_network", lambda self, rows: 100 * rows)
    audio.write(tmp_path / "a.wav", np.full(2_000, 0.1), 16_000, tags={"title": "T"})
    result = run(tmp_path / "a.wav", "-o", tmp_path / "b.w64")
    assert result.exit_code == 0
    assert "b.w64: 2000 samples were beyond full scale and are clipped" in result.stderr
    assert "b.w64: its format has no place for title" in result.stderr


def test_help_shows_an_example(run):
    result = run("--help", with_model=False)
    assert result.exit_code == 0
    assert "stillwave enhance talk.mp3 -o talk.flac" in result.stdout
