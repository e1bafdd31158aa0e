"""`stillwave models`, and the verbs that take a shipped model's name or none at all."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import shelves
import torch
from verbs import call

from stillwave import checkpoint, pretrained
from stillwave.cli.latency import latency
from stillwave.cli.models import info, models
from stillwave.cli.probe import probe
from stillwave.exporting.export import export
from stillwave.models import build
from stillwave.pretrained import ModelRegistry

SCORES = {
    "test_set": "some mixtures",
    "recordings": 7,
    "systems": {
        "noisy": {"pesq_wb": {"mean": 1.5}},
        "float": {"pesq_wb": {"mean": 2.25, "low": 2.0, "high": 2.5}, "stoi": {"mean": 0.81234}},
    },
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Two models: one that runs, in both forms, and one with a card alone."""
    place = tmp_path_factory.mktemp("models")
    torch.manual_seed(0)
    network = build(shelves.SMALL)
    checkpoint.save(place / "c", network, checkpoint.Card(model=network.config))
    export(place / "c", place / "whole.onnx")
    export(place / "c", place / "less.onnx", precision="int8")
    contents = {"float": (place / "whole.onnx").read_bytes(), "int8": (place / "less.onnx").read_bytes()}
    shelf = place / "shelf"
    shelf.mkdir()
    shelves.write(shelf, "tiny", contents, scores=SCORES, failures=["Whispers."], preset="none-such")
    shelves.write(shelf, "other", {"float": b"\x08"})
    return shelf


@pytest.fixture(autouse=True)
def shelf(folder: Path, tmp_path: Path, monkeypatch) -> ModelRegistry:
    made = ModelRegistry(folder, "tiny")
    monkeypatch.setattr(pretrained, "SHIPPED", made)
    monkeypatch.chdir(tmp_path)
    return made


def test_the_list_marks_the_default_and_omits_unknown_facts() -> None:
    result = call(models)
    assert result.exit_code == 0, result.stderr
    rows = {line.split()[0]: line.split() for line in result.stdout.splitlines() if line.strip()}
    assert rows["tiny"][1:9] == ["*", "1.2", "k", "5", "32", "ms", "2.250", "81.23"]
    assert rows["other"][1:] == ["1.2", "k", "5", "32", "ms", "–", "–", "–", "0", "–"]
    assert "Scores: " in result.stdout  # which recordings they are of


def test_json_is_the_cards() -> None:
    found = {entry["name"]: entry for entry in json.loads(call(models, "--json").stdout)}
    assert found["tiny"]["default"] is True
    assert found["other"]["default"] is False
    assert found["tiny"]["macs_per_second"] == 5_000_000
    assert found["tiny"]["tests"][0]["systems"]["float"]["pesq_wb"]["high"] == 2.5
    assert json.loads(call(models, "tiny", "--json").stdout) == found["tiny"]


def test_a_card_is_readable() -> None:
    text = " ".join(call(models, "tiny").stdout.split())
    for words in (
        "tiny: a network for tests",
        "bsrnn, 8 channels, 1 block(s)",
        "32 ms, no look-ahead",
        "method trained alone",
        "commit not recorded",
        "speech voices; nobody; CC0",
        "Whispers.",
        "scores on some mixtures",
        "2.250 [2.000, 2.500]",
        "7 recordings",
        "licence Apache-2.0",
    ):
        assert words in text
    assert "scores on" not in call(models, "other").stdout


def test_an_unknown_name_is_reported() -> None:
    result = call(models, "tinny")
    assert result.exit_code == 2
    assert result.stdout == ""
    message = " ".join(result.stderr.split())
    assert (
        "tinny: no such file or folder, and no model or preset of this name; did you mean 'tiny'" in message
    )
    assert "models: other, tiny" in message


@pytest.mark.parametrize("arguments", [[], ["tiny"], ["tiny-int8"]])
def test_info_prints_the_card_of_a_model_by_default_of_the_default_one(arguments: list[str]) -> None:
    found = json.loads(call(info, *arguments, "--json").stdout)
    assert found["name"] == "tiny"
    cost = found["cost"]
    assert (cost["parameters"], found["macs_per_second"], cost["state_bytes"]) == (1234, 5_000_000, 64)
    assert cost["receptive_field"] == {"past": None, "future": 510}
    text = call(info, *arguments).stdout
    assert "yes: 32 ms of delay, 0 KiB of state" in text
    assert "tiny.int8.onnx" in text


@pytest.mark.parametrize(("arguments", "shown"), [([], "tiny"), (["tiny-int8"], "tiny-int8")])
def test_probe_uses_the_file(arguments: list[str], shown: str) -> None:
    found = json.loads(call(probe, *arguments, "--seconds", "0.2", "--json").stdout)
    assert found["model"] == shown
    assert 256 < found["lookahead"]["samples"] <= 511
    late = call(probe, *arguments, "--seconds", "0.2", "--expect-ms", 1)
    assert late.exit_code == 1
    assert f"{shown}: look-ahead is" in late.stderr


def test_latency_measures_both_files() -> None:
    options = ("--frames", 10, "--rounds", 1, "--streams", 0, "--json")
    rows = json.loads(call(latency, "--backends", "onnx,int8", *options).stdout)["rows"]
    assert [(row["model"], row["backend"]) for row in rows] == [("tiny", "onnx"), ("tiny", "int8")]
    sizes = [pretrained.card("tiny").files[form].bytes for form in ("float", "int8")]
    assert [row["file_bytes"] for row in rows] == sizes
    assert {row["frame_macs"] for row in rows} == {80_000}
    (row,) = json.loads(call(latency, "tiny-int8", "--backends", "onnx", *options).stdout)["rows"]
    assert (row["model"], row["backend"], row["file_bytes"]) == ("tiny-int8", "int8", sizes[1])


def test_latency_times_pytorch_with_random_weights_of_the_same_network(tmp_path: Path) -> None:
    from stillwave.profiling.latency_backends import variants

    (made,), skipped = variants(["tiny"], ("torch",), tmp_path / "work", lambda *_: None)
    assert skipped == []
    assert checkpoint.read_card(made.path).model == shelves.SMALL


@pytest.mark.parametrize("verb", [info, probe, latency])
def test_a_damaged_file_or_an_unknown_name_stops_every_command(verb, tmp_path, monkeypatch) -> None:
    broken = tmp_path / "broken"
    broken.mkdir()
    shelves.write(broken, "tiny", {"float": b"\x08abc", "int8": b"\x08"})
    (broken / "tiny.onnx").write_bytes(b"\x08ab")
    monkeypatch.setattr(pretrained, "SHIPPED", ModelRegistry(broken, "tiny"))
    if verb is not info:  # which reads the card alone
        result = call(verb)
        assert result.exit_code == 2
        assert "tiny.onnx: is cut short, 3 of 4 bytes" in " ".join(result.stderr.split())
    result = call(verb, "tinx")
    assert result.exit_code == 2
    assert "did you mean 'tiny'" in " ".join(result.stderr.split())


def test_a_folder_of_the_same_name_comes_first(tmp_path: Path) -> None:
    Path("tiny").mkdir()
    result = call(probe, "tiny")
    assert result.exit_code == 2
    assert "tiny: contains no checkpoint" in " ".join(result.stderr.split())
