import json
import logging
import math

import pytest
import torch
from torch import nn

from stillwave.distill import Balance, DistillError


def setup(se=2.0, kd=0.5):
    """Losses whose gradients have norms 5·se and 5·kd."""
    p = nn.Parameter(torch.zeros(2))
    direction = torch.tensor([3.0, 4.0])
    return (p @ direction) * se, (p @ direction) * kd, [p]


def test_sets_the_ratio_of_gradients_to_rho():
    balance = Balance(rho=0.3, steps=5)
    assert balance.weight(*setup(2.0, 0.5)) == pytest.approx(0.3 * 4)


def test_running_means_then_frozen():
    balance = Balance(rho=1.0, steps=2)
    assert balance.weight(*setup(1.0, 1.0)) == pytest.approx(1.0)
    assert not balance.frozen
    assert balance.weight(*setup(3.0, 0.0)) == pytest.approx(2.0 / 0.5)
    assert balance.frozen
    assert balance.weight(*setup(100.0, 1.0)) == pytest.approx(4.0)
    assert balance.value == pytest.approx(4.0)


def test_graphs_are_kept_for_the_backward_pass():
    se, kd, parameters = setup()
    weight = Balance(1.0, 1).weight(se, kd, parameters)
    assert parameters[0].grad is None
    (se + weight * kd).backward()
    assert parameters[0].grad.norm() == pytest.approx(2 * 10)


def test_parameters_out_of_the_graph_and_frozen_ones_count_as_zero():
    se, kd, parameters = setup()
    others = [nn.Parameter(torch.ones(3)), nn.Parameter(torch.ones(3), requires_grad=False)]
    assert Balance(1.0, 1).weight(se, kd, [*others, *parameters]) == pytest.approx(4)


def test_no_distillation_gradient_gives_zero_and_one_warning(caplog):
    balance = Balance(1.0, 10)
    with caplog.at_level(logging.WARNING):
        assert balance.weight(*setup(1.0, 0.0)) == 0
        assert balance.weight(setup()[0], torch.tensor(1.0), setup()[2]) == 0
    assert [r.message for r in caplog.records] == [
        "the distillation loss has no gradient at the student; its weight is 0"
    ]
    assert balance.weight(*setup(1.0, 1.0)) > 0


def test_a_batch_that_is_not_finite_is_ignored():
    balance = Balance(1.0, 10)
    balance.weight(*setup(2.0, 1.0))
    assert balance.weight(*setup(math.nan, 1.0)) == pytest.approx(2.0)
    assert balance.weight(*setup(1.0, math.inf)) == pytest.approx(2.0)
    assert balance.state_dict()["count"] == 1


def test_state_is_restored_exactly():
    torch.manual_seed(0)
    figures = (10 * torch.rand(8, 2)).tolist()
    whole, half = Balance(0.7, 6), Balance(0.7, 6)
    expected = [whole.weight(*setup(*f)) for f in figures]
    found = [half.weight(*setup(*f)) for f in figures[:3]]
    resumed = Balance(0.7, 6)
    resumed.load_state_dict(json.loads(json.dumps(half.state_dict())))
    found += [resumed.weight(*setup(*f)) for f in figures[3:]]
    assert found == expected


@pytest.mark.parametrize(("rho", "steps"), [(0, 1), (-1, 1), (1, 0), (math.nan, 1)])
def test_invalid_options_are_refused(rho, steps):
    with pytest.raises(DistillError, match=r"balance: rho .*got rho "):
        Balance(rho, steps)
