"""`stillwave stream` as its users meet it: raw samples through a pipe."""

from __future__ import annotations

import io
import itertools
import os
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
import torch
import typer
from exported import export
from typer.testing import CliRunner

import stillwave
from stillwave import checkpoint, pretrained
from stillwave.cli import guard
from stillwave.cli.stream import stream
from stillwave.errors import StillwaveError
from stillwave.models import build
from stillwave.schema import ModelConfig

SMALL = ModelConfig(name="bsrnn", channels=8, blocks=1, bands=8, causal=True, norm="frame")


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    torch.manual_seed(0)
    return export(build(SMALL), tmp_path_factory.mktemp("model") / "student.onnx")


@pytest.fixture
def run(model):
    app = typer.Typer()
    app.command()(guard(stream))

    def call(*arguments, input=b""):
        chosen = ["--model", str(model), *(str(a) for a in arguments)]
        return CliRunner().invoke(app, chosen, input=input)

    return call


def sound(samples: int, channels: int = 1) -> np.ndarray:
    return 0.1 * np.random.default_rng(0).standard_normal((channels, samples)).astype(np.float32)


@pytest.mark.parametrize(
    ("rate", "channels", "limit"), [(16_000, 1, None), (48_000, 2, 12), (44_100, 3, None)]
)
def test_the_output_equals_that_of_a_file(run, model, rate, channels, limit):
    noisy = sound(7_003, channels)
    options = ["--rate", rate, "--channels", channels, "--format", "f32le", "--block", 500]
    result = run(*options, *(["--limit-db", limit] if limit else []), input=noisy.T.tobytes())
    assert result.exit_code == 0, result.stderr
    assert result.stderr == ""
    found = np.frombuffer(result.stdout_bytes, "<f4").reshape(-1, channels).T
    expected = stillwave.load(model, "cpu").enhance(noisy, rate, limit_db=limit)
    assert found.shape == noisy.shape
    assert np.abs(found - expected).max() < 1e-5


def test_options_of_the_signal_are_those_of_files(run, model):
    noisy = sound(5_000)
    options = "--format", "f32le", "--strength", 0.5, "--keep-clean"
    found = np.frombuffer(run(*options, input=noisy.tobytes()).stdout_bytes, "<f4")
    expected = stillwave.load(model, "cpu", keep_clean=True).enhance(noisy, 16_000, limit_db=20 * np.log10(2))
    assert np.abs(found - expected[0]).max() < 1e-5


def test_keep_delay_prepends_silence(run):
    noisy = (sound(3_000) * 2**15).astype("<i2").tobytes()
    aligned = np.frombuffer(run(input=noisy).stdout_bytes, "<i2")
    late = np.frombuffer(run("--keep-delay", input=noisy).stdout_bytes, "<i2")
    assert len(aligned) == len(late) == 3_000
    assert not late[:511].any()
    assert np.array_equal(late[511:], aligned[:-511])
    assert aligned.any()


@pytest.mark.parametrize("samples", [0, 1, 511, 512])
def test_the_shortest_inputs_keep_their_length(run, samples):
    result = run(input=bytes(2 * samples))
    assert (result.exit_code, len(result.stdout_bytes)) == (0, 2 * samples)


def test_invalid_samples_are_replaced_and_reported(run):
    noisy = sound(1_000)
    noisy[0, [3, 700]] = np.nan, np.inf
    result = run("--format", "f32le", input=noisy.tobytes() + b"xyz")
    assert result.exit_code == 0
    found = np.frombuffer(result.stdout_bytes, "<f4")
    assert len(found) == 1_000
    assert np.isfinite(found).all()
    assert "the input ended within a sample; 3 byte(s) were dropped" in result.stderr
    assert "2 samples were NaN, infinite or out of range and were replaced by silence" in result.stderr


def test_clipping_is_reported(run, monkeypatch):
    from stillwave.inference import OnnxBackend

    monkeypatch.setattr(OnnxBackend, "step", lambda self, spectrum, state: (3 * spectrum, state))
    steps = np.full(2_000, 20_000, "<i2")
    result = run(input=steps.tobytes())
    assert "2000 samples were beyond full scale and were clipped" in result.stderr
    assert (np.frombuffer(result.stdout_bytes, "<i2") == 2**15 - 1).all()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--rate", 10], "sample rate: expected a whole number of Hz"),
        (["--model", "none.onnx"], "none.onnx: no such"),
    ],
)
def test_invalid_options_are_single_sentences(run, arguments, words):
    result = run(*arguments)
    assert result.exit_code == 2
    assert result.stdout_bytes == b""
    assert words in result.stderr


def test_a_network_for_several_microphones_requires_its_channels(tmp_path, run):
    network = build(ModelConfig(channels=8, causal=True, norm="frame", microphones=2, depth=1, past_frames=4))
    checkpoint.save(tmp_path / "two", network, checkpoint.Card(model=network.config))
    several = ["--model", tmp_path / "two", "--format", "f32le"]
    refused = run(*several, "--channels", 3)
    assert "this network needs 2 microphones" in refused.stderr
    result = run(*several, "--channels", 2, input=sound(900, 2).T.tobytes())
    found = np.frombuffer(result.stdout_bytes, "<f4")
    expected = stillwave.load(tmp_path / "two", "cpu").enhance(sound(900, 2), 16_000)
    assert np.abs(found - expected[0]).max() < 1e-5


