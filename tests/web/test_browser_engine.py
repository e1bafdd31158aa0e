"""The engine of the browser (`web/static/engine`) equals the Python runtime; needs node and `make web-assets`."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from voices import noisy, voice

import stillwave
from stillwave import pretrained
from stillwave.audio import Samples, resample

PACKAGE = Path(__file__).parents[2] / "packages" / "stillwave-web"
NODE = shutil.which("node")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.browser,
    pytest.mark.skipif(
        NODE is None or not (PACKAGE / "node_modules").is_dir(), reason="needs node and `make web-assets`"
    ),
]
TOLERANCE = 1e-4
MODELS = [name + suffix for name in pretrained.names() for suffix in ("", "-int8")]
CASES = [
    *((model, 16_000, None) for model in MODELS),
    *((MODELS[0], rate, None) for rate in (8_000, 11_127, 22_050, 44_100, 48_000, 96_000)),
    (MODELS[0], 44_100, 12.0),
]
"""Models, rates and limits of the reduction in dB; 11,127 Hz has more phases than filters are stored for."""


def signal(rate: int, seconds: float = 1.5) -> Samples:
    """Two channels: harmonics in noise, and the same reversed, with silence in the middle."""
    time = np.arange(round(seconds * rate)) / rate
    rng = np.random.default_rng(rate)
    mono = 0.1 * sum(np.sin(2 * np.pi * 150 * k * time) / k for k in range(1, 8)) * (np.sin(8 * time) > 0)
    mono = mono + 0.05 * rng.standard_normal(len(time))
    mono[len(mono) // 2 : len(mono) * 2 // 3] = 0
    return np.stack([mono, mono[::-1]]).astype(np.float32)


def test_output_equals_pythons(tmp_path: Path) -> None:
    jobs = []
    for i, (model, rate, limit_db) in enumerate(CASES):
        signal(rate).tofile(tmp_path / f"{i}.in")
        paths = {"input": str(tmp_path / f"{i}.in"), "output": str(tmp_path / f"{i}.out")}
        file = str(pretrained.find(model))
        jobs.append({"model": file, "rate": rate, "channels": 2, "limitDb": limit_db, **paths})
    lines = "".join(json.dumps(job) + "\n" for job in jobs)
    command = [str(NODE), "test/enhance-raw.mjs"]
    subprocess.run(command, cwd=PACKAGE, input=lines, text=True, check=True)
    for i, (model, rate, limit_db) in enumerate(CASES):
        expected = stillwave.load(model).enhance(signal(rate), rate, limit_db=limit_db)
        found = np.fromfile(tmp_path / f"{i}.out", np.float32).reshape(2, -1)
        assert found.shape == expected.shape
        assert np.abs(expected).max() > 0.05
        assert np.abs(found - expected).max() < TOLERANCE, (model, rate, limit_db)


@pytest.mark.parametrize("rate", [16_000, 48_000])
def test_clean_sound_is_kept_as_in_python(tmp_path: Path, rate: int) -> None:
    clean = resample(voice(3)[None], 16_000, rate)[0]
    mixed = np.concatenate([clean, noisy(clean, 20), clean])
    mixed.tofile(tmp_path / "in")
    job = {"model": str(pretrained.find("bsrnn-m")), "rate": rate, "channels": 1, "keepClean": True}
    job |= {"input": str(tmp_path / "in"), "output": str(tmp_path / "out")}
    command = [str(NODE), "test/enhance-raw.mjs"]
    subprocess.run(command, cwd=PACKAGE, input=json.dumps(job) + "\n", text=True, check=True)
    expected = stillwave.load("bsrnn-m", keep_clean=True).enhance(mixed, rate)
    assert np.abs(np.fromfile(tmp_path / "out", np.float32) - expected).max() < TOLERANCE
    assert np.abs(stillwave.load("bsrnn-m").enhance(mixed, rate) - expected).max() > 10 * TOLERANCE


def test_package() -> None:
    """The package's own tests (`npm test`) and its types pass."""
    result = subprocess.run(["npm", "test"], cwd=PACKAGE, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr
    result = subprocess.run(["npm", "run", "types"], cwd=PACKAGE, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr
