"""The examples do what they say, on recordings of a few seconds."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import soundfile
import torch

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def example() -> ModuleType:
    spec = importlib.util.spec_from_file_location("own_networks", ROOT / "examples" / "own_networks.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def recordings(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    for speaker in range(10):
        place = tmp_path / "speech" / f"speaker{speaker}" / "one.wav"
        place.parent.mkdir(parents=True)
        pitch = np.arange(32_000) * 2 * np.pi * (100 + 20 * speaker) / 16_000
        voiced = np.sin(pitch) * (1 + np.sin(np.arange(32_000) / 2000)) / 8
        soundfile.write(place, voiced + 1e-3 * rng.standard_normal(32_000), 16_000)
    (tmp_path / "noise").mkdir()
    for kind in range(10):
        soundfile.write(tmp_path / "noise" / f"{kind}.wav", 0.1 * rng.standard_normal(32_000), 16_000)
    return tmp_path


@pytest.mark.parametrize("student", ["gru", "wave"])
def test_the_example_distils_its_own_networks(
    example: ModuleType,
    recordings: Path,
    student: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folders = ["--speech", str(recordings / "speech"), "--noise", str(recordings / "noise")]
    monkeypatch.setattr(sys, "argv", ["own_networks.py", *folders, "--student", student, "--steps", "3"])
    example.main()
    rows = capsys.readouterr().out.splitlines()
    assert [row[:18].strip() for row in rows] == ["noisy", "teacher", "baseline", "student"]
    figures = [float(row.split()[-2]) for row in rows]
    assert np.isfinite(figures).all()
    assert figures[2] != figures[3]  # distillation changed what the student learnt


@pytest.mark.parametrize("name", ["ConvUNet", "GruMask", "Wave"])
@pytest.mark.parametrize("samples", [16_000, 12_345])
def test_networks_of_the_example_map_waveforms_to_waveforms(
    example: ModuleType, name: str, samples: int
) -> None:
    estimate = getattr(example, name)()(torch.randn(2, samples))
    assert estimate.shape == (2, samples)
    assert estimate.isfinite().all()
