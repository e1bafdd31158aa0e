import math

import pytest
import torch
import toys
from small_scenes import losses, make, scene
from torch.nn import functional as F  # noqa: N812

from stillwave.distill import DistillError
from stillwave.distill.methods.semckd import SemCKD, row_statistics
from stillwave.schema.methods import SemckdConfig

SETS = {"encoder": (3, 3), "middle": (1, 4), "decoder": (2, 2)}
"""Layers of student and teacher without the mask."""


def semckd(what, **options):
    built = make(SemckdConfig(**options), what.shapes)
    assert isinstance(built, SemCKD)
    return built


def sides(what, name):
    n, m = SETS[name]
    return what.student.features[name][:n], what.teacher.features[name][:m]


def published_regressor(part, x):
    x = F.conv2d(x, part.first.conv.weight)
    x = F.batch_norm(x, None, None, part.first.norm.weight, part.first.norm.bias, training=True).relu()
    x = F.conv2d(x, part.second.conv.weight, padding=1)
    x = F.batch_norm(x, None, None, part.second.norm.weight, part.second.norm.bias, training=True).relu()
    return F.conv2d(x, part.third.weight)


def distance(regressed, target, bins):
    """mean_ctd (r − F^t)² of each example."""
    error = regressed - F.adaptive_avg_pool2d(target, (target.shape[2], bins))
    return [float(e.square().mean()) for e in error.detach()]


def embedded(module, rows):
    hidden = F.relu(F.linear(rows, module.layers[0].weight, module.layers[0].bias))
    out = F.linear(hidden, module.layers[2].weight, module.layers[2].bias)
    return [row / row.norm() for row in out]


@pytest.mark.parametrize("regressor", ["1x1", "released"])
@pytest.mark.parametrize("rows", ["any_batch", "released"])
@torch.no_grad()
def test_by_loops(regressor, rows):
    """1/(B·n) Σ_bij α_bij · mean (r_ij(F^s_i) − F^t_j)², with α from softmaxes written out."""
    what = scene(batch=4, frames=5).each(torch.Tensor.double)
    built = semckd(what, regressor=regressor, rows=rows, standardise=False).double()
    found = losses(built, what)
    assert list(found) == list(SETS)
    for part, (name, (n, m)) in zip(built.parts, SETS.items(), strict=True):
        student, teacher = sides(what, name)
        looked = [
            (f.flatten(1) @ f.flatten(1).T) if rows == "released" else row_statistics(f)
            for f in [*student, *teacher]
        ]
        q = [embedded(e, r) for e, r in zip(part.attention.queries, looked[:n], strict=True)]
        k = [embedded(e, r) for e, r in zip(part.attention.keys, looked[n:], strict=True)]
        total = 0.0
        for i in range(n):
            exponents = [[math.exp(float(q[i][b] @ k[j][b])) for j in range(m)] for b in range(4)]
            for j in range(m):
                bins = min(student[i].shape[3], teacher[j].shape[3])
                pooled = F.adaptive_avg_pool2d(student[i], (5, bins))
                own = part.regressors[i][j]
                regressed = own(pooled) if regressor == "1x1" else published_regressor(own, pooled)
                for b, d in enumerate(distance(regressed, teacher[j], bins)):
                    alpha = exponents[b][j] / sum(exponents[b])
                    assert built.weights[name][b, i, j].item() == pytest.approx(alpha, rel=1e-9)
                    total += alpha * d
        assert found[name].item() == pytest.approx(total / (4 * 6), rel=1e-7)  # n: 3 + 1 + 2


