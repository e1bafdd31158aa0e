"""`stillwave explain`: what it prints, and runs that it refuses."""

from __future__ import annotations

import json
import shutil

import pytest
import torch
from explained_runs import RECIPE
from typer.testing import CliRunner

from stillwave import checkpoint, cli
from stillwave import recipe as recipes
from stillwave.errors import StillwaveError
from stillwave.explain.flow import explain
from stillwave.models import build
from stillwave.schema import ModelConfig
from stillwave.training import train


def call(*arguments):
    return CliRunner().invoke(cli.build(), ["explain", *map(str, arguments)])


def test_the_command_prints_the_page(quick, flagship):
    result = call(flagship, "--json", "--quiet")
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["page"] == str(flagship / "explain" / "index.html")
    assert call(flagship).stdout.strip() == str(flagship / "explain" / "index.html")


def test_refusals_are_single_sentences(place, flagship, tmp_path):
    def refusal(run):
        result = call(run)
        assert result.exit_code == 2
        assert "Traceback" not in result.output
        return result.stderr

    assert "not a run folder" in refusal(tmp_path / "nowhere")
    bare = tmp_path / "bare"
    shutil.copytree(flagship, bare)
    shutil.rmtree(bare / "checkpoints")
    assert "no checkpoint yet" in refusal(bare)
    text = (bare / "recipe.yaml").read_text()
    (bare / "recipe.yaml").write_text(text.replace("name: i2srf_tfckd", "name: none"))
    with pytest.raises(StillwaveError):
        explain(bare)
    alone = recipes.loads(RECIPE.split("distill:")[0].replace("FOLDER", str(place)), ["train.steps=1"])
    train(alone, tmp_path / "alone", quiet=True)
    assert "the run has no teacher" in refusal(tmp_path / "alone")
    assert "Missing argument 'RUN'" in call().stderr


def test_another_teacher_under_the_same_path_is_refused(place, flagship, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(flagship, run)
    config = ModelConfig(channels=8, blocks=2, depth=1)
    torch.manual_seed(5)
    checkpoint.save(tmp_path / "other", build(config), checkpoint.Card(model=config))
    text = (run / "recipe.yaml").read_text()
    (run / "recipe.yaml").write_text(text.replace(str(place / "teacher"), str(tmp_path / "other")))
    with pytest.raises(StillwaveError, match="run: the teacher"):
        explain(run)
