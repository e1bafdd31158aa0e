"""A function as the teacher of a `Distiller`, and teachers whose estimates are stored."""

from __future__ import annotations

import pytest
import torch
from external_denoisers import late
from torch import nn

from stillwave.distill import Distiller, DistillError, ExternalTeacher
from stillwave.distill.external_teacher import StoredTeacher


def student():
    return nn.Sequential(nn.Unflatten(1, (1, -1)), nn.Conv1d(1, 1, 3, padding=1), nn.Flatten())


def noisy(*shape):
    return 0.1 * torch.randn(*shape, generator=torch.Generator().manual_seed(1))


def test_a_function_teaches_aligned_and_at_the_level_of_the_input():
    distiller = Distiller(late, student(), "output", example=torch.zeros(2, 800))
    batch = noisy(2, 800)
    assert torch.equal(distiller.teacher(batch), batch)
    losses = distiller(batch)[1]
    losses["spectrum"].backward()
    assert distiller.student[1].weight.grad.abs().sum() > 0


def test_a_function_of_another_rate_has_its_delay_found_there():
    teacher = ExternalTeacher(late, rate=48_000)
    assert (teacher.calibration.rate, teacher.calibration.delay) == (48_000, 137)
    assert "48000 Hz, output 137 samples" in teacher.summary()


def test_of_several_microphones_the_first_is_taken_and_zeros_stay_zeros():
    teacher = ExternalTeacher(late)
    batch = noisy(2, 3, 400)
    batch[1] = 0
    assert torch.equal(teacher(batch), batch[:, 0])


def test_a_failure_gives_undefined_estimates_and_is_counted(capsys):
    def failing(samples, rate):
        if samples.shape[1] < 20_000:
            raise ValueError("too short")
        return samples

    teacher = ExternalTeacher(failing)
    assert teacher(noisy(2, 400)).isnan().all()
    assert teacher.failures == 1
    assert "teacher failure 1: function" in capsys.readouterr().err


def test_methods_that_compare_layers_are_refused():
    with pytest.raises(DistillError, match="'cosine' compares layers"):
        Distiller(late, student(), "cosine", example=torch.zeros(2, 800))


def test_stored_estimates_replace_the_teacher():
    teacher = StoredTeacher("outputs", "0" * 64, "outputs: 3 outputs")
    distiller = Distiller(teacher, student(), "output", example=torch.zeros(2, 800))
    batch = noisy(2, 800)
    assert distiller(batch, teacher_estimate=0.5 * batch)[1]["spectrum"].isfinite()
    with pytest.raises(DistillError, match="its own mixtures only"):
        distiller(batch)
