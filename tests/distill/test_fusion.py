import oracle
import pytest
import torch
from torch.nn import functional as F  # noqa: N812

from stillwave.distill.fusion import Fuser

SHRINKING, GROWING, MIXED, ALONE = [17, 9, 4], [4, 9, 17], [4, 9, 5, 5], [6]


def fuser(channels, mode="recursive"):
    torch.manual_seed(3)
    built = Fuser(channels, 5, mode)
    with torch.no_grad():
        for parameter in built.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return built


def named(built):
    """Parameters in the format of the oracle."""
    part = {"conv": 0, "norm": 1, "activation": 2}
    found = {}
    for own, parameter in built.named_parameters():
        words = own.split(".")
        if words[0] == "gates":
            found[f"x.abfs.{int(words[1]) + 1}.att_conv.0.{words[2]}"] = parameter
        elif words[0] == "units":
            found[f"x.abfs.{words[1]}.conv1.{part[words[2]]}.{words[3]}"] = parameter
        else:
            found[f"x.abfs.{len(built.units) - 1}.conv2.{part[words[1]]}.{words[2]}"] = parameter
    return found


def members(bins, dtype=torch.float32):
    torch.manual_seed(4)
    return [(3 + torch.randn(2, 2 + k, 5, d, dtype=dtype)).requires_grad_() for k, d in enumerate(bins)]


@pytest.mark.parametrize("bins", [SHRINKING, GROWING, MIXED, ALONE])
def test_equals_the_formulas_with_all_gradients(bins):
    inputs = members(bins)
    built = fuser([f.shape[1] for f in inputs])
    results = []
    for fused in (built(inputs), oracle.fuse(named(built), "x", inputs)):
        loss = (fused * torch.linspace(-1, 1, fused.numel()).view(fused.shape)).sum()
        results.append((fused, torch.autograd.grad(loss, [*inputs, *built.parameters()])))
    (ours, of_ours), (plain, of_plain) = results
    assert ours.shape == (2, inputs[-1].shape[1], 5, bins[-1])
    torch.testing.assert_close(ours, plain, rtol=1e-5, atol=2e-6)
    for a, b in zip(of_ours, of_plain, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=2e-5 * float(b.abs().max()) + 2e-5)


def test_mean_is_the_average_of_resized_members():
    inputs = members(SHRINKING)
    built = fuser([f.shape[1] for f in inputs], "mean")
    weights = named(built)
    assert not any("att_conv" in name for name in weights)
    x = [oracle.unit(weights, f"x.abfs.{k}.conv1", f) for k, f in enumerate(inputs)]
    x[1] = (x[1] + 0).contiguous()
    twice = F.interpolate(F.interpolate(x[0], size=(5, 9)), size=(5, 4))  # resized from stage to stage
    mean = (twice + F.interpolate(x[1], size=(5, 4)) + x[2]) / 3
    expected = oracle.unit(weights, "x.abfs.2.conv2", mean, padding=1)
    torch.testing.assert_close(built(inputs), expected, rtol=1e-5, atol=1e-6)


def test_gradients_numerically():
    inputs = [f.detach().requires_grad_() for f in members([5, 3], torch.float64)]
    built = fuser([2, 3]).double()
    assert torch.autograd.gradcheck(lambda *x: built(x), inputs)


def test_fusion_is_invariant_to_the_level_of_a_layer():
    inputs = [f.detach() for f in members(SHRINKING)]
    built = fuser([f.shape[1] for f in inputs])
    torch.testing.assert_close(built([50 * f for f in inputs]), built(inputs), atol=1e-4, rtol=1e-4)


def test_silence_and_a_single_position_are_finite():
    for f in (torch.zeros(2, 3, 4, 5), torch.randn(2, 3, 1, 1)):
        f.requires_grad_()
        built = fuser([3])
        built([f]).square().sum().backward()
        assert f.grad.isfinite().all()
        assert all(p.grad is not None and p.grad.isfinite().all() for p in built.parameters())


def test_only_used_parameters_are_built():
    """At the paper's sizes 147,714 of the released encoder fuser's 247,946 parameters are never used."""
    assert sum(p.numel() for p in Fuser([64, 64, 64], 128).parameters()) == 247_946 - 147_714
    assert len(Fuser([64], 128).gates) == 0
