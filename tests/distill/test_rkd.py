import math

import pytest
import torch
from small_scenes import losses, make, scene, twins

from stillwave.distill import BatchInputs, DistillError, Layer, ModelOutputs, Shapes
from stillwave.distill.methods.rkd import Relational, relations
from stillwave.schema.methods import RkdConfig

RIGHT = torch.tensor([[[0.0, 0.0], [3.0, 0.0], [0.0, 4.0]]])
"""A right-angled triangle, sides 3, 4 and 5, mean 4; cosines 0, 3/5 and 4/5 at its corners."""
LINE = torch.tensor([[[0.0], [1.0], [2.0]]])
"""Three points on a line: distances 1, 1 and 2, mean 4/3; cosines 1, −1 and 1."""


def compare(student, teacher, **options):
    """Losses between two sets of examples [n, d], as features of one frame and d channels."""
    maps = [x[:, :, None, None] for x in (student, teacher)]
    # Two channels are taken for a mask; zeros change no distance.
    maps = [torch.cat([f, torch.zeros(len(f), 3, 1, 1)], 1) for f in maps]
    layers = [{"only": (Layer("x", *f.shape[1:]),)} for f in maps]
    built = Relational.build(RkdConfig(**options), Shapes(len(student), *layers))
    nothing = torch.empty(0)
    return built(*(ModelOutputs({"only": [f]}, nothing) for f in maps), BatchInputs(nothing))


def test_relations_by_hand():
    found = relations(RIGHT)
    torch.testing.assert_close(found.distances[0], torch.tensor([[0, 3, 4], [3, 0, 5], [4, 5, 0.0]]) / 4)
    a, b, c = found.angles[0]
    torch.testing.assert_close(a, torch.tensor([[0.0, 0, 0], [0, 1, 0], [0, 0, 1]]))
    torch.testing.assert_close(b, torch.tensor([[1, 0, 0.6], [0, 0, 0], [0.6, 0, 1]]))
    torch.testing.assert_close(c, torch.tensor([[1, 0.8, 0], [0.8, 1, 0], [0, 0, 0]]))


def test_losses_by_hand():
    found = compare(RIGHT[0], LINE[0])
    # ψ: (¾, 1, 5/4) against (¾, 3/2, ¾), each twice among nine entries.
    distance = 2 * (0 + 0.5**2 / 2 + 0.5**2 / 2) / 9
    # Corners: 0 against 1 (twice), 3/5 against −1 (beyond δ, twice), 4/5 against 1 (twice), of 27.
    angle = 2 * (0.5 + (1.6 - 0.5) + 0.2**2 / 2) / 27
    assert found["distance"].item() == pytest.approx(25 * distance, rel=1e-5)
    assert found["angle"].item() == pytest.approx(50 * angle, rel=1e-5)


@pytest.mark.parametrize(("options", "names"), [({"angle": 0}, ["distance"]), ({"distance": 0}, ["angle"])])
def test_a_weight_of_zero_leaves_a_term_out(options, names):
    assert list(compare(RIGHT[0], LINE[0], **options)) == names


def test_both_weights_of_zero_are_refused():
    with pytest.raises(ValueError, match="both 0"):
        RkdConfig(distance=0, angle=0)


def test_loss_is_invariant_to_shift_rotation_and_level():
    points = torch.randn(1, 6, 5, generator=torch.Generator().manual_seed(0))
    turn = torch.linalg.qr(torch.randn(5, 5, generator=torch.Generator().manual_seed(1))).Q
    moved = 100 * points @ turn + 1000
    for a, b in zip(relations(points), relations(moved), strict=True):
        torch.testing.assert_close(a, b, atol=1e-3, rtol=1e-3)


def test_equal_to_the_differences_themselves():
    e = torch.randn(1, 7, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    apart = e.unsqueeze(1) - e.unsqueeze(2)  # [1, a, b]: e_b − e_a
    length = apart.norm(dim=-1)
    u = apart / length.masked_fill(length == 0, 1.0).unsqueeze(-1)
    found = relations(e)
    torch.testing.assert_close(found.angles, torch.einsum("sabk,sack->sabc", u, u))
    torch.testing.assert_close(found.distances, length / length[length > 0].mean())


def test_examples_that_coincide_are_one():
    points = torch.cat([RIGHT, RIGHT[:, :1] + 1e-7], 1).requires_grad_()
    found = relations(points)
    assert found.distances[0, 0, 3] == found.distances[0, 3, 0] == 0
    assert found.angles[0, 0, 3].abs().max() == 0
    (found.angles.square().sum() + found.distances.square().sum()).backward()
    assert points.grad.isfinite().all()
    assert points.grad.abs().max() < 10


def test_points_in_one_place_have_no_relations():
    points = torch.ones(2, 4, 3).requires_grad_()
    found = relations(points)
    assert found.distances.abs().max() == found.angles.abs().max() == 0
    (found.angles.sum() + found.distances.sum()).backward()
    assert points.grad.abs().max() == 0


@pytest.mark.parametrize("relation", ["examples", "frames"])
def test_identical_networks_have_zero_loss(relation):
    what = twins()
    built = make(RkdConfig(relation=relation), what.shapes)
    assert sum(losses(built, what).values()) == 0
    assert (
        sum(losses(built, what.changed(lambda x: x.flip(3) if x.ndim == 4 else x, torch.clone)).values())
        < 1e-6
    )
    assert sum(losses(built, what.changed(torch.abs, torch.clone)).values()) > 0.01


@pytest.mark.parametrize(("relation", "batch", "frames"), [("examples", 2, 7), ("frames", 4, 2)])
def test_too_few_to_compare_are_counted(relation, batch, frames):
    built = make(RkdConfig(relation=relation), scene().shapes)
    what = scene(batch, frames).attached()
    found = losses(built, what)
    sum(found.values()).backward()
    assert [loss.item() for loss in found.values()] == [0, 0]
    assert built.skipped == 1


def test_frames_work_for_a_single_example():
    built = make("rkd-frames", scene(1).shapes)
    assert all(loss > 1e-3 for loss in losses(built, scene(1)).values())
    assert built.skipped == 0


def test_frames_shift_in_training_only():
    what = scene(frames=20)
    built = make(RkdConfig(relation="frames", frames=5), what.shapes)
    first, second = (losses(built, what)["angle"].item() for _ in range(2))
    assert first != second
    built.eval()
    assert losses(built, what)["angle"].item() == losses(built, what)["angle"].item()
    assert built.draw == 2


def test_frames_are_those_of_one_example():
    """Averaged over examples: the value of a batch is the mean of the values of its examples."""
    what = scene()
    built = make("rkd-frames", what.shapes).eval()
    each = [losses(built, what.each(lambda x, b=b: x[b : b + 1]))["angle"].item() for b in range(3)]
    assert losses(built, what)["angle"].item() == pytest.approx(math.fsum(each) / 3, rel=1e-5)


def test_unequal_frames_are_refused_where_frames_are_compared():
    layers = [{"deep": (Layer("x", 4, frames, 5),)} for frames in (7, 8)]
    with pytest.raises(DistillError, match=r"rkd of frames .*'x' has 7 .*'x' has 8"):
        Relational.build(RkdConfig(relation="frames"), Shapes(3, *layers))
    Relational.build(RkdConfig(), Shapes(3, *layers))
