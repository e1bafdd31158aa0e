import pytest
import torch
import toys
from small_scenes import Scene, losses, make, scene

from stillwave.distill import DistillError, Layer, ModelOutputs, Shapes
from stillwave.distill.methods.fitnets import FitNets
from stillwave.distill.running_statistics import floored
from stillwave.schema.methods import FitnetsConfig

NOTHING = torch.empty(0)
PAIRS = ["encoder_1", "encoder_2", "encoder_3", "middle_1", "decoder_1", "decoder_2"]


def of(student, teacher):
    return Scene(
        ModelOutputs({"middle": [student]}, NOTHING),
        ModelOutputs({"middle": [teacher]}, NOTHING),
        NOTHING,
        NOTHING,
    )


def as_identity(built):
    with torch.no_grad():
        for r in built.regressors.values():
            torch.nn.init.dirac_(r.weight)
            r.bias.zero_()
    return built


def maps(*channels):
    """One example, two frames, one bin: [1, C, 2, 1]."""
    return torch.tensor(channels)[None, :, :, None]


STUDENT = maps([1.0, 2.0], [3.0, 5.0], [0.0, 0.0])
TEACHER = maps([1.0, 4.0], [7.0, 5.0], [2.0, 4.0])
"""Squared errors of the channels, averaged over frames: 2, 8, 10; variances of the teacher: 9/4, 1, 1."""


@pytest.mark.parametrize(("standardise", "expected"), [(False, 20 / 3), (True, (2 * 4 / 9 + 8 + 10) / 3)])
def test_a_value_worked_by_hand(standardise, expected):
    what = of(STUDENT, TEACHER)
    built = as_identity(make(FitnetsConfig(standardise=standardise), what.shapes))
    assert losses(built, what)["middle_1"].item() == pytest.approx(expected)


def test_the_connector_by_hand():
    what = of(STUDENT, TEACHER)
    built = as_identity(make(FitnetsConfig(standardise=False), what.shapes))
    with torch.no_grad():
        built.regressors["middle_1"].weight[2, 0] = 2.0  # 0 → 2, 4
        built.regressors["middle_1"].bias[1] = 2.0  # 3, 5 → 5, 7: errors 2 and 2
    assert losses(built, what)["middle_1"].item() == pytest.approx((2 + 4 + 0) / 3)


@pytest.mark.parametrize("standardise", [True, False])
def test_an_identity_regressor_has_zero_loss_for_identical_networks(standardise):
    what = of(TEACHER, TEACHER)
    built = as_identity(make(FitnetsConfig(standardise=standardise), what.shapes))
    assert losses(built, what)["middle_1"] == 0


def test_the_connector_has_weights_and_biases_of_the_teachers_width():
    layers = [{"middle": (Layer("x", c, 5, 4),)} for c in (64, 128)]
    built = FitNets.build(FitnetsConfig(), Shapes(2, *layers))
    assert sum(p.numel() for p in built.parameters()) == 8320


def test_the_last_middle_block_is_the_hint():
    what = scene()
    built = make("fitnets", what.shapes)
    expected = losses(built.eval(), what)["middle_1"]
    blocks = what.teacher.features["middle"]
    swapped = {**what.teacher.features, "middle": [torch.zeros_like(f) for f in blocks[:-1]] + blocks[-1:]}
    assert (
        losses(built, Scene(what.student, ModelOutputs(swapped, NOTHING), NOTHING, NOTHING))["middle_1"]
        == expected
    )
    assert (built.pairs[0].i, built.pairs[0].j) == (0, 3)


def test_all_layers_are_a_mean_over_pairs():
    what = scene()
    built = make(FitnetsConfig(layers="all"), what.shapes).eval()
    found = losses(built, what)
    assert list(found) == PAIRS
    alone = make("fitnets", what.shapes).eval()
    alone.load_state_dict({name: value for name, value in built.state_dict().items() if ".middle_1." in name})
    assert 6 * found["middle_1"].item() == pytest.approx(losses(alone, what)["middle_1"].item())


def test_loss_is_independent_of_the_level_of_teacher_channels():
    """With a perfect fit but for a part e of each channel's spread, the loss is e² whatever the levels."""
    generator = torch.Generator().manual_seed(0)
    teacher = torch.randn(4, 3, 50, 20, generator=generator) * torch.tensor([1.0, 30.0, 0.1])[:, None, None]
    student = teacher + 0.1 * teacher.std((0, 2, 3), keepdim=True) * torch.randn(
        4, 3, 50, 20, generator=generator
    )
    what = of(student, teacher)
    built = as_identity(make(FitnetsConfig(), what.shapes))
    assert losses(built, what)["middle_1"].item() == pytest.approx(0.01, rel=0.05)


def test_the_variance_runs_over_batches_and_is_saved():
    first, second = of(STUDENT, TEACHER), of(STUDENT, 3 * TEACHER)
    built = as_identity(make(FitnetsConfig(), first.shapes))
    losses(built, first)
    losses(built, second)
    expected = torch.tensor([2.25, 1.0, 1.0]) * (1 + 9) / 2
    torch.testing.assert_close(built.state_dict()["variances.middle_1.average"], expected)


def test_constant_channels_do_not_dominate():
    torch.testing.assert_close(floored(torch.tensor([0.0, 3.0]), 1e-6), torch.tensor([1.5e-6, 3.0]))
    assert floored(torch.zeros(2), 1e-6).tolist() == [1.0, 1.0]


def test_more_bins_are_averaged_to_fewer():
    fine = torch.randn(2, 3, 4, 8, generator=torch.Generator().manual_seed(0))
    coarse = fine.unflatten(3, (4, 2)).mean(4)
    for what in (of(fine, coarse), of(coarse, fine)):
        assert losses(as_identity(make("fitnets", what.shapes)), what)["middle_1"] < 1e-12


def test_the_regressor_can_be_trained():
    """A student that is a linear mixture of the teacher's channels can be undone by the connector."""
    teacher = torch.randn(2, 3, 20, 4, generator=torch.Generator().manual_seed(0))
    mixture = torch.tensor([[1.0, 0.5, 0.0], [0.0, 1.0, 0.3], [-0.5, 0.0, 1.0]])
    what = of(torch.einsum("kc,bctd->bktd", mixture, teacher), teacher)
    built = make("fitnets", what.shapes)
    optimiser = torch.optim.Adam(built.parameters(), lr=0.05)
    first = losses(built, what)["middle_1"].item()
    for _ in range(150):
        optimiser.zero_grad()
        loss = losses(built, what)["middle_1"]
        loss.backward()
        optimiser.step()
    assert loss.item() < 1e-3 * first


def test_unequal_frames_are_refused():
    student, teacher = toys.of_student(frames=7), toys.of_teacher(frames=8)
    with pytest.raises(DistillError, match=r"fitnets .*student layer 'middle\.0' has 7"):
        make("fitnets", toys.shapes(student, teacher))
