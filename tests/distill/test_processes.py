"""Two processes with half of the batch each equal one process with the batch, for every method."""

from __future__ import annotations

from typing import Any

import cases
import gloo_worker
import pytest
import torch
from torch import multiprocessing

pytestmark = pytest.mark.slow  # two processes that import PyTorch


@pytest.fixture(scope="module")
def found(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """Results of each process, for all methods in one pair of processes, which take seconds to start."""
    folder = tmp_path_factory.mktemp("processes")
    calls = [
        item.callspec for item in request.session.items if item.name.startswith("test_two_processes_equal")
    ]
    configs = {call.params["name"]: cases.configured(call.params["name"]) for call in calls}
    multiprocessing.spawn(gloo_worker.work, (str(folder), configs), nprocs=gloo_worker.WORLD)
    return [torch.load(folder / f"{rank}.pt") for rank in range(gloo_worker.WORLD)]


@pytest.mark.parametrize("name", cases.SOME_SLOW)
def test_two_processes_equal_one(found: list[dict[str, Any]], name: str) -> None:
    whole = gloo_worker.batch()
    expected = gloo_worker.step(whole, whole, cases.configured(name), parallel=False)
    assert any(loss != 0 for loss in expected["losses"].values())
    for process in found:
        result = process["results"][name]
        for term, loss in expected["losses"].items():
            torch.testing.assert_close(result["losses"][term], loss, rtol=1e-5, atol=1e-9)
        assert result["gradients"].keys() == expected["gradients"].keys()
        # Where a method is blind (RKD to a bias) a gradient is rounding only: so the network's largest counts too.
        most = max(float(gradient.abs().max()) for gradient in expected["gradients"].values())
        for parameter, gradient in expected["gradients"].items():
            close = 1e-5 * float(gradient.abs().max()) + 1e-6 * most
            torch.testing.assert_close(
                result["gradients"][parameter], gradient, rtol=1e-5, atol=close, msg=parameter
            )
        assert result["weight"] == pytest.approx(expected["weight"], rel=1e-4)
        assert result["norm"] == pytest.approx(expected["norm"], rel=1e-4)


def test_processes_with_different_numbers_of_examples_are_refused(found: list[dict[str, Any]]) -> None:
    for process in found:
        assert "different sizes (examples × frames: 1 × 6, 2 × 6)" in process["uneven"]
