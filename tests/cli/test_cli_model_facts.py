"""`stillwave models PATH` and `stillwave models PRESET`."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from stillwave import checkpoint, pretrained
from stillwave.errors import CheckpointError
from stillwave.models import DPDCRN
from stillwave.schema import ModelConfig

ROOT = Path(__file__).parents[2]


@pytest.fixture
def run():
    import typer

    from stillwave.cli.models import models

    app = typer.Typer()
    app.command()(models)

    def invoke(*arguments: str):
        return CliRunner().invoke(app, list(arguments), env={"COLUMNS": "120"})

    return invoke


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    config = ModelConfig(channels=8)
    card = checkpoint.Card(
        model=config, step=1200, scores={"si_sdr": 9.5}, data="synthetic", teacher="ab" * 32
    )
    checkpoint.save(tmp_path / "net", DPDCRN(config), card)
    return tmp_path / "net"


def test_json_of_a_preset(run) -> None:
    result = run("dpdcrn-student", "--json", "--seconds", "0.5")
    assert result.exit_code == 0, result.output
    facts = json.loads(result.stdout)
    assert facts["parameters"] == 595_494
    assert facts["card"] is None
    assert facts["total_macs"] == pytest.approx(sum(facts["macs"].values()), abs=5)
    assert facts["receptive_field"] == {"past": None, "future": None}


def test_causal_networks_state_delay_and_state_size(run) -> None:
    assert "yes: 32 ms of delay, 5 KiB of state" in run("bsrnn-xs", "--seconds", "0.5").stdout
    assert "no: needs the whole signal" in run("dpdcrn-student", "--seconds", "0.5").stdout
    facts = json.loads(run("bsrnn-xs", "--json", "--seconds", "0.5").stdout)
    assert facts["cost"]["state_bytes"] == (2 * 28 * 24 + 2) * 4, (
        "two blocks of 28 bands, and how loud it was so far"
    )


def test_json_of_a_checkpoint_holds_its_card(run, folder: Path) -> None:
    facts = json.loads(run(str(folder), "--json", "--seconds", "0.5").stdout)
    assert facts["card"]["step"] == 1200
    assert facts["card"]["scores"] == {"si_sdr": 9.5}
    assert facts["model"]["channels"] == 8


def test_the_table_shows_card_and_complexity(run, folder: Path) -> None:
    text = run(str(folder), "--seconds", "0.5").stdout
    for word in ("1,200", "9.500", "synthetic", "abababababab", "convolution", "whole signal", "parameters"):
        assert word in text
    assert "untrained" in run("dpdcrn-student", "--seconds", "0.5").stdout


def test_a_mistyped_preset_names_the_nearest(run) -> None:
    result = run("dpdcrn-studnet")
    assert isinstance(result.exception, CheckpointError)
    assert "did you mean 'dpdcrn-student'" in str(result.exception)


def test_look_ahead_in_milliseconds(run) -> None:
    assert re.search(r"look-ahead\W+31\.9 ms", run("framenet-xs", "--seconds", "0.5").stdout)  # 510 samples


@pytest.mark.parametrize("name", [*pretrained.names(), *map(str, sorted((ROOT / "weights").iterdir()))])
def test_every_model_and_checkpoint_states_what_it_does_with_the_room(run, name) -> None:
    text = " ".join(run(name, "--seconds", "0.5").stdout.replace("│", " ").split())
    assert "50 ms after the direct sound" in text, text


def test_a_checkpoint_without_a_recipe_states_that_the_room_was_not_recorded(run, folder) -> None:
    assert re.search(r"room\W+not recorded", run(str(folder), "--seconds", "0.5").stdout)
