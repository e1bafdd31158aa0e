"""What the page on live sound shows runs, and its figures are those of the code."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from stillwave.inference.stream import delay

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "streaming.md"


def test_python_of_the_page_runs(tmp_path, monkeypatch, file):
    shutil.copy(file, tmp_path / "student.onnx")
    monkeypatch.chdir(tmp_path)
    first, streams, states, lanes = re.findall(
        r"```python\n(.*?)```", PAGE.read_text("utf-8"), flags=re.DOTALL
    )
    noisy = 0.1 * np.random.default_rng(0).standard_normal(9_000).astype(np.float32)
    given = []
    names = {
        "numpy": np, "microphone": np.split(noisy, [100, 100, 4_000]), "blocks": np.ones((8, 300)),
        "loudspeaker": SimpleNamespace(write=given.append),
    }  # fmt: skip
    exec(first, names)
    whole = names["enhancer"].enhance(noisy, 48_000)
    assert np.abs(np.concatenate(given)[names["stream"].delay_samples :] - whole).max() < 1e-5
    exec(states, names)
    exec(streams, names)
    assert names["out"].shape == (8, 300)
    exec(lanes, names)
    names["processor"].exchange(np.zeros((1, 480), np.float32))
    names["worker"].stop()
    assert names["worker"].error is None


@pytest.mark.parametrize("rate", [16_000, 48_000, 44_100, 8_000])
def test_delays_on_the_page_are_correct(rate):
    samples = delay(16_000, rate, 256)
    assert f"{samples}" in PAGE.read_text("utf-8")
    assert f"({1000 * samples / rate:.1f} ms)" in PAGE.read_text("utf-8")
