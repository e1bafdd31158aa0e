import math

import pytest
import torch
from small_scenes import Scene, losses, make, scene, twins

from stillwave.distill import ModelOutputs
from stillwave.distill.methods.sp import SimilarityPreserving
from stillwave.schema.methods import SpConfig

LAYERS = ["encoder_3", "middle_1", "decoder_1"]


def sp(what, **options):
    return make(SpConfig(**options), what.shapes)


def value(student, teacher, **options):
    """Loss of two features."""
    nothing = torch.empty(0)
    sides = [{"only": [f]} for f in (student, teacher)]
    what = Scene(ModelOutputs(sides[0], nothing), ModelOutputs(sides[1], nothing), nothing, nothing)
    (found,) = losses(sp(what, **options), what).values()
    return found.item()


def examples(*rows):
    """Examples of 3 channels, one frame, one bin."""
    return torch.tensor(rows)[:, :, None, None]


def test_a_value_worked_by_hand():
    """Student rows (1,0,0), (1,1,0): G = [[1,1],[1,2]], rows over √2 and √5. Teacher: orthogonal, G~ = I."""
    student = examples([1.0, 0, 0], [1.0, 1, 0])
    teacher = examples([2.0, 0, 0], [0.0, 0, 3])
    a, b = 1 / math.sqrt(2), 1 / math.sqrt(5)
    expected = ((1 - a) ** 2 + a**2 + b**2 + (1 - 2 * b) ** 2) / 4
    assert value(student, teacher) == pytest.approx(expected, rel=1e-6)


def test_centred_by_hand():
    """Without its mean (⅓, 1, 0), (1,1,0) … of three examples; the teacher's is centred already."""
    student = examples([1.0, 0, 0], [0.0, 1, 0], [0.0, 0, 1])
    teacher = examples([1.0, 0, 0], [-1.0, 0, 0], [0.0, 0, 0])
    # Student: G = I − 1/3, rows (2, −1, −1)/√6. Teacher: rows (1, −1, 0)/√2, and a silent one, which is 0.
    s = torch.tensor([[2.0, -1, -1], [-1, 2, -1], [-1, -1, 2]]) / math.sqrt(6)
    t = torch.tensor([[1.0, -1, 0], [-1, 1, 0], [0, 0, 0]]) / math.sqrt(2)
    assert value(student, teacher, centre=True) == pytest.approx((s - t).square().mean().item(), rel=1e-5)


def test_the_layers_at_the_bottleneck():
    assert list(losses(sp(scene()), scene())) == LAYERS


def test_networks_of_other_frames_and_bins_fit():
    student, teacher = torch.randn(3, 4, 5, 6), torch.randn(3, 7, 8, 9)
    assert 0 < value(student, teacher) < 1


def test_loss_is_invariant_to_sign_and_level_of_examples():
    what = twins()
    built = sp(what)
    turned = what.changed(lambda x: -3 * x, torch.clone)
    assert all(loss < 1e-10 for loss in losses(built, turned).values())


def test_a_single_example_is_counted():
    what = scene()
    built = sp(what)
    assert isinstance(built, SimilarityPreserving)
    alone = what.each(lambda x: x[:1]).attached()
    found = losses(built, alone)
    assert {loss.item() for loss in found.values()} == {0.0}
    sum(found.values()).backward()
    assert built.skipped == 1
    losses(built, what)
    assert built.skipped == 1
