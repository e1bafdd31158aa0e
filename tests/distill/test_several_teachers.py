"""The mean of several teachers' estimates: weights by quality, hand-worked, and estimates that are not finite."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from stillwave.distill import Distiller
from stillwave.distill.several_teachers import SeveralTeachers, confidence

TIME = torch.arange(1_600.0)
CLEAN = torch.stack([torch.sin(0.3 * TIME), torch.sin(0.5 * TIME)])
NOISE = torch.cos(0.9 * TIME)


class Adds(nn.Module):
    def __init__(self, gain):
        super().__init__()
        self.gain = gain

    def forward(self, noisy):
        return noisy + self.gain * NOISE


def several(*gains, temperature=3.0):
    networks = {str(gain): Adds(gain) for gain in gains}
    return SeveralTeachers(networks, temperature, dict.fromkeys(networks, "0"))


def test_20_db_of_quality_are_a_ratio_of_weights():
    teacher = several(0.01, 0.1)
    weights = confidence(teacher(CLEAN), CLEAN, temperature_db=20 / math.log(9))
    assert weights.sum(1) == pytest.approx([1, 1])
    assert weights[:, 0] == pytest.approx([0.9, 0.9], abs=2e-3)


def test_each_example_has_its_own_weights():
    estimates = torch.stack([CLEAN + torch.tensor([[0.01], [0.5]]) * NOISE, CLEAN + 0.1 * NOISE], 1)
    weights = confidence(estimates, CLEAN, 3.0)
    assert weights[0, 0] > 0.99
    assert weights[1, 1] > 0.95


def test_equal_teachers_have_equal_weights_and_their_mean_is_the_estimate():
    teacher = several(0.1, -0.1)
    estimates = teacher(CLEAN)
    assert confidence(estimates, CLEAN, 3.0) == pytest.approx(torch.full((2, 2), 0.5), abs=1e-3)
    assert teacher.combined(estimates, CLEAN) == pytest.approx(CLEAN, abs=1e-3)


def test_without_a_clean_reference_the_agreement_of_the_others_counts():
    weights = confidence(several(0.01, 0.02, 1.0)(CLEAN), None, 3.0)
    assert (weights[:, 2] < weights[:, :2].amin(1)).all()


def test_estimates_that_are_not_finite_count_nothing():
    teacher = several(0.1, 0.2)
    estimates = teacher(CLEAN)
    estimates[0, 0, 3] = torch.nan
    combined = teacher.combined(estimates, CLEAN)
    assert torch.equal(combined[0], estimates[0, 1])
    estimates[0, 1, 5] = torch.inf
    assert teacher.combined(estimates, CLEAN)[0].isnan().all()


def test_silence_gives_equal_weights():
    assert confidence(torch.zeros(1, 2, 100), torch.zeros(1, 100), 3.0) == pytest.approx(
        torch.full((1, 2), 0.5)
    )


def test_the_student_learns_from_the_mean():
    student = nn.Sequential(nn.Unflatten(1, (1, -1)), nn.Conv1d(1, 1, 3, padding=1), nn.Flatten())
    together = Distiller(several(0.01, 3.0, temperature=0.1), student, "output", example=CLEAN)
    alone = Distiller(Adds(0.01), student, "output", example=CLEAN)
    both, one = (d(CLEAN, clean=CLEAN)[1]["spectrum"].item() for d in (together, alone))
    assert both == pytest.approx(one, rel=1e-5)
