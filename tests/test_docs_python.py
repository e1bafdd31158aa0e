"""The Python blocks of README and the how-tos run as they are pasted, one after another, as a reader would."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from torch import nn

from stillwave import checkpoint, pretrained
from stillwave.models import build
from stillwave.schema import ModelConfig

ROOT = Path(__file__).parents[1]
PAGES = [
    "README.md",
    "docs/reference/api.md",
    *sorted(str(page.relative_to(ROOT)) for page in (ROOT / "docs" / "how-to").glob("*.md")),
]
RATE = 16_000
CAUSAL = ModelConfig(name="bsrnn", channels=8, blocks=1, bands=8, causal=True, norm="frame")


def blocks(page: str) -> list[str]:
    text = (ROOT / page).read_text(encoding="utf-8")
    return re.findall(r"^```python\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE)


def sound(samples: int, seed: int = 0) -> np.ndarray:
    """Tones that come and go, so that metrics find them speech enough."""
    rng, time = np.random.default_rng(seed), np.arange(samples) / RATE
    voice = sum(np.sin(2 * np.pi * 150 * k * time) / k for k in range(1, 12)) * (
        np.sin(2 * np.pi * 3 * time) > 0
    )
    return (0.1 * voice + 0.01 * rng.standard_normal(samples)).astype(np.float32)


def network(width: int) -> nn.Module:
    return nn.Sequential(
        nn.Conv1d(1, width, 16, stride=8), nn.PReLU(),
        nn.Conv1d(width, width, 3, padding=1), nn.PReLU(),
        nn.ConvTranspose1d(width, 1, 16, stride=8),
    )  # fmt: skip


class Loudspeaker:
    """What a reader's own program writes to."""

    def __init__(self) -> None:
        self.written: list[np.ndarray] = []

    def write(self, block: np.ndarray) -> None:
        self.written.append(block)


@pytest.fixture
def given() -> dict[str, Any]:
    """What a reader has at hand: recordings, devices, networks."""
    return {
        "samples": sound(8_000), "rate": RATE, "block": sound(480), "blocks": np.stack([sound(480)] * 8),
        "microphone": [sound(480, seed) for seed in range(5)], "loudspeaker": Loudspeaker(),
        "torch": torch, "teacher": network(32), "student": network(8),
        "noisy": torch.randn(4, 1, 800), "clean": torch.randn(4, 1, 800),
    }  # fmt: skip


def furnish(folder: Path, block: str) -> None:
    """The files that a block reads, as its page has them made before."""
    soundfile.write(folder / "noisy.wav", sound(8_000), RATE)
    if "export(" not in block:
        shutil.copy(pretrained.find("bsrnn-xs"), folder / "student.onnx")
        return
    torch.manual_seed(0)
    model = build(CAUSAL)
    checkpoint.save(folder / "runs" / "student", model, checkpoint.Card(model=model.config))
    for kind, share in (("clean", 0.0), ("noisy", 0.05)):
        (folder / "test" / kind).mkdir(parents=True)
        noise = share * np.random.default_rng(1).standard_normal(24_000)
        soundfile.write(folder / "test" / kind / "one.wav", sound(24_000) + noise, RATE)


SLOW = {"docs/how-to/export.md": "exports a network and scores both by PESQ"}


@pytest.mark.parametrize(
    "page",
    [pytest.param(p, marks=pytest.mark.slow) if p in SLOW else p for p in PAGES if blocks(p)],
)
def test_python_blocks_run_as_pasted(page, given, tmp_path, monkeypatch):
    names: dict[str, Any] = {}
    for number, block in enumerate(blocks(page)):
        names.update(given)  # a block on networks has another `clean` than one on recordings
        folder = tmp_path / str(number)
        folder.mkdir()
        furnish(folder, block)
        monkeypatch.chdir(folder)
        exec(compile(block, f"{page}, Python block {number + 1}", "exec", dont_inherit=True), names)
        if "worker" in names:
            names.pop("worker").stop()
    CHECKS.get(page, lambda names: None)(names)


def _of_readme(names: dict[str, Any]) -> None:
    assert names["enhancer"].enhance(names["samples"], RATE).shape == names["samples"].shape
    assert names["stream"].rate == 48_000
    assert set(names["losses"]) == {"encoder", "middle", "inter"}
    assert names["loss"].isfinite()
    assert all(p.grad is not None for p in names["student"].parameters())
    (snippet,) = [block for block in blocks("README.md") if "Distiller" in block]
    assert len([line for line in snippet.splitlines() if line.strip()]) < 10


def _of_enhance(names: dict[str, Any]) -> None:
    assert names["done"] == 8_000
    assert soundfile.info("clean.wav").frames == 8_000


def _of_streaming(names: dict[str, Any]) -> None:
    enhancer = names["enhancer"]
    recorded = np.concatenate(names["loudspeaker"].written)[1725:]
    whole = enhancer.enhance(np.concatenate(names["microphone"]), 48_000)
    assert np.abs(recorded - whole).max() < 1e-5
    assert names["out"].shape == (8, 480)
    assert names["processor"].delay_samples == 1725 + 3 * 480


def _of_own_networks(names: dict[str, Any]) -> None:
    assert list(names["losses"]) == ["encoder", "middle", "inter"]


CHECKS = {
    "docs/how-to/own-networks.md": _of_own_networks,
    "README.md": _of_readme,
    "docs/how-to/enhance.md": _of_enhance,
    "docs/how-to/streaming.md": _of_streaming,
}


def test_pages_with_python_are_found():
    assert {"README.md", "docs/how-to/enhance.md", "docs/how-to/own-networks.md"} <= set(
        filter(blocks, PAGES)
    )
