"""`stillwave adapt`: its options reach the adaptation, and its result and errors are printed."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from stillwave import adaptation
from stillwave.adaptation import Adapted, Settings
from stillwave.adaptation.no_reference import Change
from stillwave.cli import build
from stillwave.stats.bootstrap import Interval

RESULT = Adapted(
    checkpoint=Path("student/checkpoints/best_00000300"),
    verdict="It helped.",
    changes={
        "ovrl_mos": Change(2.5, 2.75, Interval(0.25, 0.125, 0.375, 8)),
        "pauses_db": Change(-10.0, -12.0, Interval(-2.0, math.nan, math.nan, 1)),
    },
    seconds=480.0,
    held_out_seconds=120.0,
    unusable=("bad.wav: is silent; it needs speech and noise",),
    left_out={"no noise": 3},
)


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch) -> list[Settings]:
    seen: list[Settings] = []

    def adapt(settings: Settings, *, quiet: bool) -> Adapted:
        assert quiet
        seen.append(settings)
        return RESULT

    monkeypatch.setattr(adaptation, "adapt", adapt)
    return seen


def run(*words: str) -> str:
    result = CliRunner().invoke(build(), ["adapt", *words])
    assert result.exit_code == 0, result.output
    return result.output


def test_the_change_is_printed_in_words(given: list[Settings]) -> None:
    shown = run("--recordings", "kitchen", "-o", "student", "-q").splitlines()
    assert given == [Settings(Path("kitchen"), Path("student"))]
    assert shown == [
        "on 2.0 min of held-out recordings, before → after:",
        "  overall quality (DNSMOS, 1 to 5): 2.50 → 2.75 (+0.25; 95 % interval +0.12 to +0.38, 8 recordings)",
        "  noise in pauses (dB, output over recording): -10.00 → -12.00 (-2.00; no interval from one recording)",
        "without all ratings, which need the extra 'eval'",
        "It helped.",
        "student/checkpoints/best_00000300",
    ]


def test_options_reach_the_adaptation_and_json_has_the_result(given: list[Settings]) -> None:
    options = "-m bsrnn-s --teacher self --data mine.yaml --share 0.25 --remixed 1 --strength 0.75 --steps 7 --seed 3"
    shown = run("--recordings", "k", "-o", "s", "-q", "--json", *options.split())
    expected = Settings(
        Path("k"), Path("s"), "bsrnn-s", "self", "mine.yaml", share=0.25, remixed=1.0, steps=7
    )
    assert given == [replace(expected, strength=0.75, seed=3)]
    found = json.loads(shown)
    assert found["changes"]["ovrl_mos"]["difference"] == {
        "mean": 0.25,
        "low": 0.125,
        "high": 0.375,
        "count": 8,
    }
    assert found["changes"]["pauses_db"]["difference"]["low"] is None
    assert Adapted.from_figures(found) == replace(RESULT, changes=Adapted.from_figures(found).changes)


def test_a_share_needs_data() -> None:
    result = CliRunner().invoke(build(), ["adapt", "--recordings", "k", "-o", "s", "--share", "0.3"])
    assert result.exit_code == 2
    assert "--share: is the share of examples from --data RECIPE, which is not given" in " ".join(
        result.output.split()
    )


def test_an_error_is_one_sentence(tmp_path: Path) -> None:
    result = CliRunner().invoke(
        build(), ["adapt", "--recordings", str(tmp_path), "-o", str(tmp_path / "student")]
    )
    assert result.exit_code == 2
    assert "contains no recordings; give the folder with the recordings of the place" in " ".join(
        result.output.split()
    )
    assert "Traceback" not in result.output
