"""A wrong teacher and a missing source are reported before anything else is done."""

from __future__ import annotations

import pytest
from toy import toy_recipe, train_toy

from stillwave.errors import StillwaveError
from stillwave.training import inputs, threads, train
from stillwave.training.inputs import places


@pytest.fixture(autouse=True)
def no_measurement(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(threads, "choose", lambda *_: pytest.fail("has measured threads"))


def test_a_missing_source_is_named_first(tmp_path):
    with pytest.raises(StillwaveError, match="speech: there is no such manifest or folder"):
        train(toy_recipe("data.train.speech=absent-speech"), tmp_path / "run", quiet=True)


@pytest.mark.parametrize("command", ["absent-tool {in} {out}"])
def test_a_program_that_does_not_exist_is_named_first(tmp_path, command):
    overrides = ["distill.method=output", f"distill.teacher_command={command}"]
    with pytest.raises(StillwaveError, match="there is no program 'absent-tool'"):
        train_toy(tmp_path / "run", *overrides)


def test_sources_are_not_checked_if_data_are_given():
    recipe = toy_recipe("data.train.speech=absent-speech")
    inputs.check(recipe, data=False)
    assert "absent-speech" in list(places(recipe.data))
