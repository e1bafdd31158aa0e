"""Figures of weights and similarities, drawn from given values."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from stillwave.explain import figures


def test_equal_weights_have_the_middle_colour(tmp_path):
    colours = figures.weight_colours(0.25, [np.array([[0.1, 0.7]], np.float32)])
    assert colours["norm"](0.25) == 0.5
    assert colours["norm"](0.0) == 0
    assert colours["norm"](0.7) == pytest.approx(1, abs=1e-5)
    clip = figures.AudioClip(np.random.default_rng(0).standard_normal(4000).astype(np.float32), 16_000)
    one = {"time": np.ones((5, 2, 1), np.float32)}
    figures.draw_weights(tmp_path / "one.png", clip, one, students=2, teachers=1)
    assert (tmp_path / "one.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("kind", "size"),
    [(figures.FigureKind(None, "other example"), (2, 9)), (figures.FigureKind("band", "band"), (4, 4))],
)
def test_similarities_of_the_other_streams_are_drawn(tmp_path, monkeypatch, kind, size):
    monkeypatch.setattr(figures, "DPI", 40)
    random = np.random.default_rng(0)
    clip = figures.AudioClip(random.standard_normal(4000).astype(np.float32), 16_000)
    row = figures.FigureRow("layer", *random.uniform(size=(2, *size)).astype(np.float32))
    figures.draw_similarities(tmp_path / "some.png", clip, [row], kind)
    with Image.open(tmp_path / "some.png") as image:
        assert len(image.convert("RGBA").getcolors(1 << 24)) > 20
