import itertools

import pytest
import torch
from torch import nn

from stillwave.schema import OptimiserConfig
from stillwave.training.schedule import averaged, learning_rate

CONFIG = OptimiserConfig(lr=1.0, final=0.1, warmup_steps=4)


def test_learning_rate_by_hand():
    rates = [learning_rate(CONFIG, 11, step) for step in range(11)]
    assert rates[:4] == [0.25, 0.5, 0.75, 1.0]
    assert rates[4] == 1.0
    assert rates[7] == pytest.approx(0.55), "half way down"
    assert rates[10] == pytest.approx(0.1)
    assert all(a >= b for a, b in itertools.pairwise(rates[4:]))


def test_learning_rate_at_the_edges():
    assert learning_rate(OptimiserConfig(lr=1, warmup_steps=0), 1, 0) == pytest.approx(0.01)
    assert learning_rate(CONFIG, 2, 1) == 0.5, "a run shorter than its warm-up"
    assert learning_rate(CONFIG, 5, 4) == pytest.approx(0.1)


def test_average_by_hand():
    student = nn.Linear(1, 1, bias=False)
    average = averaged(student, 0.5)
    values = []
    for value in (1.0, 2.0, 4.0):
        with torch.no_grad():
            student.weight.fill_(value)
        average.update_parameters(student)
        values.append(average.module.weight.item())
    # The first update copies; then d = min(0.5, 2/11), min(0.5, 3/12).
    second = 2 / 11 * 1 + 9 / 11 * 2
    assert values == pytest.approx([1, second, 0.25 * second + 0.75 * 4])


def test_average_of_a_constant_is_the_constant_and_decay_is_reached():
    student = nn.Linear(1, 1, bias=False)
    average = averaged(student, 0.3)
    for _ in range(5):
        average.update_parameters(student)
    assert average.module.weight.item() == pytest.approx(student.weight.item())
    with torch.no_grad():
        before = average.module.weight.item()
        student.weight.add_(1)
    average.update_parameters(student)
    assert average.module.weight.item() - before == pytest.approx(0.7, abs=1e-6)
