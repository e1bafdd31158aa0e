"""Examples of a recipe mixed into those of the recordings: their share, their length, and that they are trained on."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from place import write_place

from stillwave.adaptation.recordings import PIECE
from stillwave.adaptation.training import Blend, ordinary
from stillwave.errors import StillwaveError


def named(name: str):
    return lambda epoch, index: SimpleNamespace(name=name, epoch=epoch, index=index)


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_the_share_of_mixed_in_examples(share: float):
    blend = Blend(named("recording"), named("recipe"), share, seed=3)
    drawn = [blend(0, index).name == "recipe" for index in range(2000)]
    assert np.mean(drawn) == pytest.approx(share, abs=0.03)
    again = Blend(named("recording"), named("recipe"), share, seed=3)
    assert drawn == [again(0, index).name == "recipe" for index in range(2000)]


def test_examples_of_a_recipe_last_a_piece(tmp_path: Path):
    for kind in ("speech", "noise"):
        write_place(tmp_path / kind, 20, 3.0)
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(
        f"name: mine\nmodel: {{name: bsrnn}}\ndata: {{train: {{speech: {tmp_path}/speech, noise: {tmp_path}/noise}}, "
        f"development: {tmp_path}/speech, segment_seconds: 1.0}}\n"
    )
    example = ordinary(str(recipe), 0)(0, 0)
    assert example.noisy.shape == example.clean.shape == (PIECE,)


def test_a_recipe_that_does_not_exist(tmp_path: Path):
    with pytest.raises(StillwaveError, match=r"mine\.yaml"):
        ordinary(str(tmp_path / "mine.yaml"), 0)
