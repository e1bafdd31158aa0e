"""The robustness cases detect good and harmful processing, with systems of one line of NumPy each."""

from __future__ import annotations

import csv
import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from evaluate_pretrained import pictures, robustness, worst
from evaluate_pretrained.bench import Bench, floored, mean
from evaluate_pretrained.cases import CASES
from evaluate_pretrained.place import Network, Place, enhance_all, read_kept
from stillwave.audio import write
from stillwave.data.pair_sets import COLUMNS
from stillwave.schema import SAMPLE_RATE

CASE = {case.name: case for case in CASES}
Process = Callable[[np.ndarray, int], np.ndarray]


def speech(rng: np.random.Generator, seconds: float = 2.5) -> np.ndarray:
    """Harmonics in syllables."""
    t = np.arange(int(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    phase = 2 * np.pi * rng.uniform(90, 250) * t + 3 * np.sin(8 * t)
    tone = sum(np.sin(k * phase + k) / (1 + ((k - 6) / 4) ** 2) for k in range(1, 25))
    return (0.05 * tone * (0.02 + np.clip(np.sin(4 * np.pi * t), 0, None) ** 2)).astype(np.float32)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    folder, rng = tmp_path_factory.mktemp("test"), np.random.default_rng(0)
    lines = []
    for index, room in enumerate(("", "", "hall")):
        clean = speech(rng)
        noise = 0.004 * rng.standard_normal(len(clean)).astype(np.float32)
        write(folder / "clean" / f"{index}.wav", clean, SAMPLE_RATE, subtype="FLOAT")
        write(folder / "noisy" / f"{index}.wav", clean + noise, SAMPLE_RATE, subtype="FLOAT")
        lines.append([index, "a", 5 * index, "2-188822-B", room, 2.5, "hello"])
    with (folder / "mixtures.csv").open("w", newline="", encoding="utf-8") as handle:
        csv.writer(handle).writerows([COLUMNS, *lines])
    return Place.of(folder, folder / "work", jobs=1)


@dataclasses.dataclass(frozen=True)
class Function(Network):
    """A system that is a function of the samples."""

    process: Process | None = None

    def open(self) -> Process:
        assert self.process
        return self.process


def bench(place: Place, process: Process) -> Bench:
    made = Bench(Function("mine", "0" * 64, Path("mine"), process=process), place)
    made.usual = [process(samples, SAMPLE_RATE) for samples in made.noisy]
    return made


def met(place: Place, name: str, process: Process) -> str:
    case = CASE[name]
    return robustness.verdict(case, case.measure(bench(place, process)))


def same(samples: np.ndarray, _: int) -> np.ndarray:
    return samples


def gate(samples: np.ndarray, _: int) -> np.ndarray:
    """Depends on the level: what is weak is taken for noise."""
    return np.where(np.abs(samples) < 0.02, 0, samples).astype(np.float32)


def quieter(samples: np.ndarray, _: int) -> np.ndarray:
    return 0.1 * samples


def test_names_of_cases_are_unique() -> None:
    assert len(CASE) == len(CASES)


@pytest.mark.parametrize("name", ["soft", "quiet", "loud", "at length", "silence"])
def test_the_identity_meets_these_cases(place: Place, name: str) -> None:
    assert met(place, name, same) == "yes"


@pytest.mark.parametrize(
    ("name", "process"),
    [
        ("quiet", gate),
        ("clean speech", lambda x, _: x + 0.02 * np.random.default_rng(1).standard_normal(x.shape[-1])),
        ("silence", lambda x, _: x + 1e-6),
        ("white noise", same),
        ("noises alone", same),
        ("clipped", same),
        ("two talkers", quieter),
        ("level", quieter),
        ("at length", lambda x, _: x * (np.arange(x.shape[-1]) < 5e4)),  # it dies after 3 s
    ],
)
def test_degradation_is_detected(place: Place, name: str, process: Process) -> None:
    assert met(place, name, lambda x, rate: process(x, rate).astype(np.float32)) == "**no**"


@pytest.mark.parametrize("name", ["white noise", "room tone", "noises alone"])
def test_noise_attenuated_by_20_db_meets_its_case(place: Place, name: str) -> None:
    figures = CASE[name].measure(bench(place, quieter))
    assert figures["lowered"] == pytest.approx(20, abs=0.01)
    assert met(place, name, quieter) == "yes"


def test_a_perfect_denoiser_is_better_than_its_input(place: Place) -> None:
    whole = bench(place, same)
    answers = {len(x): x for x in whole.clean}  # all as long as one another: the last is as good as any
    figures = whole.before_and_after(list(answers.values()), whole.noisy[-1:], list(answers.values()))
    assert figures["pesq_out"] > 4.5 > figures["pesq_in"]
    assert figures["worse"] == 0


def test_an_estimate_without_a_score_counts_as_worse(place: Place) -> None:
    silenced = bench(place, same)
    made = [samples.copy() for samples in silenced.noisy]
    made[1][:] = 0
    figures = silenced.before_and_after(silenced.clean, silenced.noisy, made)
    assert figures["worse"] == 1
    assert figures["pesq_out"] < figures["pesq_in"]
    assert floored(np.array([np.nan, 2.0])).tolist() == [1.0, 2.0]
    assert np.isnan(mean(np.array([np.nan])))


def test_the_noise_is_known_for_dry_mixtures_only(place: Place) -> None:
    assert bench(place, same).dry == [0, 1]
    noise = bench(place, same).noise
    assert len(noise) == 2
    assert float(np.std(noise[0])) == pytest.approx(0.004, rel=0.02)


def test_every_case_has_a_row(place: Place) -> None:
    figures = {"pesq_in": 1.0, "pesq_out": 2.0, "si_sdr_in": 0.0, "si_sdr_out": 5.0, "worse": 1.0, "of": 3.0}
    lines = list(
        robustness.table(
            [{"case": "clipped", "figures": figures}, {"case": "silence", "figures": {"peak": 0.0}}]
        )
    )
    assert "PESQ 1.00 → 2.00; SI-SDR 0.0 → 5.0 dB; worse: 1 of 3 | **no** |" in lines[2]
    assert lines[3].endswith("| zeros | yes |")


def test_a_mean_does_not_hide_single_recordings() -> None:
    figures = {"pesq_out": 4.2, "si_sdr_out": 25.0, "below": 1.0}
    assert robustness.verdict(CASE["clean speech"], figures) == "in the mean"
    assert robustness.verdict(CASE["clean speech"], {**figures, "below": 0.0}) == "yes"
    assert robustness.verdict(CASE["clean speech"], {**figures, "si_sdr_out": 19.9}) == "**no**"


def test_each_case_is_saved(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(robustness, "CASES", (CASE["silence"], CASE["white noise"]))
    monkeypatch.setattr(Network, "open", lambda _: quieter)
    network = Network("kept", "1" * 64, Path("kept"))
    first = robustness.measure(network, place)
    monkeypatch.setattr(Network, "open", lambda _: pytest.fail("it was kept"))
    assert robustness.measure(network, place) == first
    assert [row["case"] for row in first] == ["silence", "white noise"]


def test_the_smallest_gains_come_first_and_are_drawn(
    place: Place, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    scores = tmp_path / "scores.csv"
    rows = [f"{name},noisy,2.0,0.5,1.0" for name in "012"]
    rows += [f"{name},mine,{value},0.6,2.0" for name, value in {"0": 2.5, "1": 1.8, "2": ""}.items()]
    scores.write_text("\n".join(["id,system,pesq_wb,stoi,si_sdr", *rows]) + "\n", encoding="utf-8")
    monkeypatch.setattr(Network, "open", lambda _: quieter)
    network = Network("mine", "2" * 64, Path("mine"))
    found = worst.find(scores, network, place, count=2)
    assert [row["id"] for row in found] == ["2", "1"]  # a recording without a score is the worst
    assert found[1]["levels"]["pauses"] == pytest.approx(-20, abs=0.01)
    assert found[1]["levels"]["speech"] == pytest.approx(-20, abs=0.1)
    lines = list(worst.table(found))
    assert "2.000 → – | 50.00 → 60.00 | 1.00 → 2.00" in lines[2]
    assert "in a room" in lines[2]
    (tmp_path / "worst-0.png").touch()
    worst.draw(found, place, network, tmp_path)
    pictures_drawn = {file.name: file.stat().st_size for file in tmp_path.glob("*.png")}
    assert set(pictures_drawn) == {"worst-1.png", "worst-2.png"}
    assert max(pictures_drawn.values()) < 150_000


def test_estimates_are_kept_and_named_by_the_weights(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Network, "open", lambda _: quieter)
    one, other = (enhance_all(Network("mine", key * 64, Path("mine")), place) for key in "34")
    assert one != other
    monkeypatch.setattr(Network, "open", lambda _: pytest.fail("it was kept"))
    assert enhance_all(Network("mine", "3" * 64, Path("mine")), place) == one


def test_results_of_another_test_set_are_not_used(tmp_path: Path) -> None:
    file = tmp_path / "kept.json"
    assert read_kept(file, {"test": "a"}) is None
    file.write_text('{"test": "a", "rows": 1}', encoding="utf-8")
    assert read_kept(file, {"test": "a"}) == {"test": "a", "rows": 1}
    assert read_kept(file, {"test": "b"}) is None
    assert read_kept(file, {"test": "a", "metrics": []}) is None


def test_a_full_scale_sine_is_0_db() -> None:
    sine = np.sin(2 * np.pi * 1000 * np.arange(SAMPLE_RATE) / SAMPLE_RATE).astype(np.float32)
    assert pictures.spectrogram(sine).max() == pytest.approx(0, abs=0.1)
