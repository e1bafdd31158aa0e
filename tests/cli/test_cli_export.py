"""`stillwave export`: output and error messages."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from verbs import call

from stillwave import checkpoint
from stillwave.cli.export import export
from stillwave.exporting import export as flow
from stillwave.exporting.quality import QualityLoss
from stillwave.models import build
from stillwave.schema import ModelConfig


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    torch.manual_seed(0)
    config = ModelConfig(name="bsrnn", channels=8, blocks=1, bands=8, causal=True, norm="frame")
    folder = tmp_path_factory.mktemp("model") / "c"
    checkpoint.save(folder, build(config), checkpoint.Card(model=config))
    return folder


def report(target: Path, **facts) -> flow.ExportReport:
    return flow.ExportReport(
        target=target, kind="stream", precision="int8", bytes=120_000, parameters=5,
        states={"a": [2, 512]}, signals="3 synthetic signals", difference=1.3e-7, similarity_db=51.04, **facts
    )  # fmt: skip


@pytest.fixture
def sentence(monkeypatch) -> dict:
    """What the verb asks of its twin in Python, which writes nothing."""
    asked: dict = {}

    def instead(source, target, **options):
        asked.update(options, source=source)
        return report(target)

    monkeypatch.setattr(flow, "export", instead)
    return asked


def test_a_file_is_written_and_described(model, tmp_path) -> None:
    result = call(export, model, "-o", tmp_path / "a.onnx")
    assert result.exit_code == 0, result.stderr
    assert (tmp_path / "a.onnx").stat().st_size > 1000
    assert "streaming graph, float32" in result.stdout
    assert "3 synthetic signals" in result.stdout
    assert "1 state," in result.stdout


def test_json_is_all_of_stdout(model, tmp_path) -> None:
    facts = json.loads(call(export, model, "-o", tmp_path / "a.onnx", "--json").stdout)
    assert facts["target"] == str(tmp_path / "a.onnx")
    assert facts["states"] == {"blocks.0.time.memory": [8, 8]}
    assert facts["difference"] < 1e-5


def test_options_reach_the_function(sentence, tmp_path) -> None:
    call(export, "c", "-o", tmp_path / "a", "--int8", "--calibrate", "d", "--on", "e", "--overwrite",
         "--offline")  # fmt: skip
    assert sentence == {
        "source": Path("c"), "offline": True, "precision": "int8", "calibrate": Path("d"), "dynamic": False,
        "on": Path("e"), "overwrite": True,
    }  # fmt: skip
    call(export, "c", "-o", tmp_path / "a", "--fp16")
    assert sentence["precision"] == "float16"


def test_losses_are_shown_and_a_large_one_is_a_warning(tmp_path, monkeypatch) -> None:
    losses = {"pesq_wb": QualityLoss(2.5, 2.43, 12), "stoi": QualityLoss(0.9, 0.9001, 12)}
    monkeypatch.setattr(flow, "export", lambda source, target, **_: report(target, losses=losses))
    result = call(export, "c", "-o", tmp_path / "a.onnx", "--int8")
    assert "pesq_wb: 2.5000 in float32, 2.4300 in int8: a loss of 0.0700 (12 recordings)" in result.stdout
    assert "estimates are 51.0 dB above their difference" in result.stdout
    assert "1 state, 4 KiB per stream" in result.stdout
    assert "the loss of 0.070 PESQ exceeds 0.05" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--int8", "--fp16"), "exclude each other"),
        (("--dynamic",), "add --int8"),
    ],
)
def test_errors_are_single_sentences(model, tmp_path, arguments, message) -> None:
    result = call(export, model, "-o", tmp_path / "a.onnx", *arguments)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert message in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1
