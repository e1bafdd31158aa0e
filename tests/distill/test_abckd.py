import math

import pytest
import torch
import toys
from small_scenes import losses, make, scene
from torch.nn import functional as F  # noqa: N812

from stillwave.distill.method import build
from stillwave.distill.methods.abckd import AttentionCompression, mixture, similarity_weights, with_bins
from stillwave.schema.methods import AbckdConfig

SETS = {"encoder": (3, 3), "middle": (1, 4), "decoder": (2, 2)}
"""Layers of student and teacher without the mask."""


def abckd(what, **options):
    built = make(AbckdConfig(**options), what.shapes)
    assert isinstance(built, AttentionCompression)
    return built


@pytest.mark.parametrize("alpha", ["learned", "detached_similarity", "uniform"])
@torch.no_grad()
def test_by_loops(alpha):
    what = scene(batch=3, frames=5).each(torch.Tensor.double)
    built = abckd(what, alpha=alpha, width=7).double()
    found = losses(built, what)
    for part, (name, (n, m)) in zip(built.parts, SETS.items(), strict=True):
        student, teacher = what.student.features[name][:n], what.teacher.features[name][:m]
        for i in range(n):
            mixed = torch.zeros(3, 6, 5, student[i].shape[3], dtype=torch.float64)
            for b in range(3):
                logits = [logit(alpha, part, i, j, student[i][b], teacher[j][b]) for j in range(m)]
                shares = [math.exp(x) / sum(map(math.exp, logits)) for x in logits]
                for j, share in enumerate(shares):
                    assert built.weights[name][b, i, j].item() == pytest.approx(share, rel=1e-6)
                    mixed[b] += share * with_bins(teacher[j], student[i].shape[3])[b]
            weight, bias = part.projections[i].weight, part.projections[i].bias
            error = (
                torch.einsum("kc,bctd->bktd", weight[:, :, 0, 0], student[i]) + bias[:, None, None] - mixed
            )
            expected = sum(
                float((error[:, c] ** 2).mean() / mixed[:, c].var(correction=0)) for c in range(6)
            ) / (6 * 6)
            assert found[f"{name}_{i + 1}"].item() == pytest.approx(expected, rel=1e-7)


def logit(alpha, part, i, j, student, teacher):
    if alpha == "uniform":
        return 0.0
    if alpha == "learned":
        q = part.queries[i].weight @ student.mean((1, 2))
        k = part.keys[j].weight @ teacher.mean((1, 2))
        return float(q @ k) / math.sqrt(7)
    grams = [torch.einsum("ctd,cud->tu", f, f).flatten() for f in (student, teacher)]
    return float(F.cosine_similarity(*grams, dim=0)) / 0.1


def test_losses_are_named_after_student_layers_and_sizes_match():
    what = scene()
    assert list(losses(abckd(what), what)) == [
        f"{name}_{i + 1}" for name, (n, _) in SETS.items() for i in range(n)
    ]
    built = abckd(what, layers="all")
    assert len(losses(built, what)) == 6
    assert built.weights["all"].shape == (3, 6, 9)


def test_what_is_trained():
    what = scene()
    for alpha in ("uniform", "detached_similarity"):
        names = {name.split(".")[2] for name, _ in abckd(what, alpha=alpha).named_parameters()}
        assert names == {"projections"}
    assert {n.split(".")[2] for n, _ in abckd(what).named_parameters()} == {"projections", "queries", "keys"}
    one = [{"only": [torch.randn(3, c, 5, 4)]} for c in (4, 6)]
    built = AttentionCompression.build(AbckdConfig(), toys.shapes(*one))
    assert [n for n, _ in built.named_parameters()] == [
        "parts.0.projections.0.weight",
        "parts.0.projections.0.bias",
    ]
    toys.losses(built, *one)
    assert torch.equal(built.weights["only"], torch.ones(3, 1, 1))


def uneven():
    """Teacher layers of 6 and 3 channels."""
    return [
        {"only": [torch.randn(3, c, 5, d, generator=torch.Generator().manual_seed(c)) for c, d in side]}
        for side in ([(4, 4)], [(6, 9), (3, 2)])
    ]


