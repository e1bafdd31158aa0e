"""Every option of the methods with fusers and attention: slopes, sizes, silence. Defaults: test_every_method.py."""

import pytest
import torch
from small_scenes import inputs, losses, make, scene, total

from stillwave.schema.methods import (
    AbckdConfig,
    ClskdConfig,
    ReviewkdConfig,
    SemckdConfig,
    UclfwpkdConfig,
)

OPTIONS = [
    ReviewkdConfig(hcl="square", norm="batch"),
    ReviewkdConfig(middle="all"),
    ClskdConfig(fuse="teacher"),
    ClskdConfig(fuse="off"),
    ClskdConfig(fusion_channels=3),
    UclfwpkdConfig(fuse=False),
    UclfwpkdConfig(reduction="released", frame_weight="energy"),
    UclfwpkdConfig(frame_weight="uniform", fusion_channels=3),
    SemckdConfig(detach_attention=False),
    SemckdConfig(detach_attention=False, within_sets=False, standardise=False),
    SemckdConfig(detach_attention=False, regressor="released"),
    SemckdConfig(detach_attention=False, rows="released"),
    AbckdConfig(layers="all", width=5),
    AbckdConfig(alpha="uniform"),
    AbckdConfig(alpha="detached_similarity"),
]
CUT = AbckdConfig(alpha="detached_similarity")
"""The gradient through α is detached here, so that the slope differs from the gradient."""


def label(config):
    return " ".join([config.name, *(f"{k}={v}" for k, v in config.model_dump(exclude_defaults=True).items())])


@pytest.fixture(params=OPTIONS, ids=label)
def config(request):
    return request.param


def learning(built, what):
    return [*inputs(what.student)[:-1], *built.parameters()]


def finite(built, what):
    gradients = torch.autograd.grad(total(built, what), learning(built, what), allow_unused=True)
    assert all(g.isfinite().all() for g in gradients if g is not None)


def test_the_gradient_is_the_slope(config):
    what = scene().each(torch.Tensor.double)
    built = make(config, what.shapes).double()
    losses(built, what)
    built.eval()
    what = what.attached()
    moved = list(built.parameters()) if config == CUT else learning(built, what)
    gradients = torch.autograd.grad(total(built, what), moved, allow_unused=True)
    torch.manual_seed(0)
    along = [torch.randn_like(x) for x in moved]
    values = []
    with torch.no_grad():
        for step in (1e-7, -2e-7):
            for x, d in zip(moved, along, strict=True):
                x.add_(step * d)
            values.append(total(built, what))
    slope = (values[0] - values[1]) / 2e-7
    size = sum(g.square().sum() for g in gradients if g is not None).sqrt()
    expected = sum((g * d).sum() for g, d in zip(gradients, along, strict=True) if g is not None)
    assert size > 0
    assert abs(slope - expected) < 1e-3 * size


@pytest.mark.parametrize(("batch", "frames"), [(1, 7), (2, 7), (1, 1), (5, 12)])
def test_any_batch_and_length(config, batch, frames):
    what = scene(batch, frames).attached()
    fixed = getattr(config, "rows", None) == "released"
    finite(make(config, what.shapes if fixed else scene().shapes), what)


def without_first(x):
    return torch.cat([torch.zeros_like(x[:1]), x[1:]])


def without_a_frame(x):
    return x.index_fill(2, torch.tensor([2]), 0.0) if x.ndim == 4 else x


@pytest.mark.parametrize("change", [without_first, without_a_frame, torch.zeros_like])
def test_silence(config, change):
    what = scene()
    built = make(config, what.shapes)
    finite(built, what.each(change).attached())
    finite(built, what.changed(change, torch.clone).attached())
    finite(built, what.changed(torch.clone, change).attached())
