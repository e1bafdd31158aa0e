import numpy as np
import pytest
import torch

from stillwave.losses import EnhancementLoss
from stillwave.perceptual import PerceptualDistance, bark, hearing_threshold, hertz
from stillwave.schema import LossConfig

RATE = 16_000


def speechlike(seed=0, seconds=1.5):
    """[1, N]: harmonics of a moving pitch under a slow envelope with pauses."""
    rng = np.random.default_rng(seed)
    t = np.arange(int(seconds * RATE)) / RATE
    pitch = 120 + 60 * rng.random() + 20 * np.sin(2 * np.pi * 2.1 * t + rng.random())
    phase = 2 * np.pi * np.cumsum(pitch) / RATE
    voice = sum(np.sin(k * phase) / k for k in range(1, 30))
    envelope = np.clip(np.sin(2 * np.pi * 1.7 * t + rng.random()), 0, 1) ** 2
    return torch.from_numpy(0.1 * voice * envelope + 1e-4 * rng.standard_normal(len(t))).float()[None]


def noise(like, seed=9, level=0.02):
    return level * torch.randn(like.shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def distance():
    return PerceptualDistance()


def test_equal_signals_lose_nothing_and_noise_loses_more_the_louder_it_is(distance):
    clean = speechlike()
    lost = [distance(clean + noise(clean, level=level), clean).item() for level in (0, 1e-3, 1e-2, 1e-1)]
    assert 0 <= lost[0] < 1e-3
    assert lost == sorted(lost)
    assert lost[3] > 2


def test_neither_level_nor_polarity_is_seen(distance):
    clean = speechlike()
    estimate = clean + noise(clean)
    expected = distance(estimate, clean)
    for gain in (-1.0, 0.1, 5.0):
        torch.testing.assert_close(distance(gain * estimate, clean), expected, rtol=2e-3, atol=0)


def test_what_is_added_costs_more_than_what_is_lost(distance):
    """The asymmetry of P.862, with bursts of noise, which no constant filter explains."""
    clean = speechlike()
    bursts = noise(clean) * (torch.arange(clean.shape[1]) % 8000 < 800)
    assert distance(clean + bursts, clean) > 1.2 * distance(clean, clean + bursts)


def test_what_cannot_be_heard_costs_nothing(distance):
    """A tone at 7 kHz, 75 dB below the speech, is under the threshold of hearing."""
    clean = speechlike()
    tone = torch.sin(2 * torch.pi * 7000 / RATE * torch.arange(clean.shape[1]))[None]
    faint = tone * clean.square().mean().sqrt() * 10 ** (-75 / 20)
    assert distance(clean + faint, clean) < distance(clean, clean) + 5e-3


def test_it_orders_as_pesq_does(distance):
    """Over voices and levels of noise, white and low-passed: the rank correlation with the library's score."""
    pesq = pytest.importorskip("pesq")
    stats = pytest.importorskip("scipy.stats")
    ours, theirs = [], []
    for seed in range(3):
        clean = speechlike(seed)
        for level in (3e-3, 1e-2, 4e-2):
            white = noise(clean, seed=seed, level=level)
            low = torch.nn.functional.avg_pool1d(white[None], 15, 1, 7)[0] * 3
            for dirt in (white, low):
                estimate = clean + dirt
                ours.append(-distance(estimate, clean).item())
                theirs.append(pesq.pesq(RATE, clean[0].numpy(), estimate[0].numpy(), "wb"))
    assert stats.spearmanr(ours, theirs)[0] > 0.85


@pytest.mark.parametrize("silent", ["estimate", "clean", "both"])
def test_silence_is_finite_and_so_is_its_gradient(distance, silent):
    clean = speechlike()
    estimate = (torch.zeros_like(clean) if silent != "clean" else clean.clone()).requires_grad_()
    lost = distance(estimate, torch.zeros_like(clean) if silent != "estimate" else clean)
    (gradient,) = torch.autograd.grad(lost.sum(), estimate)
    assert torch.isfinite(lost).all()
    assert torch.isfinite(gradient).all()


def test_gradient_agrees_with_finite_differences():
    distance = PerceptualDistance().double()
    clean = speechlike(seconds=0.2).double()
    estimate = (clean + noise(clean).double()).requires_grad_()
    (gradient,) = torch.autograd.grad(distance(estimate, clean).sum(), estimate)
    for seed in range(3):
        way = noise(clean, seed=seed, level=1.0).double()
        step = 1e-7 * way
        with torch.no_grad():
            rise = distance(estimate + step, clean) - distance(estimate - step, clean)
        assert rise.item() / 2e-7 == pytest.approx((gradient * way).sum().item(), rel=1e-3, abs=1e-4)


def test_short_signals_and_a_descent(distance):
    clean = speechlike()
    assert torch.isfinite(distance(clean[:, :1], clean[:, :1])).all()
    dirt = noise(clean).requires_grad_()
    before = distance(clean + dirt, clean)
    (gradient,) = torch.autograd.grad(before.sum(), dirt)
    after = distance(clean + dirt - 0.05 * gradient / gradient.norm(), clean)
    assert after < before


def test_scales():
    hz = torch.tensor([100.0, 1000.0, 4000.0, 7000.0])
    torch.testing.assert_close(hertz(bark(hz)), hz, rtol=1e-4, atol=0.1)
    # Traunmüller's formula and Zwicker's table agree within 0.2 Bark: 1 kHz is 8.5, 4 kHz 17.
    assert bark(hz)[1].item() == pytest.approx(8.5, abs=0.2)
    assert bark(hz)[2].item() == pytest.approx(17.4, abs=0.3)
    threshold = hearing_threshold(hz)
    assert threshold[2] < threshold[1] < threshold[0], "we hear best near 3 to 4 kHz"


def test_as_a_term_of_the_loss():
    clean = speechlike()
    estimate = clean + noise(clean)
    terms = EnhancementLoss(LossConfig(perceptual=0.5))(estimate, clean)
    torch.testing.assert_close(terms["perceptual"], PerceptualDistance()(estimate, clean).mean())
    expected = terms["compressed"] + 0.01 * terms["si_sdr"] + 0.5 * terms["perceptual"]
    torch.testing.assert_close(terms["total"], expected)
    assert "perceptual" not in EnhancementLoss(LossConfig())(estimate, clean)
