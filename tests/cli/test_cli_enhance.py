"""`stillwave enhance`: files, pipes, models and options, and their errors."""

from __future__ import annotations

import contextlib
import io
import json
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from enhance_command import recording

import stillwave
from stillwave import audio, pretrained
from stillwave.cli.enhance import enhance
from stillwave.errors import StillwaveError


def test_one_file(tmp_path, run_enhance):
    recording(tmp_path / "a.wav", rate=48_000, channels=2)
    result = run_enhance(tmp_path / "a.wav", "-o", tmp_path / "b.flac")
    assert result.exit_code == 0, result.stderr
    assert result.stdout == ""
    assert "1 enhanced, 0 failed, 0 skipped" in result.stderr
    info = audio.probe(tmp_path / "b.flac")
    assert (info.sample_rate, info.channels, info.frames) == (48_000, 2, 2_000)


def test_options_reach_the_enhancer(tmp_path, run_enhance):
    source = recording(tmp_path / "a.wav")
    assert run_enhance(source, "-o", tmp_path / "b.wav", "--limit-db", 0, "--rate", 8_000).exit_code == 0
    found, rate = audio.read(tmp_path / "b.wav")
    samples, _ = audio.read(source)
    assert rate == 8_000
    assert np.abs(found - audio.resample(samples, 16_000, 8_000)).max() < 2**-15


def test_a_strength_is_a_limit(tmp_path, run_enhance):
    source = recording(tmp_path / "a.wav")
    for name, options in {
        "b": ("--strength", 0.75),
        "c": ("--limit-db", 12.0412),
        "d": ("--strength", 1),
        "e": (),
        "f": ("--strength", 0),
    }.items():
        assert run_enhance(source, "-o", tmp_path / f"{name}.wav", *options).exit_code == 0
    found = {name: audio.read(tmp_path / f"{name}.wav")[0] for name in "abcdef"}
    assert np.abs(found["b"] - found["c"]).max() < 2**-14
    assert np.array_equal(found["d"], found["e"])
    assert np.array_equal(found["f"], found["a"])
    result = run_enhance(source, "-o", tmp_path / "g.wav", "--strength", 0.5, "--limit-db", 6)
    assert result.exit_code == 2
    assert "give one of them" in " ".join(result.stderr.split())


def test_nothing_is_overwritten_without_the_option(tmp_path, run_enhance):
    source = recording(tmp_path / "a.wav")
    target = tmp_path / "b.wav"
    target.write_text("precious")
    result = run_enhance(source, "-o", target)
    assert result.exit_code == 1
    assert "exists already; it is replaced only with --overwrite" in result.stderr
    assert target.read_text() == "precious"
    assert run_enhance(source, "-o", target, "--overwrite").exit_code == 0
    assert audio.probe(target).frames == 2_000


def test_a_pipe(tmp_path, run_enhance):
    source = recording(tmp_path / "a.flac", rate=44_100)
    result = run_enhance("-", "-o", "-", input=source.read_bytes())
    assert result.exit_code == 0, result.stderr
    samples, rate = soundfile.read(io.BytesIO(result.stdout_bytes))
    assert (rate, samples.shape) == (44_100, (2_000,))


def test_an_empty_pipe_is_reported(run_enhance):
    result = run_enhance("-", "-o", "-", input=b"")
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
def test_invalid_options_are_refused_before_any_work(tmp_path, run_enhance, monkeypatch, arguments, words):
    monkeypatch.chdir(tmp_path)
    result = run_enhance(*arguments)
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


def test_a_recording_is_the_only_required_argument(tmp_path, run_enhance):
    source = recording(tmp_path / "a.wav", 8_000)
    result = run_enhance(source, with_model=False)
    assert result.exit_code == 0, result.stderr
    assert f"{tmp_path / 'a.wav'} → {tmp_path / 'a-enhanced.wav'}" in "".join(result.stderr.splitlines())
    found, _ = audio.read(tmp_path / "a-enhanced.wav")
    samples, _ = audio.read(source)
    expected = stillwave.load().enhance(samples, 16_000)
    assert np.abs(found - expected).max() < 2**-14
    assert run_enhance(source, with_model=False).exit_code == 1  # it is there already


def test_a_shipped_model_is_named_with_and_without_int8(tmp_path, run_enhance):
    source = recording(tmp_path / "a.wav", 8_000)
    name = pretrained.default()
    for chosen, target in ((name, "float.wav"), (f"{name}-int8", "int8.wav")):
        assert run_enhance(source, "-o", tmp_path / target, "-m", chosen, with_model=False).exit_code == 0
    one, other = (audio.read(tmp_path / target)[0] for target in ("float.wav", "int8.wav"))
    assert 0 < np.square(one - other).sum() < 0.01 * np.square(one).sum()


def test_an_unknown_model_lists_the_valid_names(tmp_path, run_enhance):
    source = recording(tmp_path / "a.wav")
    result = run_enhance(source, "-o", tmp_path / "b.wav", "-m", "nothing-of-the-kind", with_model=False)
    assert result.exit_code == 2
    message = " ".join(result.stderr.split())
    assert "nothing-of-the-kind: no such file or folder, and no model of this name" in message
    assert all(name in message for name in pretrained.names())
    assert not (tmp_path / "b.wav").exists()