def test_other_channels_are_lifted_by_a_frozen_isometry():
    sides = uneven()
    torch.manual_seed(0)
    built = build("abckd", toys.shapes(*sides))
    same, lifted = built.parts[0].lifts
    x = sides[1]["only"][1]
    assert same(x) is x
    torch.testing.assert_close(lifted(x).square().sum(1), x.square().sum(1))
    assert lifted(x).shape == (3, 6, 5, 2)
    assert not any("lifts" in name for name, _ in built.named_parameters())
    assert any("lifts" in name for name in built.state_dict())
    torch.manual_seed(1)
    again = build("abckd", toys.shapes(*sides))
    assert torch.equal(again.parts[0].lifts[1].matrix, lifted.matrix)


def test_bins_averaged_down_or_repeated_up():
    x = torch.arange(4.0).view(1, 1, 1, 4)
    assert with_bins(x, 2).flatten().tolist() == [0.5, 2.5]
    assert with_bins(x, 8).flatten().tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    assert with_bins(x, 4) is x


def test_mixture_by_hand():
    members = [torch.full((2, 1, 1, 1), v) for v in (1.0, 10.0, 100.0)]
    weights = torch.tensor([[1.0, 0, 0], [0.5, 0.3, 0.2]])
    torch.testing.assert_close(mixture(weights, members).flatten(), torch.tensor([1.0, 23.5]))


def test_similarity_weights_prefer_the_layer_with_similar_frames():
    student = torch.randn(2, 4, 40, 6)
    rotated = torch.einsum("kc,bctd->bktd", torch.linalg.qr(torch.randn(4, 4)).Q, student)
    found = similarity_weights([student], [torch.randn(2, 6, 40, 6), -3 * rotated])
    assert (found[:, 0, 1] > 0.9).all()
    torch.testing.assert_close(found.sum(2), torch.ones(2, 1))
    silent = similarity_weights([torch.zeros(2, 4, 40, 6)], [student, rotated])
    torch.testing.assert_close(silent, torch.full((2, 1, 2), 0.5))


def test_the_level_of_the_teacher_makes_no_difference():
    """σ takes it out of the target; the student's projection has only to follow."""
    what = scene()
    built = abckd(what, alpha="uniform")
    louder = what.changed(torch.clone, lambda x: 8 * x, torch.clone)
    expected = losses(built, what)
    with torch.no_grad():
        for part in built.parts:
            for parameter in part.projections.parameters():
                parameter.mul_(8)
    for name, loss in losses(built, louder).items():
        torch.testing.assert_close(loss, expected[name], rtol=1e-4, atol=1e-6)


def test_zero_where_the_projected_student_is_the_mixture():
    one = [{"only": [torch.randn(3, c, 5, 4)]} for c in (4, 6)]
    built = AttentionCompression.build(AbckdConfig(), toys.shapes(*one))
    one[1]["only"] = [built.parts[0].projections[0](one[0]["only"][0]).detach()]
    assert toys.losses(built, *one)["only_1"] < 1e-12


@pytest.mark.parametrize("alpha", ["learned", "detached_similarity", "uniform"])
def test_the_gradient_is_the_slope_with_uneven_layers(alpha):
    sides = [{"only": [f.double() for f in side["only"]]} for side in uneven()]
    built = build(AbckdConfig(alpha=alpha), toys.shapes(*sides)).double()
    feature = sides[0]["only"][0].requires_grad_()
    loss = toys.losses(built, *sides)["only_1"]
    moved = [feature, *built.parameters()]
    if alpha == "detached_similarity":
        moved = moved[1:]  # to the student α is a constant
    gradients = torch.autograd.grad(loss, moved)
    along = [torch.randn_like(x) for x in moved]
    values = []
    with torch.no_grad():
        for step in (1e-6, -2e-6):
            for x, d in zip(moved, along, strict=True):
                x.add_(step * d)
            values.append(toys.losses(built, *sides)["only_1"])
    slope = (values[0] - values[1]) / 2e-6
    torch.testing.assert_close(
        slope, sum((g * d).sum() for g, d in zip(gradients, along, strict=True)), rtol=1e-5, atol=1e-8
    )


@pytest.mark.parametrize(
    "options", [{"alpha": "detached_similarity"}, {"alpha": "uniform"}, {"layers": "all"}]
)
@pytest.mark.parametrize(("batch", "frames"), [(1, 1), (1, 6), (4, 1), (2, 40)])
def test_every_option_is_finite_and_uses_every_connector(options, batch, frames):
    what = scene(batch, frames).attached()
    built = abckd(what, **options)
    sum(losses(built, what).values()).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in built.parameters())
