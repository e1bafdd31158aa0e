"""Metrics that are better when lower: verdicts, colours and the gap to the teacher are reversed."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from matplotlib.colors import to_rgb

from stillwave.compare import pictures, results
from stillwave.compare.matrices import System
from stillwave.compare.text_report import verdicts
from stillwave.reports.figures import BLUE, RED
from stillwave.stats.crossed import Estimate


def change(mean):
    return Estimate(mean, mean - 0.01, mean + 0.01, 0.001, 3, 40)


def row(name, mean):
    both = {"wer": change(mean), "si_sdr": change(mean)}
    sure = dict.fromkeys(both, 0.001)
    return results.MethodRow(
        name, name.upper(), (0, 1), both, both, dict.fromkeys(both), {}, results.Costs(), {}, 0, sure
    )


@pytest.fixture
def found():
    """One method lowers both metrics, one raises both, all beyond chance."""
    return SimpleNamespace(
        grid=SimpleNamespace(metrics=("si_sdr", "wer"), seeds=(0, 1)),
        sections={"s": (row("down", -0.1), row("up", 0.2))},
    )


def test_fewer_errors_are_called_better(found):
    assert list(verdicts(found)) == [
        "SI-SDR: better than the student alone: UP; worse: DOWN.",
        "WER: better than the student alone: DOWN; worse: UP.",
    ]


def test_the_best_is_on_top_and_blue(found, tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr(pictures.figures, "save_figure", lambda figure, files: drawn.append(figure) or files)
    pictures.forest(found, tmp_path / "forest")
    (figure,) = drawn
    orders = [["DOWN", "UP"], ["UP", "DOWN"]]  # si_sdr, wer; from below
    for axis, order in zip(figure.axes, orders, strict=True):
        assert [label.get_text() for label in axis.get_yticklabels()] == order
        dots = [line for line in axis.lines if line.get_marker() == "o"]
        assert [to_rgb(dot.get_color()) for dot in dots] == [to_rgb(RED), to_rgb(BLUE)]


def system(*seeds, values):
    return System(seeds, {"wer": np.asarray(values, float), "si_sdr": np.asarray(values, float)}, (), {})


def test_a_teacher_with_fewer_errors_is_ahead():
    alone = system(0, values=[[0.50, 0.52, 0.48, 0.54]])
    method = system(0, values=[[0.40, 0.42, 0.38, 0.44]])
    teacher = system(values=[[0.30, 0.33, 0.27, 0.34]])
    assert results.closed_gap(method, alone, teacher, "wer") == pytest.approx(0.5, abs=1e-9)
    assert results.closed_gap(method, alone, teacher, "si_sdr") is None
    assert results.closed_gap(method, teacher, alone, "wer") is None
