"""The compiled GRU: equal to PyTorch's in value and gradient, whatever the axis, direction, size and threads."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from stillwave.errors import StillwaveError
from stillwave.models import build, kernels, recurrent
from stillwave.models.layers import BidirectionalGRU, UnidirectionalGRU
from stillwave.schema import PRESETS

needs_compiler = pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler")


def value_and_gradients(module: nn.Module, x: Tensor, axis: int) -> list[Tensor]:
    x = x.clone().requires_grad_()
    y = module(x, axis)
    direction = torch.randn(y.shape, generator=torch.Generator().manual_seed(1))
    return [y.detach(), *torch.autograd.grad((y * direction).sum(), [x, *module.parameters()])]


@needs_compiler
@pytest.mark.parametrize("axis", [1, 2])
@pytest.mark.parametrize("kind", [UnidirectionalGRU, BidirectionalGRU])
@pytest.mark.parametrize(("channels", "hidden"), [(64, 64), (24, 24), (5, 8), (16, 40)])
def test_agrees_with_pytorch(kind, channels, hidden, axis):
    torch.manual_seed(0)
    gru, x = kind(channels, hidden), torch.randn(3, 7, 21, channels)  # 63 rows: a whole block and part of one
    assert recurrent.usable(gru, x)
    ours = value_and_gradients(gru, x, axis)
    with kernels.switched_off():
        theirs = value_and_gradients(gru, x, axis)
    for mine, wanted in zip(ours, theirs, strict=True):
        assert torch.allclose(mine, wanted, rtol=1e-5, atol=2e-6 * float(wanted.abs().max()))


@needs_compiler
def test_gradients_agree_with_differences():
    torch.manual_seed(0)
    gru, x = UnidirectionalGRU(8, 8), torch.randn(1, 4, 2, 8)
    direction = torch.randn(1, 4, 2, 8)

    def loss() -> Tensor:
        return (gru(x, 1) * direction).sum(dtype=torch.float64)

    gradient = torch.autograd.grad(loss(), gru.weight_hh_l0)[0]
    with torch.no_grad():
        for place in [(0, 0), (9, 3), (23, 7)]:
            gru.weight_hh_l0[place] += 1e-2
            above = loss()
            gru.weight_hh_l0[place] -= 2e-2
            below = loss()
            gru.weight_hh_l0[place] += 1e-2
            assert float(gradient[place]) == pytest.approx(float(above - below) / 2e-2, rel=2e-3, abs=1e-4)


@needs_compiler
def test_extreme_inputs_saturate_and_stay_finite():
    gru = UnidirectionalGRU(8, 8)
    x = torch.full((1, 3, 2, 8), 1e30)
    x[:, :, 1] = -1e30
    y = gru(x.requires_grad_(), 1)
    assert y.isfinite().all()
    assert y.abs().max() <= 1


@needs_compiler
def test_threads_do_not_change_the_result():
    torch.manual_seed(0)
    gru, x = BidirectionalGRU(16, 16), torch.randn(40, 3, 5, 16)
    threads = torch.get_num_threads()
    found = []
    try:
        for count in (1, 3):
            torch.set_num_threads(count)
            found.append(gru(x.requires_grad_(), 2).detach())
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(*found)


@needs_compiler
@pytest.mark.parametrize("preset", ["bsrnn-xs", "framenet-xs"])
def test_a_network_trains_alike(preset):
    torch.manual_seed(0)
    model, noisy = build(PRESETS[preset]), 0.1 * torch.randn(2, 3000)
    model(noisy).square().sum().backward()
    ours = [p.grad.clone() for p in model.parameters()]
    model.zero_grad()
    with kernels.switched_off():
        model(noisy).square().sum().backward()
    scale = max(float(p.grad.abs().max()) for p in model.parameters())
    for mine, p in zip(ours, model.parameters(), strict=True):
        assert torch.allclose(mine, p.grad, rtol=1e-4, atol=1e-5 * scale)


def test_unsupported_sizes_and_types_use_pytorch():
    x = torch.zeros(1, 2, 3, 8)
    assert not recurrent.usable(UnidirectionalGRU(8, 12), x)
    assert not recurrent.usable(UnidirectionalGRU(8, 512), x)
    assert not recurrent.usable(UnidirectionalGRU(8, 8).double(), x.double())
    with torch.no_grad():
        assert not recurrent.usable(UnidirectionalGRU(8, 8), x)


def test_without_a_compiler_training_works(tmp_path):
    code = (
        "import torch; from stillwave.models import recurrent; from stillwave.models.layers import UnidirectionalGRU\n"
        "gru, x = UnidirectionalGRU(8, 8), torch.ones(1, 2, 3, 8)\n"
        "assert not recurrent.usable(gru, x); gru(x, 1).sum().backward(); print(gru.weight_hh_l0.grad.shape)"
    )
    environment = {"PATH": str(tmp_path), "PYTHONPATH": ":".join(sys.path), "HOME": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert not list(Path(tmp_path).rglob("*.so"))


def test_a_kernel_that_does_not_compile_is_none(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    broken = tmp_path / "broken.c"
    broken.write_text("this is no C")
    assert kernels.load(broken) is None


@needs_compiler
def test_nan_propagates_as_in_pytorch():
    torch.manual_seed(0)
    gru, x = UnidirectionalGRU(8, 8), torch.randn(1, 2, 6, 8)
    x[0, 0, 2, 3] = float("nan")
    ours = gru(x).isnan()
    assert ours.any()
    with kernels.switched_off():
        assert torch.equal(ours, gru(x).isnan())


@needs_compiler
@pytest.mark.parametrize("variable", ["STILLWAVE_KERNELS", "STILLWAVE_NATIVE"])
def test_second_derivative_is_refused_unless_kernels_are_switched_off(monkeypatch, variable):
    gru, x = UnidirectionalGRU(8, 8), torch.randn(1, 2, 3, 8, requires_grad=True)
    with pytest.raises(StillwaveError, match="STILLWAVE_KERNELS=0"):
        torch.autograd.grad(gru(x).sum(), x, create_graph=True)
    monkeypatch.setenv(variable, "0")
    gradient = torch.autograd.grad(gru(x).sum(), x, create_graph=True)[0]
    gradient.square().sum().backward()
    assert float(gru.weight_hh_l0.grad.abs().max()) > 0


@needs_compiler
def test_transformed_functions_use_pytorchs_operators():
    gru, x = UnidirectionalGRU(8, 8), torch.randn(1, 2, 3, 8)
    wanted = torch.autograd.grad(gru(x.requires_grad_()).sum(), x)[0]
    found = torch.func.grad(lambda given: gru(given).sum())(x.detach())
    assert torch.allclose(found, wanted, rtol=1e-4, atol=1e-6)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_process_has_threads_of_its_own(monkeypatch):
    x, gru = torch.randn(1, 128, 3, 8), UnidirectionalGRU(8, 8)
    monkeypatch.setattr(
        torch, "get_num_threads", lambda: 2
    )  # PyTorch's own threads would not survive the fork
    with torch.no_grad():
        expected = recurrent.run(gru, x, 2)
        code = os.fork()
        if code == 0:
            signal.alarm(20)
            os._exit(0 if torch.equal(recurrent.run(gru, x, 2), expected) else 1)
    assert os.waitpid(code, 0)[1] == 0


SOURCE = "int answer(void) { return 42; }"


@needs_compiler
@pytest.mark.parametrize("left", [0, 6000, None])
def test_a_damaged_library_is_rebuilt(tmp_path, monkeypatch, left):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    source = tmp_path / "answer.c"
    source.write_text(SOURCE)
    assert kernels.load(source).answer() == 42
    (kept,) = (tmp_path / "cache").rglob("*.so")
    whole = kept.read_bytes()
    kept.unlink()  # the loaded one stays as it is
    kept.write_bytes(b"\0" * len(whole) if left is None else whole[:left])
    kernels.load.cache_clear()
    assert kernels.load(source).answer() == 42
    assert [file.read_bytes() for file in (tmp_path / "cache").rglob("*.so")] == [whole]


@needs_compiler
def test_without_a_cache_each_process_builds_its_own(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    source = tmp_path / "answer.c"
    source.write_text(SOURCE)
    assert kernels.load(source).answer() == 42


@needs_compiler
def test_without_a_home_folder_it_is_built(tmp_path, monkeypatch):
    def no_home() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", no_home)
    source = tmp_path / "answer.c"
    source.write_text(SOURCE)
    assert kernels.load(source).answer() == 42


@pytest.mark.parametrize("preset", ["bsrnn-xs", "framenet-xs"])
def test_autocast_uses_pytorch(preset):
    torch.manual_seed(0)
    model, noisy = build(PRESETS[preset]), 0.1 * torch.randn(1, 2000)
    with torch.autocast("cpu", torch.bfloat16):
        assert not kernels.allowed()
        estimate = model(noisy)
    estimate.float().square().sum().backward()
    assert all(p.grad.isfinite().all() for p in model.parameters() if p.grad is not None)
