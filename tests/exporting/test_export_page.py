"""The page on exporting: the program that it shows enhances a signal as the network does."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import torch
from saved_networks import network, saved

from stillwave.exporting import signals
from stillwave.exporting.export import export

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "export.md"


def test_the_program_without_stillwave(tmp_path, monkeypatch) -> None:
    made = signals.speechlike(1, seconds=1)
    monkeypatch.setattr(signals, "speechlike", lambda count, microphones: made)
    export(saved(tmp_path / "c", "dpdcrn"), tmp_path / "student.onnx")
    monkeypatch.chdir(tmp_path)
    program = next(block for block in re.findall(r"```python\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL))
    names: dict = {}
    exec(program, names)
    noisy = made[0, 0, : 60 * 256]
    found = np.concatenate([names["process"](block) for block in noisy.reshape(-1, 256)])
    with torch.inference_mode():
        expected = network("dpdcrn")(torch.from_numpy(noisy)[None])[0].numpy()
    np.testing.assert_allclose(found[256:], expected[:-256], atol=1e-5)
