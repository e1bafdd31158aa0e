"""Pictures show what they claim, by the numbers behind them."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from stillwave.quickstart import pictures
from stillwave.reports.figures import COLUMNS, spectrogram

RATE = 16_000


def tone(hertz: float, seconds: float = 1.0, gain: float = 0.5) -> np.ndarray:
    time = np.arange(int(seconds * RATE)) / RATE
    return (gain * np.sin(2 * np.pi * hertz * time)).astype(np.float32)


def pixels(file: Path) -> np.ndarray:
    from matplotlib.image import imread

    return imread(file)


@pytest.mark.parametrize("hertz", [500.0, 3000.0])
def test_a_tone_is_a_line_at_its_frequency(hertz: float) -> None:
    found = spectrogram(tone(hertz))
    assert found.shape[0] == 257
    middle = found[:, found.shape[1] // 2]
    assert middle.argmax() == round(hertz / RATE * 512)


def test_silence_has_a_floor_and_ten_times_the_amplitude_is_20_db() -> None:
    assert np.isfinite(spectrogram(np.zeros(4000, np.float32))).all()
    loud, quiet = (spectrogram(tone(1000, gain=g)).max() for g in (0.5, 0.05))
    assert loud - quiet == pytest.approx(20, abs=0.01)


def test_levels_are_dbfs_and_end_at_the_floor() -> None:
    level = pictures.levels(tone(1000, gain=1.0), RATE)
    assert level == pytest.approx(np.full(50, -3.01), abs=0.05)
    assert pictures.levels(np.zeros(1600, np.float32), RATE) == pytest.approx(np.full(5, -90.0))


def test_the_running_mean_looks_back_only() -> None:
    found = pictures.running_mean(np.array([2.0, 4.0, 6.0, 100.0]), 2)
    assert found.tolist() == [2.0, 3.0, 5.0, 53.0]


def test_no_difference_is_no_colour(tmp_path: Path) -> None:
    signal = tone(1000)
    top = float(spectrogram(signal).max())
    pictures.draw_difference(tmp_path / "none.png", signal, signal, top)
    pictures.draw_difference(tmp_path / "some.png", signal, 0.1 * signal, top)
    assert pixels(tmp_path / "none.png")[..., 3].max() < 0.02
    some = pixels(tmp_path / "some.png")
    strongest = some[np.unravel_index(some[..., 3].argmax(), some.shape[:2])]
    assert strongest[3] > 0.9
    assert strongest[2] > strongest[0]  # softer is blue


def test_an_image_contains_only_the_spectrogram(tmp_path: Path) -> None:
    """The page draws the axes: they follow its colours and its width."""
    signal = tone(1000)
    pictures.draw_spectrogram(tmp_path / "a.png", signal, 40.0)
    image = pixels(tmp_path / "a.png")
    assert image.shape[:2] == spectrogram(signal).shape
    row = image[..., :3].sum(-1)[:, image.shape[1] // 2].argmax()
    assert row == 256 - 32, "1000 of 8000 Hz, low frequencies at the bottom"


def test_the_width_of_an_image_is_bounded() -> None:
    assert spectrogram(tone(500, seconds=60)).shape[1] <= COLUMNS + 1


def test_the_colour_scale_matches_the_images() -> None:
    stops = pictures.gradient().split("), ")
    assert len(stops) == 9
    assert stops[0] == "rgba(0, 0, 4, 1.00"
    change = pictures.gradient(difference=True).split("), ")
    assert change[0] == "rgba(41, 115, 219, 1.00"
    assert change[4].endswith(" 0.00")


@pytest.mark.parametrize("seconds", [0.4, 1.0, 3.3, 5.2, 12.0, 30.0, 400.0])
def test_a_time_axis_has_a_few_round_marks_within(seconds: float) -> None:
    found = pictures.ticks(seconds)
    assert 1 <= len(found) <= 7
    assert found[0] == 0
    assert found[-1] <= seconds


def test_curves_and_levels_are_written_atomically(tmp_path: Path) -> None:
    pictures.draw_levels(tmp_path / "levels.png", {"noisy": tone(300), "other": tone(500)}, RATE)
    curve = [(step, math.exp(-step / 10)) for step in range(1, 40)]
    pictures.draw_curves(tmp_path / "loss.png", {"teacher": curve, "alone": curve[:1]}, "loss", smooth=True)
    pictures.draw_curves(tmp_path / "score.png", {"distilled": curve}, "dB")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["levels.png", "loss.png", "score.png"]
    assert all(pixels(file).std() > 0 for file in tmp_path.iterdir())