def test_statistics_by_hand():
    """Examples (3, 0), (3, 3), (0, −2): cosines 1/√2, 0 and −1/√2; eight points on the line between two."""
    feature = torch.tensor([[3.0, 0], [3, 3], [0, -2]])[:, :, None, None]
    found = row_statistics(feature)
    c = 1 / math.sqrt(2)
    line = torch.linspace(0, 1, 8)
    expected = torch.stack([c * (1 - line), c - 2 * c * line, -c * line])
    torch.testing.assert_close(found[:, :8], expected, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(found[:, 8], torch.tensor([4.5, 9, 2]).log())


def test_statistics_of_few_and_of_silence():
    assert torch.equal(row_statistics(torch.ones(1, 2, 3, 4))[:, :8], torch.zeros(1, 8))
    two = row_statistics(torch.stack([torch.ones(2, 3, 4), -torch.ones(2, 3, 4)]))
    torch.testing.assert_close(two[:, :8], -torch.ones(2, 8), rtol=1e-5, atol=1e-5)
    feature = torch.zeros(3, 2, 3, 4, requires_grad=True)
    found = row_statistics(feature)
    found.sum().backward()
    assert found.isfinite().all()
    assert feature.grad.isfinite().all()


def test_one_teacher_layer_needs_no_attention():
    one = [{"only": [torch.randn(3, c, 5, 4)]} for c in (4, 6)]
    built = SemCKD.build(SemckdConfig(standardise=False), toys.shapes(*one))
    assert [name for name, _ in built.named_parameters()] == [
        "parts.0.regressors.0.0.weight",
        "parts.0.regressors.0.0.bias",
    ]
    (loss,) = toys.losses(built, *one).values()
    torch.testing.assert_close(
        loss, F.mse_loss(built.parts[0].regressors[0][0](one[0]["only"][0]), one[1]["only"][0])
    )
    assert torch.equal(built.weights["only"], torch.ones(3, 1, 1))


def test_all_layers_of_all_sets():
    what = scene().attached()
    built = semckd(what, within_sets=False)
    found = losses(built, what)
    assert list(found) == ["all"]
    assert built.weights["all"].shape == (3, 6, 9)
    torch.testing.assert_close(built.weights["all"].sum(2), torch.ones(3, 6))
    (gradient,) = torch.autograd.grad(found["all"], what.student.features["decoder"][0])
    assert gradient.abs().max() > 0


@pytest.mark.parametrize("detach", [True, False])
def test_gradient_through_the_attention(detach):
    """With regressors that predict nothing, the student moves the loss through α alone, or not at all."""
    what = scene().attached()
    built = semckd(what, detach_attention=detach)
    for part in built.parts:
        for parameter in part.regressors.parameters():
            torch.nn.init.zeros_(parameter)
    sum(losses(built, what).values()).backward()
    gradient = what.student.features["encoder"][0].grad
    assert (gradient.abs().max() > 0) != detach
    assert all(p.grad.abs().max() > 0 for p in built.parts[0].attention.keys[0].layers[2].parameters())


def test_standardised_targets_are_independent_of_level():
    what = scene()
    louder = what.changed(torch.clone, lambda x: 100 * x, torch.clone)
    found = [losses(semckd(what, standardise=True), w) for w in (what, louder)]
    # α depends on the level; the distances do not.
    plain = [losses(semckd(what, standardise=False), w) for w in (what, louder)]
    for name in SETS:
        assert found[1][name].item() == pytest.approx(found[0][name].item(), rel=0.1)
        assert plain[1][name] > 1000 * plain[0][name]


def test_zero_where_the_regressed_student_is_the_teacher():
    one = [{"only": [torch.randn(3, c, 5, 4)]} for c in (4, 6)]
    built = SemCKD.build(SemckdConfig(standardise=False), toys.shapes(*one))
    one[1]["only"] = [built.parts[0].regressors[0][0](one[0]["only"][0]).detach()]
    assert toys.losses(built, *one)["only"] == 0


def test_released_rows_are_for_one_batch_size():
    what = scene(batch=5)
    built = semckd(what, rows="released")
    sum(losses(built, what).values()).backward()
    with pytest.raises(DistillError, match=r"'released' .*5 examples .*3; .*'any_batch'"):
        losses(built, what.each(lambda x: x[:3]))


def test_released_regressor_is_as_wide_as_published():
    built = semckd(scene(), regressor="released")
    part = built.parts[0].regressors[0][0]
    sizes = [tuple(p.shape) for p in (part.first.conv.weight, part.second.conv.weight, part.third.weight)]
    assert sizes == [(12, 4, 1, 1), (12, 12, 3, 3), (6, 12, 1, 1)]


@pytest.mark.parametrize("options", [{"regressor": "released"}, {"rows": "released"}, {"within_sets": False}])
@pytest.mark.parametrize(("batch", "frames"), [(1, 1), (1, 6), (4, 1)])
def test_every_option_is_finite_and_uses_every_connector(options, batch, frames):
    what = scene(batch, frames).attached()
    built = semckd(what, **options)
    sum(losses(built, what).values()).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in built.parameters())
