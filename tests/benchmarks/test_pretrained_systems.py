"""Systems are those that were given; differences use equal seeds; no score of other recordings is used."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from evaluate_pretrained import scoring, systems, tables
from evaluate_pretrained.scoring import Scored
from evaluate_pretrained.systems import Run, System
from stillwave.errors import StillwaveError


def specs(folder: Path, text: str) -> systems.Specs:
    file = folder / "systems.yaml"
    file.write_text(text, encoding="utf-8")
    return systems.read_specs(file)


def test_paths_are_relative_to_the_file(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    found = specs(tmp_path, "default: m\nsystems:\n  m: [a, b]\n  n: {runs: a, against: m}\n")
    assert found.systems["m"].runs == (tmp_path / "a", Path("b"))
    assert found.systems["n"].against == "m"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("default: x\nsystems: {mine: a}", "'x'"),
        ("default: m\nsystems: {m: {runs: a, against: mm}}", "'mm'.*'m'"),
        ("default: noisy\nsystems: {noisy: a}", "cannot name"),
        ("default: m\nsystems: {m: {run: a}}", "systems.m"),
        ("default: [", "line 1, column 11"),
    ],
)
def test_errors_in_the_file_are_single_sentences(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(StillwaveError, match=message) as fault:
        specs(tmp_path, text)
    assert "systems.yaml" in str(fault.value)


def test_the_last_named_is_the_default() -> None:
    found = systems.named(["one=a", "two=b,c"], None)
    assert found.default == "two"
    assert found.systems["two"].runs == (Path("b"), Path("c"))
    with pytest.raises(StillwaveError, match="NAME=PATH"):
        systems.named(["one=a"], "other")


def scored(name: str, seeds: list[int | None], values: list[list[float]], network: bool = True) -> Scored:
    path = Path(name) if network else None
    runs = tuple(Run(name, f"{name}-{place}", path, seed) for place, seed in enumerate(seeds))
    return Scored(System(name, runs), {"pesq_wb": np.array(values)}, {})


def test_differences_are_of_equal_seeds_in_whatever_order_they_were_named() -> None:
    one = scored("one", [0, 2], [[1.0, 2.0], [3.0, 4.0]])
    other = scored("other", [2, 1, 0], [[0.5, 0.5], [9.0, 9.0], [0.0, 1.0]])
    assert one.minus(other, "pesq_wb").tolist() == [[1.0, 1.0], [2.5, 3.5]]


def test_runs_without_distinct_seeds_are_paired_by_position() -> None:
    one = scored("one", [None, None], [[1.0], [2.0]])
    other = scored("other", [0, 0], [[0.0], [0.5]])
    assert one.minus(other, "pesq_wb").tolist() == [[1.0], [1.5]]


def test_systems_without_common_seeds_are_not_compared() -> None:
    with pytest.raises(StillwaveError, match=r"'one' and 'other'.* seed"):
        scored("one", [0], [[1.0]]).minus(scored("other", [1], [[1.0]]), "pesq_wb")


def test_the_input_is_compared_with_every_seed() -> None:
    one = scored("one", [4, 5], [[1.0, 2.0], [3.0, 4.0]])
    noisy = scored("noisy", [None], [[1.0, 1.0]], network=False)
    assert one.minus(noisy, "pesq_wb").tolist() == [[0.0, 1.0], [2.0, 3.0]]


def test_degraded_recordings_are_counted_by_the_mean_over_seeds() -> None:
    noisy = scored("noisy", [None], [[2.0, 2.0, 2.0]], network=False)
    one = scored("one", [0, 1], [[1.8, 1.8, 1.95], [2.2, 1.9, 1.95]])
    both = {
        s.system.name: Scored(s.system, dict.fromkeys(tables.QUALITY, s.values["pesq_wb"]), {})
        for s in (noisy, one)
    }
    assert list(tables.gains(both))[-1].endswith("| 1 of 3 |")


def test_results_of_another_test_set_are_not_used(tmp_path: Path) -> None:
    file = tmp_path / "kept.json"
    assert scoring.read_kept(file, {"test": "a"}) is None
    file.write_text('{"test": "a", "rows": 1}', encoding="utf-8")
    assert scoring.read_kept(file, {"test": "a"}) == {"test": "a", "rows": 1}
    assert scoring.read_kept(file, {"test": "b"}) is None
    assert scoring.read_kept(file, {"test": "a", "metrics": []}) is None


def test_gtcrn_has_no_interval() -> None:
    values = {m: np.array([[value + 0.1, value + 0.3]]) for m, value in tables.GTCRN.items()}
    values["si_sdr"] -= 1.0
    message = tables.against_gtcrn(Scored(System("mine", (Run("mine", "f", Path("m")),)), values, {}))
    assert "PESQ-WB +0.200" in message
    assert "SI-SDR -0.80" in message
    assert "higher in 3 of 4 metrics" in message
    assert "[-" not in message
