import math

import pytest
import torch

from stillwave.losses import CompressedSpectrum, EnhancementLoss, MultiResolution, signed_si_sdr
from stillwave.schema import LossConfig

ALL = LossConfig(compressed=1.0, si_sdr=0.01, multi_resolution=0.5)
TERMS = ("compressed", "si_sdr", "multi_resolution")


def noise(*shape, seed=0, level=0.1, dtype=torch.float32):
    return level * torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


@pytest.fixture
def clean():
    return noise(3, 4000)


@pytest.mark.parametrize("term", TERMS)
def test_inverted_polarity_costs_in_each_term(term, clean):
    loss = EnhancementLoss(ALL)
    right, wrong = loss(clean, clean)[term], loss(-clean, clean)[term]
    silent = loss(torch.zeros_like(clean), clean)[term]
    assert right < silent
    assert right < wrong
    if term == "si_sdr":
        assert silent < wrong


@pytest.mark.parametrize("term", TERMS)
def test_the_clean_signal_is_a_minimum(term, clean):
    loss = EnhancementLoss(ALL)
    at_clean = loss(clean, clean)[term]
    for seed in range(1, 6):
        away = clean + noise(3, 4000, seed=seed, level=0.01)
        assert loss(away, clean)[term] > at_clean


def test_values_at_a_perfect_estimate(clean):
    terms = EnhancementLoss(ALL)(clean, clean)
    assert terms["compressed"] == 0
    # 10 log10((4 + 1e-6) / 1e-6) - 20 log10(2) = 60, less what the floor of the mean power takes
    assert terms["si_sdr"].item() == pytest.approx(-60, abs=0.01)
    # sqrt(floor / (power + floor)) with power 0.01 and floor 1e-6
    assert terms["multi_resolution"].item() == pytest.approx(0.01, rel=0.05)


def test_total_is_the_weighted_sum_of_the_enabled_terms(clean):
    estimate = clean + noise(3, 4000, seed=9)
    terms = EnhancementLoss(ALL)(estimate, clean)
    expected = sum(getattr(ALL, name) * terms[name] for name in TERMS)
    torch.testing.assert_close(terms["total"], expected)
    only = EnhancementLoss(LossConfig(compressed=0, si_sdr=2, multi_resolution=0))(estimate, clean)
    assert set(only) == {"si_sdr", "total"}
    torch.testing.assert_close(only["total"], 2 * terms["si_sdr"])


def test_signed_si_sdr_by_hand():
    # Orthogonal zero-mean signals of equal power: e = s + n has rho = 1/sqrt(2).
    s = torch.tensor([[1.0, -1.0, 1.0, -1.0]])
    n = torch.tensor([[1.0, 1.0, -1.0, -1.0]])
    rho = 1 / math.sqrt(2)
    expected = 10 * math.log10((1 + rho) / (1 - rho)) - 20 * math.log10(2)
    assert signed_si_sdr(s + n, s).item() == pytest.approx(expected, abs=1e-4)
    assert signed_si_sdr(n, s).item() == pytest.approx(-20 * math.log10(2), abs=1e-4)
    assert signed_si_sdr(-s, s).item() == pytest.approx(-60 - 40 * math.log10(2), abs=0.01)


@pytest.mark.parametrize("snr_db", [13, 20, 30])
def test_signed_si_sdr_is_si_sdr_for_good_estimates(snr_db):
    s = noise(1, 8000, dtype=torch.float64)
    n = noise(1, 8000, seed=1, dtype=torch.float64)
    s, n = s - s.mean(), n - n.mean()
    n = n - (n * s).sum() / (s * s).sum() * s
    n = n * (s.norm() / n.norm()) * 10 ** (-snr_db / 20)
    assert signed_si_sdr(s + n, s).item() == pytest.approx(snr_db, abs=0.11)


def test_level_behaviour(clean):
    estimate = clean + noise(3, 4000, seed=2, level=0.05)
    before, louder = EnhancementLoss(ALL)(estimate, clean), EnhancementLoss(ALL)(2 * estimate, clean)
    both = EnhancementLoss(ALL)(4 * estimate, 4 * clean)
    torch.testing.assert_close(louder["si_sdr"], before["si_sdr"], atol=1e-3, rtol=0)
    assert louder["compressed"] > before["compressed"]
    assert louder["multi_resolution"] > before["multi_resolution"]
    torch.testing.assert_close(both["si_sdr"], before["si_sdr"], atol=1e-3, rtol=0)
    torch.testing.assert_close(both["multi_resolution"], before["multi_resolution"], rtol=1e-2, atol=0)
    torch.testing.assert_close(both["compressed"], before["compressed"] * 4**0.6, rtol=1e-2, atol=0)


@pytest.mark.parametrize("silent", ["estimate", "clean", "both"])
def test_silence_has_finite_losses_and_gradients(silent, clean):
    estimate = (torch.zeros_like(clean) if silent in ("estimate", "both") else clean.clone()).requires_grad_()
    target = torch.zeros_like(clean) if silent in ("clean", "both") else clean
    terms = EnhancementLoss(ALL)(estimate, target)
    assert all(math.isfinite(value) for value in map(float, terms.values()))
    (gradient,) = torch.autograd.grad(terms["total"], estimate)
    assert torch.isfinite(gradient).all()
    if silent == "both":
        assert (gradient == 0).all()
    if silent in ("clean", "both"):
        assert terms["si_sdr"].item() == pytest.approx(20 * math.log10(2), abs=1e-5)


def test_a_silent_target_gives_si_sdr_no_gradient_but_compressed_one(clean):
    loss = EnhancementLoss(ALL)
    estimate = clean.clone().requires_grad_()
    terms = loss(estimate, torch.zeros_like(clean))
    (by_sdr,) = torch.autograd.grad(terms["si_sdr"], estimate, retain_graph=True)
    (by_spectrum,) = torch.autograd.grad(terms["compressed"], estimate)
    assert by_sdr.abs().max() < 1e-6
    assert (by_spectrum * estimate).sum() > 0, "lowering the level lowers the loss"


def test_gradients_agree_with_finite_differences():
    clean = noise(2, 700, dtype=torch.float64)
    estimate = noise(2, 700, seed=1, dtype=torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(lambda e: signed_si_sdr(e, clean), estimate, fast_mode=True)
    for loss in (CompressedSpectrum(), MultiResolution((64, 128))):
        loss = loss.double()
        assert torch.autograd.gradcheck(lambda e, f=loss: f(e, clean), estimate, fast_mode=True)


def test_compressed_of_a_gain_by_hand(clean):
    # X̂ = g X: every bin's error is (g^c - 1)² |X|^2c in the complex part and in the magnitude part alike.
    at_two = CompressedSpectrum(0.5, 0.7)(2 * clean, clean)
    against_silence = CompressedSpectrum(0.5, 0.0)(torch.zeros_like(clean), clean)
    torch.testing.assert_close(at_two, (2**0.5 - 1) ** 2 * against_silence, rtol=1e-3, atol=0)


def test_losses_of_a_batch_are_the_mean_over_its_examples(clean):
    estimate = clean + noise(3, 4000, seed=3, level=0.05)
    loss = EnhancementLoss(ALL)
    whole = loss(estimate, clean)
    for name in whole:
        single = torch.stack([loss(estimate[i : i + 1], clean[i : i + 1])[name] for i in range(3)])
        torch.testing.assert_close(whole[name], single.mean())


def test_half_precision_inputs_are_computed_in_32_bits(clean):
    terms = EnhancementLoss(ALL)(clean.bfloat16(), clean)
    assert all(value.dtype == torch.float32 for value in terms.values())
