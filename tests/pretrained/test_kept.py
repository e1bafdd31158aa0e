"""The checkpoints kept in the checkout are those that the shipped files and their cards speak of."""

from __future__ import annotations

from pathlib import Path

import pytest

from stillwave import checkpoint, pretrained

ROOT = Path(__file__).parents[2] / "weights"
KEPT = sorted(path.name for path in ROOT.iterdir())


@pytest.mark.parametrize("name", KEPT)
def test_a_kept_checkpoint_loads_and_tells_its_origin(name: str) -> None:
    _, card = checkpoint.load(ROOT / name)
    assert card.data is not None
    assert "speechocean762" in card.data
    assert '"/' not in (ROOT / name / "card.json").read_text(), "a path of the machine that trained it"


@pytest.mark.parametrize("name", pretrained.names())
def test_every_model_that_ships_can_be_gone_on_from_and_so_can_its_teacher(name: str) -> None:
    card = pretrained.card(name)
    assert checkpoint.read_card(ROOT / name).sha256 == card.sha256
    teacher = checkpoint.read_card(ROOT / "denoiser-teacher").sha256
    assert teacher is not None
    if card.teacher is not None:
        assert teacher[:16] in card.teacher


def test_they_are_small() -> None:
    assert sum(file.stat().st_size for file in ROOT.rglob("*")) < 15e6
