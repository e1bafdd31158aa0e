"""Paths on the command line, as every verb gets them."""

from pathlib import Path

from stillwave import recipe
from stillwave.cli import guard
from stillwave.evaluation.inputs import named


def test_an_unexpanded_tilde_is_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    given = {}

    def verb(**options):
        given.update(options)

    guard(verb)(inputs=[Path("~/a.wav"), Path("-")], output=Path("~/b.wav"), model=None, tag="~/x")
    assert given == {
        "inputs": [tmp_path / "a.wav", Path("-")],
        "output": tmp_path / "b.wav",
        "model": None,
        "tag": "~/x",
    }


def test_a_tilde_in_a_recipe_or_a_named_path_is_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    made = recipe.load("denoiser-student", ["data.train.speech=~/speech.jsonl", "data.cache=~/cache"])
    assert made.data.train.speech == str(tmp_path / "speech.jsonl")
    assert made.data.cache == str(tmp_path / "cache")
    assert named(["mine=~/out"]) == {"mine": tmp_path / "out"}
