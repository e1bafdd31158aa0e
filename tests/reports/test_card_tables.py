"""What a model card says about rooms."""

from __future__ import annotations

from typing import Any

import pytest

from stillwave import pretrained
from stillwave.reports.card_tables import room, sections


@pytest.mark.parametrize("name", ["bsrnn-xs", "bsrnn-s", "bsrnn-m"])
def test_every_shipped_model_states_what_it_does_with_a_room(name: str) -> None:
    rows = dict(sections(pretrained.card(name))["network"])
    assert rows["room"] == "kept up to 50 ms after the direct sound, later reflections are removed"


@pytest.mark.parametrize(
    ("recipe", "text"),
    [
        (None, "not recorded"),
        ({"data": {"train": {"pairs": "l3das"}, "mixing": {}}}, "not recorded"),
        ({"data": {"mixing": {"reverberation": 0}}}, "not trained with reverberation"),
        ({"data": {"mixing": {"early_ms": 2000}}}, "kept up to 2000 ms after the direct sound, later"),
    ],
)
def test_a_card_states_only_what_its_recipe_says(recipe: dict[str, Any] | None, text: str) -> None:
    card = pretrained.card("bsrnn-xs").model_copy(update={"recipe": recipe})
    assert room(card).startswith(text)