def test_an_offline_network_cannot_stream(tmp_path, run):
    network = build(ModelConfig(channels=8))
    checkpoint.save(tmp_path / "whole", network, checkpoint.Card(model=network.config))
    result = run("--model", tmp_path / "whole")
    assert result.exit_code == 2
    assert "needs the whole signal, so it cannot stream" in " ".join(result.stderr.split())


@pytest.fixture
def process(model):
    """The verb as a process of its own, with pipes."""
    code = "from stillwave.cli import main; main()"
    command = [sys.executable, "-c", code, "stream", "-m", str(model)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env={**os.environ, "OMP_NUM_THREADS": "1"}, bufsize=0,
    ) as started:  # fmt: skip
        yield started
        started.kill()


def test_samples_come_out_before_the_input_has_ended(process):
    process.stdin.write(bytes(2 * 2_048))
    assert len(process.stdout.read(2 * 1_024)) > 0  # blocks for ever if all waits for the end
    process.stdin.close()
    rest = b"".join(iter(lambda: process.stdout.read(65_536), b""))
    assert process.wait() == 0
    assert len(rest) <= 2 * 2_048


def test_a_closed_reader_ends_it_without_an_error(process):
    process.stdin.write(bytes(2 * 1_024))
    process.stdout.read(2)
    process.stdout.close()
    with pytest.raises(BrokenPipeError):
        while process.poll() is None:
            process.stdin.write(bytes(2 * 1_024))
            time.sleep(0.01)
        raise BrokenPipeError
    assert process.wait() == 141
    assert process.stderr.read() == b""


def test_a_full_device_is_named(model):
    code = "from stillwave.cli import main; main()"
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [sys.executable, "-c", code, "stream", "-m", str(model)], input=bytes(16_000), stdout=full,
            stderr=subprocess.PIPE, env={**os.environ, "OMP_NUM_THREADS": "1"}, check=False,
        )  # fmt: skip
    assert done.returncode == 2
    assert "stdout: No space left on device" in done.stderr.decode()


def test_ctrl_c_ends_it_with_a_message(process):
    import signal

    process.stdin.write(bytes(2 * 1_024))
    process.stdout.read(2)
    process.send_signal(signal.SIGINT)
    assert process.wait() == 130
    message = process.stderr.read().decode()
    assert "interrupted" in message
    assert "Traceback" not in message


@pytest.mark.parametrize("end", ["stdin", "stdout"])
def test_a_terminal_is_refused(end, monkeypatch):
    for name in ("stdin", "stdout"):
        monkeypatch.setattr(sys, name, SimpleNamespace(isatty=lambda name=name: name == end))
    with pytest.raises(StillwaveError, match=f"{end} is a terminal"):
        stream(Path("student.onnx"))


def test_the_status_is_on_stderr_once_a_second(run, monkeypatch):
    seconds = iter(0.4 * number for number in range(100))
    monkeypatch.setattr(time, "monotonic", lambda: next(seconds))
    result = run("--status", "--block", 1_600, input=bytes(2 * 16_000))
    assert len(result.stdout_bytes) == 2 * 16_000
    message = [line for line in result.stderr.splitlines() if "of audio in" in line]
    assert message[0] == "0.3 s of audio in 1.2 s, 0 clipped, 0 repaired"
    assert len(message) == 3


def test_help_shows_an_example(run):
    result = run("--help")
    assert result.exit_code == 0
    assert "arecord" in result.stdout


def test_without_a_model_the_default_is_used():
    noisy = (sound(3_000) * 2**15).astype("<i2").tobytes()
    app = typer.Typer()
    app.command()(guard(stream))
    found = [CliRunner().invoke(app, words, input=noisy) for words in ([], ["-m", pretrained.default()])]
    assert [result.exit_code for result in found] == [0, 0]
    assert found[0].stdout_bytes == found[1].stdout_bytes
    assert len(found[0].stdout_bytes) == len(noisy)


@pytest.mark.parametrize("pieces", [[4, 5, 100], [10_000]])
def test_a_file_on_stdin_is_detected_in_any_blocks(model, pieces):
    from stillwave.live.pcm import run as through

    file = io.BytesIO()
    soundfile.write(file, sound(3_000)[0], 16_000, format="WAV")
    data = file.getvalue()
    cuts = [0, *np.cumsum(pieces).tolist(), len(data)]
    chunks = iter([data[a:b] for a, b in itertools.pairwise(cuts)])
    names: list[str] = []
    source = SimpleNamespace(read=lambda most: next(chunks, b""))
    through(stillwave.load(model).open(), source, io.BytesIO(), notice=names.append)
    assert names == ["WAV"]


def test_a_wav_file_on_stdin_is_a_warning(run):
    file = io.BytesIO()
    soundfile.write(file, sound(3_000)[0], 16_000, format="WAV")
    result = run(input=file.getvalue())
    assert result.exit_code == 0
    assert result.stderr.startswith("stdin starts like a WAV file, but its bytes are read as raw samples")
    assert "stillwave enhance - < IN > OUT" in result.stderr
    assert run(input=file.getvalue()[44:]).stderr == ""


@pytest.mark.skipif(os.name != "posix", reason="closes descriptors")
@pytest.mark.parametrize(("closed", "name"), [("<&-", "stdin"), (">&-", "stdout")])
def test_a_closed_stdin_is_reported(closed, name):
    other = "< /dev/null" if name == "stdout" else "> /dev/null"
    line = f"exec '{sys.executable}' -m stillwave stream {other} {closed}"
    done = subprocess.run(["sh", "-c", line], capture_output=True, text=True)
    assert done.returncode
    assert f"{name} is closed" in done.stderr
    assert "Traceback" not in done.stderr
