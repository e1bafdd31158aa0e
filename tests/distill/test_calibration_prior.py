"""The prior of the calibration weights: its formulas, and that it keeps α from settling on the nearest layer."""

from __future__ import annotations

import math

import pytest
import torch
import toys
from pydantic import ValidationError

from stillwave.distill import BatchInputs, ModelOutputs
from stillwave.distill.calibrated_distance import CalibratedDistance
from stillwave.distill.calibration_prior import clean_cosines, correlation, divergence, log_prior
from stillwave.distill.similarity import distribution, similarities
from stillwave.schema import I2srfTfckdConfig

MIDDLE = {"time": True, "batch": False, "pooled_size": 4}


def test_the_minimum_is_the_prior_times_the_exponential_of_the_distances():
    distances, tau = torch.tensor([0.3, 0.1, 0.7], dtype=torch.float64), 0.4
    log_pi = torch.tensor([0.2, 0.5, 0.3], dtype=torch.float64).log()
    expected = (log_pi - distances / (tau * distances.mean())).softmax(0)
    logits = expected.log().requires_grad_()

    def loss(alpha: torch.Tensor) -> torch.Tensor:
        apart = divergence(alpha.view(1, 1, 1, 3), log_pi.view(1, 1, 3))[0, 0, 0]
        return (alpha * distances).sum() + tau * distances.mean() * apart

    least = loss(logits.softmax(0))
    least.backward()
    assert logits.grad.abs().max() < 1e-12
    draws = torch.rand(100, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    assert all(loss(alpha / alpha.sum()) > least for alpha in draws)


def test_the_divergence_is_zero_only_at_the_prior():
    log_pi = torch.tensor([0.25, 0.75]).log().expand(2, 3, 2)
    assert divergence(log_pi.exp().unsqueeze(2), log_pi).abs().max() < 1e-7
    found = divergence(torch.full((2, 3, 1, 2), 0.5), log_pi)
    assert found.shape == (2, 3, 1)
    assert found[0, 0, 0] == pytest.approx(0.5 * math.log(0.5 / 0.25) + 0.5 * math.log(0.5 / 0.75))


def test_the_correlation_leaves_out_the_own_entry():
    one = torch.tensor([[9.0, 1.0, 2.0, 3.0], [1.0, -9.0, 2.0, 4.0]])
    other = torch.tensor([[-5.0, 2.0, 4.0, 6.0], [4.0, 7.0, 3.0, 1.0]])
    counted = 1 - torch.eye(4)[:2]
    assert correlation(one, other, counted).tolist() == pytest.approx([1.0, -1.0], abs=1e-6)
    assert correlation(torch.ones(2, 4), other, counted).tolist() == [0.0, 0.0]


@pytest.mark.parametrize("stream", ["time", "batch"])
def test_a_layer_that_is_like_the_clean_reference_gets_the_most_weight(stream):
    torch.manual_seed(0)
    clean = clean_cosines(torch.randn(4, 16_000).cumsum(1) * torch.rand(4, 1), 20)
    assert clean["time"].shape == (4, 20, 20)
    assert clean["batch"].shape == (4, 20, 4)
    random = [similarities(torch.randn(4, 3, 20, 5))[stream].cosine for _ in range(2)]
    found = log_prior(stream, [random[0], clean[stream], random[1]], clean, 8.0).exp()
    assert found.shape == (4, 20, 3)
    assert found.sum(-1).sub(1).abs().max() < 1e-6
    assert (found.argmax(-1) == 1).float().mean() > 0.9
    assert not found.requires_grad


def test_the_prior_is_uniform_where_nothing_is_known():
    torch.manual_seed(0)
    cosines = [torch.rand(2, 5, 2) for _ in range(4)]
    for clean in ({}, {"batch": torch.rand(2, 5, 2)}):  # one other example has no correlation
        assert log_prior("batch", cosines, clean, 8.0).exp().sub(0.25).abs().max() < 1e-6


def test_a_sharper_distribution_is_the_normalised_power():
    cosine = torch.tensor([[[1.0, 0.0, -0.5]]])
    expected = torch.tensor([1.0, 0.5**3, 0.25**3])
    torch.testing.assert_close(distribution(cosine, 3.0)[0, 0], expected / expected.sum())
    torch.testing.assert_close(distribution(cosine, 1.0), distribution(cosine), rtol=0, atol=0)


def _trained(prior: str, clean: torch.Tensor) -> torch.Tensor:
    """Train only α for a student layer that equals teacher layer 0, while layer 1 is like the clean reference."""
    torch.manual_seed(1)
    cosines = clean_cosines(clean, 16)
    near = torch.randn(3, 4, 16, 6)
    # Rows whose Gram matrix is that of the clean reference.
    values, vectors = torch.linalg.eigh(cosines["time"].double())
    like = (vectors * values.clamp(min=0).sqrt().unsqueeze(1)).float().unsqueeze(1)  # [B, 1, T, T]
    config = I2srfTfckdConfig(**MIDDLE, prior=prior)
    distance = CalibratedDistance(1, 2, config, 3, 16)
    optimiser = torch.optim.Adam(distance.parameters(), 0.02)
    for _ in range(150):
        optimiser.zero_grad()
        distance([near], [near, like], cosines).backward()
        optimiser.step()
    return distance.weights["time"][:, :, 0].mean((0, 1))


def test_weights_do_not_settle_on_the_layer_that_the_student_equals():
    clean = torch.randn(3, 4_000, generator=torch.Generator().manual_seed(0)).cumsum(1)
    published, repaired = _trained("none", clean), _trained("clean", clean)
    assert published[0] > 0.8  # its distance is 0: nothing is taught
    assert repaired[1] > 0.6


def test_without_a_prior_the_losses_are_those_of_the_published_form():
    student, teacher = toys.of_student(), toys.of_teacher()
    plain = toys.method(student, teacher)
    method = toys.method(student, teacher, prior="clean", prior_weight=1e-9)
    method.load_state_dict(plain.state_dict())
    given = ModelOutputs(student, torch.zeros(3, 160)), ModelOutputs(teacher, torch.zeros(3, 160))
    clean = torch.randn(3, 1_600)
    found = method(*given, BatchInputs(torch.zeros(3, 1_600), clean))
    for name, loss in plain(*given, BatchInputs(torch.zeros(3, 1_600))).items():
        torch.testing.assert_close(found[name], loss, rtol=1e-6, atol=0)
    assert method.uses_clean
    assert not plain.uses_clean


@pytest.mark.parametrize("options", [{"calibration": False}, {"pairs": "one_to_one"}])
def test_a_prior_needs_weights_to_act_on(options):
    with pytest.raises(ValidationError, match="prior 'uniform' is for calibration weights"):
        I2srfTfckdConfig(prior="uniform", **options)
