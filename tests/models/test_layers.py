"""The layers against PyTorch's own modules, and the mask against its polar form."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from stillwave.models.fused import norm_prelu
from stillwave.models.layers import Attention, ConvStage, DilatedDense, apply_filters, apply_mask


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def randomised(module: nn.Module) -> nn.Module:
    for p in module.parameters():
        nn.init.normal_(p, 0.3, 0.5)
    return module.double()


def gradients(function: object, x: Tensor, module: nn.Module) -> list[Tensor]:
    assert callable(function)
    module.zero_grad()
    x = x.detach().requires_grad_()
    y = function(x)
    y.backward(torch.sin(torch.arange(y.numel(), dtype=y.dtype)).view(y.shape))
    assert x.grad is not None
    return [y.detach(), x.grad, *(p.grad for p in module.parameters() if p.grad is not None)]


@pytest.mark.parametrize("layout", [torch.channels_last, torch.contiguous_format])
@pytest.mark.parametrize("shape", [(1, 4, 1, 7), (3, 4, 5, 6), (2, 1, 3, 3)])
def test_norm_and_prelu_in_one_pass_equal_the_modules(
    layout: torch.memory_format, shape: tuple[int, ...]
) -> None:
    norm, activation = nn.InstanceNorm2d(shape[1], affine=True), nn.PReLU(shape[1])
    both = randomised(nn.Sequential(norm, activation))
    x = (torch.randn(shape, dtype=torch.float64) + 1).contiguous(memory_format=layout)
    fused = gradients(lambda v: norm_prelu(v, norm, activation), x, both)
    for ours, theirs in zip(fused, gradients(both, x, both), strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-10, rtol=1e-10)


def test_norm_and_prelu_pass_gradcheck() -> None:
    norm, activation = nn.InstanceNorm2d(3, affine=True), nn.PReLU(3)
    randomised(nn.Sequential(norm, activation))
    x = torch.randn(2, 3, 2, 4, dtype=torch.float64, requires_grad=True)
    parameters = (norm.weight, norm.bias, activation.weight)
    assert torch.autograd.gradcheck(lambda v, *_: norm_prelu(v, norm, activation), (x, *parameters))


def test_a_constant_map_has_finite_gradients() -> None:
    stage = ConvStage(nn.Conv2d(2, 3, 1))
    x = torch.zeros(2, 2, 4, 5, requires_grad=True)
    stage(x).sum().backward()
    assert x.grad is not None
    assert torch.isfinite(x.grad).all()
    assert all(torch.isfinite(p.grad).all() for p in stage.parameters() if p.grad is not None)


def test_attention_equals_pytorchs_module() -> None:
    ours, theirs = Attention(12), nn.MultiheadAttention(12, 4, batch_first=True)
    randomised(ours)
    theirs.double().load_state_dict(
        {
            "in_proj_weight": ours.input.weight,
            "in_proj_bias": ours.input.bias,
            "out_proj.weight": ours.output.weight,
            "out_proj.bias": ours.output.bias,
        }
    )
    x = torch.randn(3, 7, 12, dtype=torch.float64)
    pairs = zip(
        gradients(lambda v: ours(v[:, None])[:, 0], x, ours),
        gradients(lambda v: theirs(v, v, v)[0], x, theirs),
        strict=True,
    )
    for a, b in pairs:
        torch.testing.assert_close(a, b, atol=1e-10, rtol=1e-10)


def test_attention_is_permutation_equivariant() -> None:
    attention = randomised(Attention(8)).eval()
    x, order = torch.randn(2, 3, 5, 8, dtype=torch.float64), torch.tensor([3, 1, 4, 0, 2])
    torch.testing.assert_close(attention(x[:, :, order]), attention(x)[:, :, order])


def test_the_dense_net_is_causal_except_for_its_norms() -> None:
    """With the norms switched off, frame t depends on frames t − 15 … t: 1 + 2 + 4 + 8 = 15 frames back."""
    dense = randomised(DilatedDense(2))
    for layer in dense.layers:
        layer.norm = nn.Identity()
        layer.forward = lambda v, layer=layer: layer.activation(layer.conv(v))
    x = torch.randn(1, 2, 40, 5, dtype=torch.float64)
    changed = x.clone()
    changed[:, :, 20] += 1
    frames = (dense(x) != dense(changed)).any(dim=3).any(dim=1)[0].nonzero().flatten().tolist()
    assert (min(frames), max(frames)) == (20, 35)


def polar(mask: Tensor, noisy: Tensor) -> Tensor:
    m, y = (torch.complex(*t.unbind(1)) for t in (mask, noisy))
    estimate = torch.polar(torch.tanh(m.abs()) * y.abs(), m.angle() + y.angle())
    return torch.stack([estimate.real, estimate.imag], dim=1)


def test_the_mask_equals_its_polar_form() -> None:
    mask, noisy = 3 * torch.randn(2, 2, 4, 5), torch.randn(2, 2, 4, 5)
    torch.testing.assert_close(apply_mask(mask, noisy), polar(mask, noisy), atol=1e-5, rtol=1e-5)


def test_the_mask_never_amplifies() -> None:
    mask, noisy = 100 * torch.randn(2, 2, 4, 5), torch.randn(2, 2, 4, 5)
    assert (apply_mask(mask, noisy).norm(dim=1) <= noisy.norm(dim=1) * (1 + 1e-6)).all()


def test_a_hand_worked_mask() -> None:
    """The mask j·∞ turns by 90°: (3 + 4j)·j = −4 + 3j."""
    mask, noisy = torch.tensor([0.0, 50.0]), torch.tensor([3.0, 4.0])
    estimate = apply_mask(mask.view(1, 2, 1, 1), noisy.view(1, 2, 1, 1))
    torch.testing.assert_close(estimate.flatten(), torch.tensor([-4.0, 3.0]))


def test_the_masks_gradient_by_finite_differences() -> None:
    mask = torch.randn(1, 2, 3, 4, dtype=torch.float64)
    mask[..., 0] = 0  # where the polar form has no gradient
    noisy = torch.randn(1, 2, 3, 4, dtype=torch.float64)
    noisy[..., 1] = 0
    assert torch.autograd.gradcheck(apply_mask, (mask.requires_grad_(), noisy.requires_grad_()))


def test_the_polar_form_has_no_gradient_on_silence_and_ours_has() -> None:
    """Why the product form: the polar one gives NaN, which one silent bin would spread over every weight."""
    noisy = torch.randn(1, 2, 1, 1)
    for form, finite in ((polar, False), (apply_mask, True)):
        mask = torch.zeros(1, 2, 1, 1, requires_grad=True)
        form(mask, noisy).sum().backward()
        assert mask.grad is not None
        nonzero = bool(torch.isfinite(mask.grad).all() and mask.grad.any())
        assert nonzero is finite


def test_filters_sum_what_complex_numbers_would() -> None:
    parts = torch.randn(2, 2, 2 * 3, 4, 5, dtype=torch.float64)
    filters, noisy = (torch.complex(part[:, :3], part[:, 3:]) for part in parts)
    expected = (filters * noisy).sum(1)
    torch.testing.assert_close(
        apply_filters(parts[0], parts[1]), torch.stack([expected.real, expected.imag], dim=1)
    )
