"""`stillwave train` as its users meet it, on recordings of a moment."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from cli_recordings import RECIPE, one_thread, write_recordings  # noqa: F401
from verbs import call

from stillwave import checkpoint
from stillwave.cli.train import train


@pytest.fixture(scope="module")
def recipe(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("tiny")
    write_recordings(folder)
    file = folder / "tiny.yaml"
    file.write_text(RECIPE.replace("FOLDER", str(folder)))
    return file


def test_a_run_prints_its_best_checkpoint_and_nothing_else(recipe, tmp_path):
    result = call(train, recipe, "-o", tmp_path / "run")
    assert result.exit_code == 0, result.stderr
    best = Path(result.stdout.strip())
    _, card = checkpoint.load(best)
    assert best.parent == tmp_path / "run" / "checkpoints"
    assert card.data.startswith(f"speech: {recipe.parent}/speech")
    assert "step 2: si_sdr" in result.stderr
    again = call(train, recipe, "-o", tmp_path / "run", "--json")
    figures = json.loads(again.stdout)
    assert figures == {
        "checkpoint": str(best), "step": card.step, "scores": card.scores, "parameters": card.parameters,
    }  # fmt: skip
    assert "this run is finished" in again.stderr


def test_a_score_by_pesq(recipe, tmp_path):
    pytest.importorskip("pesq")
    settings = ["--set", "train.metric=pesq_wb", "--set", "train.steps=1", "-q"]
    result = call(train, recipe, "-o", tmp_path / "run", *settings, "--json")
    assert result.exit_code == 0, result.stderr
    assert 1 <= json.loads(result.stdout)["scores"].get("pesq_wb", 1) <= 4.65, "tones may have no PESQ"


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (["distill.teacher=t"], "has a 'distill' section; use `stillwave distill"),
        (["train.stepz=3"], "train.stepz is not a key; did you mean 'steps'?"),
        (["data.train.speech=/absent"], "/absent"),
        (["data.train.noise=/dev/null"], "/dev/null"),
        (["train.device=cuda:77"], "'cuda:77' cannot be used here"),
        (["model.microphones=2"], "model.microphones"),
        (["data.segment_seconds=1e-5"], "too short"),
    ],
)
def test_errors_are_single_sentences(recipe, tmp_path, settings, words):
    arguments = [part for setting in settings for part in ("--set", setting)]
    result = call(train, recipe, "-o", tmp_path / "run", *arguments)
    assert result.exit_code == 2
    assert words in result.stderr
    assert "Traceback" not in result.stderr
    assert result.stdout == ""


def test_an_unreadable_recording_in_a_worker_is_reported(tmp_path):
    write_recordings(tmp_path)
    file = tmp_path / "tiny.yaml"
    file.write_text(RECIPE.replace("FOLDER", str(tmp_path)))
    manifest = tmp_path / "speech.jsonl"
    from stillwave.data.manifest import write_manifest
    from stillwave.data.scan import load

    write_manifest(manifest, load(tmp_path / "speech"))
    for wav in (tmp_path / "speech").rglob("*.wav"):
        wav.write_bytes(wav.read_bytes()[:3000])
    settings = ["data.workers=1", f"data.train.speech={manifest}", f"data.development.speech={manifest}"]
    arguments = [part for setting in settings for part in ("--set", setting)]
    result = call(train, file, "-o", tmp_path / "run", *arguments)
    assert result.exit_code == 2
    assert ".wav" in result.stderr
    assert "Traceback" not in result.stderr


def test_ctrl_c_ends_with_130_and_the_same_command_resumes(recipe, tmp_path):
    run = tmp_path / "run"
    program = (
        "import typer\nfrom stillwave.cli import guard\nfrom stillwave.cli.train import train\n"
        "typer.run(guard(train))"
    )
    command = [sys.executable, "-c", program, str(recipe), "-o", str(run), "--set", "train.steps=400"]
    process = subprocess.Popen(
        command,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 600
    while not list(run.glob("checkpoints/step_*")) and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    out, message = process.communicate(timeout=600)
    assert process.returncode == 130
    assert out == ""
    assert "give the same command to continue" in message
    assert "Traceback" not in message


def test_help_ends_with_an_example():
    assert "stillwave train small-teacher -o runs/teacher" in call(train, "--help").stdout
