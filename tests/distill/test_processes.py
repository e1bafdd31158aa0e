"""Two processes with half of the batch each do what one with the whole batch does."""

import gloo_worker
import pytest
import torch
from torch import multiprocessing


@pytest.mark.parametrize("options", [{}, {"embedding": "released"}], ids=["pooled", "released"])
def test_two_processes_equal_one(tmp_path, options):
    multiprocessing.spawn(gloo_worker.work, (str(tmp_path), options), nprocs=gloo_worker.WORLD)
    whole = gloo_worker.batch()
    expected = gloo_worker.step(whole, whole, options, parallel=False)
    for rank in range(gloo_worker.WORLD):
        found = torch.load(tmp_path / f"{rank}.pt")
        for name, loss in expected["losses"].items():
            torch.testing.assert_close(found["losses"][name], loss, rtol=1e-5, atol=0)
        assert found["gradients"].keys() == expected["gradients"].keys()
        for name, gradient in expected["gradients"].items():
            close = 1e-5 * float(gradient.abs().max()) + 1e-9
            torch.testing.assert_close(found["gradients"][name], gradient, rtol=1e-5, atol=close, msg=name)
        assert found["weight"] == pytest.approx(expected["weight"], rel=1e-4)
        assert found["norm"] == pytest.approx(expected["norm"], rel=1e-4)
        assert "different sizes (examples × frames: 1 × 6, 2 × 6)" in found["uneven"]
