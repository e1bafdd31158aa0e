import math

import pytest
import torch
import toys
from small_scenes import losses, make, scene, twins

from stillwave.distill import DistillError
from stillwave.distill.methods.clskd import CrossLayerSimilarity, averages
from stillwave.schema.methods import ClskdConfig

VISITED = {"encoder": [2, 1, 0], "middle": [0], "decoder": [0, 1]}


def clskd(what, **options):
    built = make(ClskdConfig(**options), what.shapes)
    assert isinstance(built, CrossLayerSimilarity)
    return built


@torch.no_grad()
def literal(student, teacher):
    """1/(T·B²) Σ_t ‖rown(G^t_t) − rown(G^s_t)‖², entry by entry."""
    batch, frames = student.shape[0], student.shape[2]
    total = 0.0
    for t in range(frames):
        grams = []
        for feature in (student, teacher):
            gram = [
                [float((feature[a, :, t] * feature[b, :, t]).sum()) for b in range(batch)]
                for a in range(batch)
            ]
            grams.append([[g / math.sqrt(sum(x * x for x in row)) for g in row] for row in gram])
        total += sum((grams[0][a][b] - grams[1][a][b]) ** 2 for a in range(batch) for b in range(batch))
    return total / (frames * batch**2)


def test_a_value_worked_by_hand():
    """Rows (1, 0) and (1, 1) against orthogonal ones, one frame: as in SP's test; at a second frame, no distance."""
    student = torch.tensor([[[1.0, 2], [0, 0]], [[1.0, 0], [1, 7]]]).unsqueeze(3)
    teacher = torch.tensor([[[3.0, 1], [0, 0]], [[0.0, 0], [4, 2]]]).unsqueeze(3)
    a, b = 1 / math.sqrt(2), 1 / math.sqrt(5)
    expected = ((1 - a) ** 2 + a**2 + b**2 + (1 - 2 * b) ** 2) / 4 / 2
    padded = [{"only": [torch.cat([f, torch.zeros(2, 1, 2, 1)], 1)]} for f in (student, teacher)]
    built = CrossLayerSimilarity.build(ClskdConfig(fuse="off"), toys.shapes(*padded))
    assert toys.losses(built, *padded)["only_1"].item() == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("fuse", ["student", "teacher", "off"])
def test_each_level_by_loops(fuse):
    what = scene(batch=3, frames=4).each(torch.Tensor.double)
    built = clskd(what, fuse=fuse).double()
    found = losses(built, what)
    assert list(found) == [f"{name}_{i + 1}" for name, visited in VISITED.items() for i in visited]
    for index, (name, visited) in enumerate(VISITED.items()):
        ours = [what.student.features[name][i] for i in visited]
        theirs = [what.teacher.features[name][3 if name == "middle" else i] for i in visited]
        ours = built.fusers[index](ours) if fuse == "student" else ours
        theirs = averages(theirs) if fuse == "teacher" else theirs
        for i, s, t in zip(visited, ours, theirs, strict=True):
            assert found[f"{name}_{i + 1}"].item() == pytest.approx(literal(s, t), rel=1e-6)


def test_identical_networks_have_zero_loss_without_fusion():
    what = twins()
    assert sum(losses(clskd(what, fuse="off"), what).values()) < 1e-10
    assert sum(losses(clskd(what, fuse="student"), what).values()) > 1e-4


def test_averages_of_the_teachers_levels():
    torch.manual_seed(0)
    visited = [3 + 2 * torch.randn(2, 3, 4, d) for d in (4, 4, 8)]
    standard = [
        (f - f.mean((0, 2, 3), keepdim=True)) / f.std((0, 2, 3), correction=0, keepdim=True) for f in visited
    ]
    found = averages(visited)
    torch.testing.assert_close(found[0], standard[0])
    torch.testing.assert_close(found[1], (standard[0] + standard[1]) / 2)
    doubled = [f.repeat_interleave(2, 3) for f in standard[:2]]
    torch.testing.assert_close(found[2], (doubled[0] + doubled[1] + standard[2]) / 3)
    assert torch.equal(averages([torch.ones(2, 3, 4, 5)])[0], torch.zeros(2, 3, 4, 5))


def test_what_is_trained():
    what = scene()
    assert not list(clskd(what, fuse="teacher").parameters())
    assert not list(clskd(what, fuse="off").parameters())
    built = clskd(what, fusion_channels=7)
    assert built.fusers[0].outputs[0].conv.weight.shape == (6, 7, 3, 3)


def test_teacher_layers_of_other_channels_cannot_be_averaged():
    sides = [{"only": [torch.randn(2, c, 5, 4) for c in cs]} for cs in ((3, 3), (4, 5))]
    with pytest.raises(DistillError, match=r"'only\.1' has 5 channels and 'only\.0' has 4"):
        CrossLayerSimilarity.build(ClskdConfig(fuse="teacher"), toys.shapes(*sides))
    CrossLayerSimilarity.build(ClskdConfig(), toys.shapes(*sides))


def test_a_silent_frame_has_no_gradient_and_no_effect_on_others():
    what = scene().each(lambda x: x.index_fill(2, torch.tensor([2]), 0.0) if x.ndim == 4 else x).attached()
    sum(losses(clskd(what, fuse="off"), what).values()).backward()
    gradient = what.student.features["middle"][0].grad
    assert torch.equal(gradient[:, :, 2], torch.zeros_like(gradient[:, :, 2]))
    assert (gradient.abs().amax((0, 1, 3)) > 0).tolist() == [True, True, False, True, True, True, True]


def test_a_single_example_is_counted_once():
    what = scene()
    built = clskd(what)
    alone = what.each(lambda x: x[:1]).attached()
    found = losses(built, alone)
    assert {loss.item() for loss in found.values()} == {0.0}
    sum(found.values()).backward()
    assert built.skipped == 1
    losses(built, what)
    assert built.skipped == 1
