"""What ships is whole, small, credited, and cleans sound; whichever models these are."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePath

import numpy as np
import pytest

import stillwave
from stillwave import pretrained
from stillwave.inference.onnx_model import read
from stillwave.schema import PRESETS, ModelConfig

ROOT = Path(__file__).parents[2]
FORMS = [name + form for name in pretrained.names() for form in ("", pretrained.INT8)]


def test_the_default_is_one_of_them_and_all_are_small() -> None:
    assert pretrained.default() in pretrained.names()
    assert sum(path.stat().st_size for path in pretrained.SHIPPED.folder.iterdir()) < 25e6


def test_nothing_lies_there_that_no_card_knows() -> None:
    known = {f"{name}.json" for name in pretrained.names()}
    for name in pretrained.names():
        known |= {file.name for file in pretrained.card(name).files.values()}
    assert {path.name for path in pretrained.SHIPPED.folder.iterdir()} == known


@pytest.mark.parametrize("form", FORMS)
def test_a_file_is_what_its_card_says(form: str) -> None:
    card, model = pretrained.card(form), read(pretrained.find(form))
    assert card.name == form.removesuffix(pretrained.INT8)
    assert (model.meta.kind, model.meta.sample_rate, model.meta.stft.hop) == (
        "stream",
        card.sample_rate,
        card.hop,
    )
    assert model.meta.precision == ("int8" if form.endswith(pretrained.INT8) else "float32")
    assert model.meta.card["sha256"] == card.sha256
    assert ModelConfig.model_validate(model.meta.card["model"]) == card.model, "also one that knew fewer keys"
    assert card.delay_ms == 1000 * model.meta.delay_samples / card.sample_rate


@pytest.mark.parametrize("name", pretrained.names())
def test_a_card_tells_what_one_must_know(name: str) -> None:
    card = pretrained.card(name)
    assert {source.part for source in card.sources} >= {"speech", "noise"}
    assert all(source.licence and source.citation for source in card.sources)
    assert card.licence
    assert card.training.hours is not None
    assert card.preset is None or PRESETS[card.preset] == card.model


def test_no_place_of_the_machine_that_trained_them_is_told() -> None:
    message = [pretrained.card(name).model_dump() for name in pretrained.names()]
    message += [read(pretrained.find(form)).meta.card for form in FORMS]
    texts = list(texts_in(message))
    assert len(texts) > 20
    assert not [text for text in texts if PurePath(text).is_absolute()]


def texts_in(value) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list | tuple):
        for entry in value.values() if isinstance(value, dict) else value:
            yield from texts_in(entry)


def test_credits_name_an_author_for_every_clip_under_cc_by() -> None:
    text = (ROOT / "src/stillwave/pretrained/ATTRIBUTION.md").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if line.startswith("| ") and "freesound.org" in line]
    assert f"The {len(lines)} others are under" in " ".join(text.split())
    assert all(len(line.split(" | ")[1].strip()) > 0 for line in lines)


@pytest.mark.parametrize("name", pretrained.names())
def test_credits_name_every_source_that_asks_for_attribution(name: str) -> None:
    text = (ROOT / "src/stillwave/pretrained/ATTRIBUTION.md").read_text(encoding="utf-8")
    asking = [
        one
        for one in pretrained.SHIPPED.card(name).sources
        if "BY" in one.licence and "ESC-50" not in one.name
    ]
    assert [
        one.name
        for one in asking
        if f"[{one.name}]({one.url}) | {one.licence} | {one.citation} |" not in text
    ] == []
    assert len(asking) > 20 or name != pretrained.default()


@pytest.mark.parametrize("form", [None, *FORMS])
def test_every_one_lowers_noise_and_keeps_silence(form: str | None) -> None:
    enhancer = stillwave.load(form)
    noise = 0.03 * np.random.default_rng(0).standard_normal(32_000).astype(np.float32)
    left = enhancer.enhance(noise, 16_000)[8_000:]  # after it has adapted to the noise
    assert np.square(left).mean() < 0.1 * np.square(noise).mean()
    assert not enhancer.enhance(np.zeros(4_000, np.float32), 16_000).any()


def test_the_small_form_computes_nearly_the_same() -> None:
    name = pretrained.default()
    rng = np.random.default_rng(1)
    signal = 0.1 * rng.standard_normal(16_000).astype(np.float32) * np.sin(np.arange(16_000) / 700) ** 2
    whole, small = (stillwave.load(form).enhance(signal, 16_000) for form in (name, name + pretrained.INT8))
    assert 0 < np.square(whole - small).sum() < 10**-1.5 * np.square(whole).sum()