def test_an_unsupported_rate_becomes_the_next_and_is_reported(tmp_path, run_enhance):
    source = recording(tmp_path / "a.wav", 4_410, rate=44_100)
    result = run_enhance(source, "-o", tmp_path / "a.opus", "--json")
    assert result.exit_code == 0, result.stderr
    assert "a.opus: resampled from 44100 to 48000 Hz, the nearest rate of OPUS" in result.stderr
    row = json.loads(result.stdout)[0]
    assert (row["source_rate"], row["sample_rate"]) == (44_100, 48_000)
    assert audio.probe(tmp_path / "a.opus").frames == 4_800
    result = run_enhance(source, "-o", tmp_path / "b.opus", "--rate", 44_100)
    assert result.exit_code == 1
    assert "OPUS does not support 44100 Hz" in result.stderr


def test_clipping_and_lost_metadata_are_reported(tmp_path, run_enhance, monkeypatch):
    from stillwave.inference import offline_file

    def amplified(self, blocks, *_):
        return (100 * block for block in blocks)

    monkeypatch.setattr(offline_file.OfflineBlocks, "enhance", amplified)
    audio.write(tmp_path / "a.wav", np.full(2_000, 0.1), 16_000, tags={"title": "T"})
    result = run_enhance(tmp_path / "a.wav", "-o", tmp_path / "b.w64")
    assert result.exit_code == 0
    assert "b.w64: 2000 samples were beyond full scale and were clipped" in result.stderr
    assert "b.w64: its format cannot store title" in result.stderr


def test_help_shows_an_example(run_enhance):
    result = run_enhance("--help", with_model=False)
    assert result.exit_code == 0
    assert "stillwave enhance talk.mp3 -o talk.flac" in result.stdout


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
def test_invalid_outputs_are_refused_before_any_work(tmp_path, run_enhance, monkeypatch, arguments, words):
    for name in ("a.wav", "b.wav"):
        recording(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    result = run_enhance(*arguments)
    assert result.exit_code == 2
    assert words in " ".join(result.stderr.split())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.wav", "b.wav"]


def test_messages_of_decoders_are_not_printed(tmp_path, run_enhance, capfd):
    noise = 0.1 * np.random.default_rng(0).standard_normal((1, 88_200))
    audio.write(tmp_path / "whole.mp3", noise, 44_100)
    content = bytearray((tmp_path / "whole.mp3").read_bytes())
    content[2_000:9_000:97] = b"\xff" * len(range(2_000, 9_000, 97))
    (tmp_path / "bad.mp3").write_bytes(content)
    run_enhance(tmp_path / "bad.mp3", "-o", tmp_path / "out.wav")
    hidden = capfd.readouterr().err
    with contextlib.suppress(StillwaveError):
        audio.read(tmp_path / "bad.mp3")
    shown = capfd.readouterr().err
    assert "libmpg123" in shown
    assert "libmpg123" not in hidden


def test_for_asr_leaves_the_recording_as_it_is(tmp_path, run_enhance):
    source = recording(tmp_path / "a.wav")
    result = run_enhance(source, "-o", tmp_path / "b.wav", "--for", "asr")
    assert result.exit_code == 0, result.stderr
    assert "best left as it is" in result.stderr
    assert np.abs(audio.read(tmp_path / "b.wav")[0] - audio.read(source)[0]).max() < 2**-15


def test_a_guard_says_which_version_it_wrote_and_why(tmp_path, run_enhance, monkeypatch):
    from stillwave.evaluation import guard

    monkeypatch.setattr(guard.Guard, "__init__", lambda self, enhancer, recogniser: None)
    monkeypatch.setattr(guard.Guard, "choose", lambda self, file: guard.Choice(False, "it has words"))
    source = recording(tmp_path / "a.wav")
    result = run_enhance(source, "-o", tmp_path / "b.wav", "--for", "asr", "--guard", "any", "--json")
    assert "original; it has words" in " ".join(result.stderr.split())
    row = json.loads(result.stdout)[0]
    assert (row["version"], row["reason"]) == ("original", "it has words")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--for", "asr", "--limit-db", 6), "leave out --limit-db"),
        (("--for", "asr", "--strength", 1), "leave out --limit-db and --strength"),
        (("--guard", "faster-whisper:x"), "add --for asr"),
        (("--for", "asr", "--guard", "pocketsphinx"), "confidence"),
    ],
)
def test_options_for_asr_that_contradict_each_other_are_refused(tmp_path, run_enhance, options, message):
    if "pocketsphinx" in options:
        pytest.importorskip("pocketsphinx")
    result = run_enhance(recording(tmp_path / "a.wav"), "-o", tmp_path / "b.wav", *options)
    assert result.exit_code == 2
    assert message in " ".join(result.stderr.split())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("-", "-o", "-"), "leave it out with a pipe"),
        (("a.wav", "-o", "-"), "leave it out with a pipe"),
        (("a.wav", "-m", "missing", "--for", "asr", "--guard", "any"), "leave it out with --guard"),
    ],
)
def test_a_cluster_takes_files_only_and_says_so_before_a_model_is_loaded(run_enhance, arguments, message):
    result = run_enhance(*arguments, "--executor", "ray")
    assert result.exit_code == 2
    assert message in " ".join(result.stderr.split())
