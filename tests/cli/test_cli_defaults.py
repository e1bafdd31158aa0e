"""Defaults for model, jobs, device and recogniser: option before environment variable before configuration file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from stillwave.cli import build
from stillwave.cli.defaults import config_file, default_map


@pytest.fixture
def config(tmp_path: Path, monkeypatch) -> Path:
    """A configuration file in an otherwise empty folder of configurations."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    file = config_file()
    if not file.is_relative_to(tmp_path):
        pytest.skip("this system keeps configurations elsewhere")
    file.parent.mkdir()
    return file


def probed(*arguments: str, **environment: str) -> str:
    """Return the name of the model that `stillwave probe` opens, or the error."""
    options = ["--seconds", "0.2", "--json", "--quiet"]
    result = CliRunner().invoke(build(), ["probe", *arguments, *options], env=environment)
    return json.loads(result.stdout)["model"] if result.exit_code == 0 else result.stderr


def test_option_before_environment_before_file(config: Path) -> None:
    config.write_text("model: bsrnn-xs-int8\n")
    assert probed() == "bsrnn-xs-int8"
    assert probed(STILLWAVE_MODEL="bsrnn-xs") == "bsrnn-xs"
    assert probed("bsrnn-s-int8", STILLWAVE_MODEL="bsrnn-xs") == "bsrnn-s-int8"


def test_every_option_for_model_jobs_and_device_has_its_default(config: Path) -> None:
    config.write_text("model: m.onnx\njobs: 3\ndevice: cuda:1\nrecogniser: models/tiny\n")
    found = default_map(typer.main.get_command(build()))
    assert found["enhance"] == {"model": "m.onnx", "jobs": 3, "device": "cuda:1"}
    assert found["evaluate"] == {"jobs": 3, "device": "cuda:1", "recogniser": "models/tiny"}
    assert found["arena"] == found["evaluate"]
    assert found["stream"] == found["live"] == {"model": "m.onnx"}
    assert found["data"]["scan"] == {"jobs": 3}
    assert found["train"] == {}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("modle: bsrnn-s", "modle is not a key; did you mean 'model'?"),
        ("jobs: many", "jobs: expected a whole number of 1 or more, got 'many'"),
        ("jobs: 0", "jobs: expected a whole number of 1 or more, got 0"),
        ("model: 3", "model: expected text, got 3"),
        ("- model", "must be a mapping, as in 'jobs: 4'"),
        ("model: [", "is not YAML"),
    ],
)
def test_an_invalid_file_is_reported(config: Path, text: str, message: str) -> None:
    config.write_text(text + "\n")
    result = CliRunner().invoke(build(), ["methods"])
    assert result.exit_code == 2
    assert " ".join(result.stderr.split()).startswith(f"error: {config}")
    assert message in result.stderr


def test_an_empty_file_changes_nothing(config: Path) -> None:
    config.write_text("# model: bsrnn-s\n")
    assert default_map(typer.main.get_command(build())) == {}
