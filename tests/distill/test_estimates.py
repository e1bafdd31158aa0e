"""Networks that return tuples or dicts: the estimate is selected, or the error names the network."""

from __future__ import annotations

import pytest
from plain_networks import NOISY, OF_ESTIMATES, Net, distiller, gradients, nets, same

from stillwave.distill import DistillError


class Tuple(Net):
    def forward(self, noisy):
        return noisy.abs() > 1, super().forward(noisy)


class Dict(Net):
    def forward(self, noisy):
        return {"mask": None, "clean": super().forward(noisy)}


def clean(output):
    return output["clean"] if isinstance(output, dict) else output


@pytest.mark.parametrize("kind", [Tuple, Dict])
def test_networks_may_return_anything_if_layers_are_compared(kind):
    expected = gradients(distiller(*nets()))
    same(gradients(distiller(*nets(kind, kind))), expected)
    output, _ = distiller(*nets(kind, kind))(NOISY)
    assert type(output) in (tuple, dict)  # as the student returned it


@pytest.mark.parametrize("method", OF_ESTIMATES)
def test_the_estimate_in_a_dict_must_be_selected(method):
    with pytest.raises(DistillError, match=r"student .*dict.*estimate=lambda"):
        distiller(*nets(Dict), method)
    with pytest.raises(DistillError, match=r"teacher .*dict.*estimate=lambda"):
        distiller(*nets(Net, Dict), method)
    with pytest.raises(DistillError, match=r"^estimate=….*student a bool"):
        distiller(*nets(), method, estimate=lambda output: True)
    expected = gradients(distiller(*nets(), method))
    for pair in (nets(Dict, Dict), nets(Net, Dict), nets(Dict, Net)):
        same(gradients(distiller(*pair, method, estimate=clean)), expected)
