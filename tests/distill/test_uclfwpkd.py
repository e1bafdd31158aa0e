import math

import pytest
import torch
import toys
from small_scenes import losses, make, scene, twins

from stillwave.distill import BatchInputs, Distiller, DistillError
from stillwave.distill.methods.uclfwpkd import ResidualFusion, log_energy
from stillwave.schema.methods import UclfwpkdConfig

VISITED = {"encoder": [2, 1, 0], "middle": [3, 2, 1, 0], "decoder": [0, 1, 2]}


def uclfwpkd(what, **options):
    built = make(UclfwpkdConfig(**options), what.shapes)
    assert isinstance(built, ResidualFusion)
    return built


def probabilities(feature, t):
    """P at one frame, entry by entry, with 1e-6 added to norms."""
    rows = [f[:, t].flatten() for f in feature]
    units = [row / (row.norm() + 1e-6) for row in rows]
    s = [[(float(a @ b) + 1) / 2 for b in units] for a in units]
    return [[x / sum(row) for x in row] for row in s]


@torch.no_grad()
def literal(student, teacher, weights):
    """Σ_t 1/B² Σ_bb' ω_bt (P^t − P^s)(log P^t − log P^s)."""
    batch, frames = student.shape[0], student.shape[2]
    total = 0.0
    for t in range(frames):
        p, q = probabilities(teacher, t), probabilities(student, t)
        for b in range(batch):
            for c in range(batch):
                difference = (p[b][c] - q[b][c]) * (math.log(p[b][c]) - math.log(q[b][c]))
                total += float(weights[b, t]) * difference / batch**2
    return total


@pytest.mark.parametrize("fuse", [True, False])
@pytest.mark.parametrize("frame_weight", ["released", "energy", "uniform"])
def test_each_level_by_loops(fuse, frame_weight):
    what = scene(batch=3, frames=4).each(torch.Tensor.double)
    built = uclfwpkd(what, fuse=fuse, frame_weight=frame_weight, reduction="released").double()
    found = losses(built, what)
    assert list(found) == [f"{name}_{j + 1}" for name, visited in VISITED.items() for j in visited]
    for index, (name, visited) in enumerate(VISITED.items()):
        ours = [what.student.features[name][0 if name == "middle" else j] for j in visited]
        ours = built.fusers[index](ours) if fuse else ours
        for j, s in zip(visited, ours, strict=True):
            teacher = what.teacher.features[name][j]
            weights = {
                "released": teacher.mean((1, 3)).sigmoid(),
                "energy": log_energy(what.clean, 4).sigmoid(),
                "uniform": torch.full((3, 4), 0.5),
            }[frame_weight]
            assert found[f"{name}_{j + 1}"].item() == pytest.approx(literal(s, teacher, weights), rel=1e-6)


def test_the_levels_have_the_teachers_channels():
    built = uclfwpkd(scene())
    channels = [[u.conv.weight.shape[:2] for u in fuser.outputs] for fuser in built.fusers]
    assert channels == [[(6, 6)] * 3, [(6, 6)] * 4, [(6, 6), (6, 6), (2, 6)]]
    built = uclfwpkd(scene(), fusion_channels=3)
    assert built.fusers[0].outputs[0].conv.weight.shape == (6, 3, 3, 3)


def test_released_grows_with_the_segment():
    twice = scene(frames=7).each(lambda x: torch.cat([x, x], 2) if x.ndim == 4 else x)
    once = scene(frames=7)
    for reduction, factor in (("released", 2.0), ("mean_over_T", 1.0)):
        built = uclfwpkd(once, fuse=False, reduction=reduction)
        a, b = (sum(losses(built, what).values()).item() for what in (once, twice))
        assert b == pytest.approx(factor * a, rel=1e-5)


def test_identical_networks_have_zero_loss_without_fusion():
    what = twins()
    assert sum(losses(uclfwpkd(what, fuse=False), what).values()) == 0
    assert sum(losses(uclfwpkd(what), what).values()) > 1e-6


def test_loss_is_invariant_to_polarity_of_the_mask():
    what = scene()
    built = uclfwpkd(what, fuse=False)
    expected = losses(built, what)
    for name, loss in losses(built, what.changed(torch.neg, torch.clone, torch.clone)).items():
        torch.testing.assert_close(loss, expected[name])


def test_log_energy_by_hand():
    """Energies 1 and e² alternate: logs 0 and 2, standardised −1 and 1; silence is 60 dB down, not −∞."""
    signal = torch.tensor([1.0, 1, math.e, math.e, 1, 1, math.e, math.e])
    scaled = torch.stack([signal, 100 * signal, torch.zeros(8)])
    expected = torch.tensor([[-1.0, 1, -1, 1], [-1, 1, -1, 1], [0, 0, 0, 0]])
    torch.testing.assert_close(log_energy(scaled, 4), expected, rtol=1e-4, atol=1e-4)
    assert torch.equal(log_energy(signal[None], 1), torch.zeros(1, 1))
    half = log_energy(torch.tensor([[0.0, 0, 1, 1]]), 2)
    torch.testing.assert_close(half, torch.tensor([[-1.0, 1.0]]))


def test_energy_needs_the_clean_speech():
    what = scene()
    built = uclfwpkd(what, frame_weight="energy")
    with pytest.raises(DistillError, match="pass clean="):
        built(what.student, what.teacher, BatchInputs(what.noisy))
    assert built.uses_clean
    assert built.uses_estimate
    assert not uclfwpkd(what).uses_clean
    teacher, student = toys.pair()
    distiller = Distiller(
        teacher, student, UclfwpkdConfig(frame_weight="energy"), example=torch.randn(3, 160)
    )
    with pytest.raises(DistillError, match="clean"):
        distiller(torch.randn(3, 160))


def test_silent_rows_get_no_gradient():
    what = scene().each(lambda x: x.index_fill(2, torch.tensor([2]), 0.0) if x.ndim == 4 else x).attached()
    sum(losses(uclfwpkd(what, fuse=False), what).values()).backward()
    gradient = what.student.features["encoder"][1].grad
    assert (gradient.abs().amax((0, 1, 3)) > 0).tolist() == [True, True, False, True, True, True, True]


def test_a_single_example_is_counted_once():
    what = scene()
    built = uclfwpkd(what)
    alone = what.each(lambda x: x[:1]).attached()
    found = losses(built, alone)
    assert {loss.item() for loss in found.values()} == {0.0}
    sum(found.values()).backward()
    assert built.skipped == 1
