"""A model is found by its name; otherwise the error lists the valid names."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import shelves

from stillwave.errors import CheckpointError
from stillwave.pretrained import ModelRegistry


@pytest.fixture
def shelf(tmp_path: Path) -> ModelRegistry:
    folder = tmp_path / "models"
    folder.mkdir()
    shelves.write(folder, "small", {"float": b"wide numbers", "int8": b"narrow"})
    shelves.write(folder, "large", {"float": b"many wide numbers"})
    return ModelRegistry(folder, "small")


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch) -> Path:
    """A working folder that holds none of the models."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "here"


def test_names_are_sorted_and_each_has_its_files(shelf: ModelRegistry) -> None:
    assert shelf.names() == ["large", "small"]
    assert shelf.find("small").read_bytes() == b"wide numbers"
    assert shelf.find("small-int8").read_bytes() == b"narrow"
    assert shelf.card("small-int8") == shelf.card("small")
    assert shelf.known("huge") is None


def test_nothing_means_the_default_and_a_name_the_model(shelf: ModelRegistry, elsewhere: Path) -> None:
    assert shelf.locate(None) == shelf.folder / "small.onnx"
    assert shelf.locate("large") == shelf.folder / "large.onnx"
    assert shelf.locate(Path("small-int8")) == shelf.folder / "small.int8.onnx"


@pytest.mark.parametrize("kind", ["folder", "file"])
def test_what_is_on_disk_comes_before_a_name(shelf: ModelRegistry, elsewhere: Path, kind: str) -> None:
    own = elsewhere / "small"
    own.mkdir() if kind == "folder" else own.write_bytes(b"mine")
    assert shelf.locate("small").resolve() == own
    assert shelf.locate(None) == shelf.folder / "small.onnx"


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ("smal", r"smal: .*'small' or 'small-int8'.*models: large, small"),
        ("zzz", r"zzz: .*models: large, small .*-int8"),
        ("runs/small", r"runs/small: .*models: large, small"),
        ("small.onnx", r"small\.onnx: .*models: large, small"),
        ("", r"^: .*models: large, small"),
    ],
)
def test_an_unknown_name_gets_those_that_exist(
    shelf: ModelRegistry, elsewhere: Path, asked: str, words: str
) -> None:
    with pytest.raises(CheckpointError, match=words):
        shelf.find(asked) if not asked else shelf.locate(asked)


def test_presets_are_named_where_they_would_do(shelf: ModelRegistry, elsewhere: Path) -> None:
    with pytest.raises(CheckpointError, match=r"mediun: .*'medium'\? models: large.*; presets: medium$"):
        shelf.locate("mediun", ["medium", "small"])


def test_a_form_that_does_not_ship_is_said(shelf: ModelRegistry) -> None:
    with pytest.raises(CheckpointError, match=r"large-int8: 'large' .*float"):
        shelf.find("large-int8")


def test_weights_cut_short_are_told_from_others(shelf: ModelRegistry) -> None:
    path = shelf.folder / "small.onnx"
    path.write_bytes(b"wide num")
    with pytest.raises(CheckpointError, match=r"small\.onnx: .*8 of 12 bytes; .*: large$"):
        shelf.find("small")
    path.write_bytes(b"wide numbert")
    with pytest.raises(CheckpointError, match=r"small\.onnx: .*card, small\.json"):
        shelf.find("small")
    path.unlink()
    with pytest.raises(CheckpointError, match=r"small\.onnx: .*\(No such file"):
        shelf.find("small")
    assert shelf.find("small-int8").read_bytes() == b"narrow"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", r"line 1 column 2.*: large$"),
        ("[]", r"JSON object.*: large$"),
        ('{"format": 2}', r"format 2.* 1;"),
        (
            '{"name": "small"}',
            r"small\.json: model: .*: large$",
        ),
    ],
)
def test_a_faulty_card_is_one_sentence(shelf: ModelRegistry, text: str, words: str) -> None:
    (shelf.folder / "small.json").write_text(text, encoding="utf-8")
    with pytest.raises(CheckpointError, match=words) as fault:
        shelf.find("small")
    assert "small.json" in str(fault.value)
    assert "\n" not in str(fault.value)


def test_a_card_with_an_unknown_key_or_a_wrong_hash_is_refused(shelf: ModelRegistry) -> None:
    card = shelves.write(shelf.folder, "small", {"float": b"x"}, mood="good")
    with pytest.raises(CheckpointError, match="mood: "):
        shelf.card("small")
    del card["mood"]
    card["files"]["float"]["sha256"] = "abc"
    (shelf.folder / "small.json").write_text(json.dumps(card), encoding="utf-8")
    with pytest.raises(CheckpointError, match=r"files\.float\.sha256"):
        shelf.card("small")


def test_a_copy_without_models_says_so(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"small: .*no models"):
        ModelRegistry(tmp_path, "small").locate(None)


def test_a_card_with_one_test_set_is_read(shelf: ModelRegistry) -> None:
    file = shelf.folder / "small.json"
    card = shelf.card("small").model_dump(mode="json")
    tested = {"test_set": "t", "recordings": 2, "systems": {"float": {"stoi": {"mean": 0.5}}}}
    del card["tests"]
    file.write_text(json.dumps({**card, "test": tested}), encoding="utf-8")
    (found,) = shelf.card("small").tests
    assert (found.test_set, found.recordings, shelf.card("small").score("stoi").mean) == ("t", 2, 0.5)
    file.write_text(json.dumps({**card, "test": None}), encoding="utf-8")
    assert shelf.card("small").tests == ()
    assert shelf.card("small").score("stoi") is None
