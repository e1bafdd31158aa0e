"""The checkpoints that ship are found from a checkout and from an installed package."""

from __future__ import annotations

from pathlib import Path

import pytest

from stillwave import pretrained
from stillwave.errors import CheckpointError
from stillwave.pretrained import checkpoints


def test_a_checkout_has_it_in_weights() -> None:
    found = checkpoints.teacher()
    assert found == Path(__file__).resolve().parents[2] / "weights" / "denoiser-teacher"
    assert (found / "weights.safetensors").stat().st_size < 2e6, "a wheel carries it"


def test_a_wheel_has_it_beside_the_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = tmp_path / "site-packages" / "stillwave" / "weights" / "checkpoints.py"
    monkeypatch.setattr(checkpoints, "__file__", str(module))
    with pytest.raises(CheckpointError, match=r"teacher is missing.*denoiser-teacher"):
        checkpoints.teacher()
    place = module.parent / "checkpoints" / "denoiser-teacher"
    place.mkdir(parents=True)
    (place / "card.json").touch()
    assert checkpoints.teacher() == place


def test_every_shipped_model_has_a_checkpoint() -> None:
    for name in pretrained.names():
        assert checkpoints.find(name).name == name


def test_a_missing_checkpoint_of_a_model_is_named() -> None:
    with pytest.raises(
        CheckpointError, match=r"the checkpoint of bsrnn-l is missing.*install stillwave again"
    ):
        checkpoints.find("bsrnn-l")
