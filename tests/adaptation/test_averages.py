"""Moving averages and interpolations have exact values."""

from __future__ import annotations

import pytest
import torch
from place import TINY

from stillwave.adaptation.averages import moved, weights_sha256
from stillwave.models import build


def test_the_moving_average_of_a_teacher_over_rounds():
    teacher = {"w": torch.tensor([1.0, 2.0])}
    for student in (torch.tensor([2.0, 2.0]), torch.tensor([4.0, 0.0])):
        teacher = moved(teacher, {"w": student}, 1 - 0.75)
    assert teacher["w"].tolist() == [0.75 * (0.75 * 1 + 0.25 * 2) + 0.25 * 4, 0.75 * 2]


@pytest.mark.parametrize(("share", "expected"), [(0.0, 1.0), (1.0, 3.0), (0.25, 1.5)])
def test_a_share_of_the_way(share, expected):
    assert moved({"w": torch.tensor([1.0])}, {"w": torch.tensor([3.0])}, share)["w"].item() == expected


def test_counts_are_those_of_the_second_network():
    assert moved({"n": torch.tensor(3)}, {"n": torch.tensor(7)}, 0.5)["n"].item() == 7


def test_the_sha256_changes_with_a_weight():
    torch.manual_seed(0)
    network = build(TINY)
    before = weights_sha256(network)
    assert before == weights_sha256(network)
    with torch.no_grad():
        next(network.parameters()).view(-1)[0] += 1
    assert weights_sha256(network) != before
