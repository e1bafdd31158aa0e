"""The STFT against physics, a direct computation, and its promise of exact inversion."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from stillwave.errors import StillwaveError
from stillwave.stft import Stft

STFT = Stft()


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).standard_normal(shape)).float()


def by_hand(x: np.ndarray) -> np.ndarray:
    """Frame by frame, in float64, from the definition."""
    frames = int(np.ceil(len(x) / 256)) + 1
    window = np.sqrt(0.5 - 0.5 * np.cos(2 * np.pi * np.arange(512) / 512))
    padded = np.zeros((frames + 1) * 256)
    padded[256 : 256 + len(x)] = x
    return np.stack([np.fft.rfft(window * padded[256 * t : 256 * t + 512]) for t in range(frames)])


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 5000), st.integers(0, 2**16))
def test_synthesis_inverts_analysis_for_any_length(samples: int, seed: int) -> None:
    x = noise(samples, seed=seed)
    spectrum = STFT.analyse(x)
    assert spectrum.shape == (STFT.frames(samples), 257)
    assert spectrum.dtype == torch.complex64
    y = STFT.synthesise(spectrum, samples)
    assert y.shape == x.shape
    torch.testing.assert_close(y, x, atol=1e-6 * float(x.abs().max()), rtol=0)


@pytest.mark.parametrize("samples", [1, 255, 256, 257, 512, 1000])
def test_equals_a_direct_computation(samples: int) -> None:
    x = noise(samples)
    expected = by_hand(x.numpy().astype(np.float64))
    np.testing.assert_allclose(STFT.analyse(x).numpy(), expected, atol=2e-5)


@pytest.mark.parametrize("shape", [(300,), (2, 300), (2, 3, 300), (2, 3, 1, 300)])
def test_any_leading_dimensions(shape: tuple[int, ...]) -> None:
    x = noise(*shape)
    spectrum = STFT.analyse(x)
    assert spectrum.shape == (*shape[:-1], 3, 257)
    for one, alone in zip(spectrum.reshape(-1, 3, 257), x.reshape(-1, 300), strict=True):
        torch.testing.assert_close(one, STFT.analyse(alone))
    torch.testing.assert_close(STFT.synthesise(spectrum, 300), x, atol=1e-6, rtol=0)


def test_a_pure_tone_stays_in_its_bin() -> None:
    """A cosine in the middle of bin k: half the window's sum there, and the sine window's side lobes around."""
    k, n = 32, torch.arange(512 * 8)
    size = STFT.analyse(torch.cos(2 * torch.pi * k * n / 512))[2:-2].abs()
    window = torch.sin(torch.pi * torch.arange(512, dtype=torch.float64) / 512)
    torch.testing.assert_close(
        size[:, k], torch.full_like(size[:, k], float(window.sum()) / 2), rtol=1e-4, atol=0
    )
    assert (size.argmax(-1) == k).all()
    far = torch.cat([size[:, : k - 8], size[:, k + 9 :]], dim=1)
    assert far.max() < size[:, k].min() * 10 ** (-45 / 20)


def test_a_constant_is_at_zero_frequency() -> None:
    spectrum = STFT.analyse(torch.ones(4096))[1:-1]
    assert (spectrum.abs().argmax(-1) == 0).all()
    assert spectrum[:, 0].imag.abs().max() < 1e-4


def test_silence_is_exactly_silent_both_ways() -> None:
    spectrum = STFT.analyse(torch.zeros(1000))
    assert not spectrum.abs().any()
    assert not STFT.synthesise(spectrum, 1000).any()


def test_linear() -> None:
    x, y = noise(2000), noise(2000, seed=1)
    torch.testing.assert_close(
        STFT.analyse(2 * x - 3 * y), 2 * STFT.analyse(x) - 3 * STFT.analyse(y), atol=1e-4, rtol=0
    )


def test_a_shift_by_one_hop_shifts_the_frames() -> None:
    x = noise(2048)
    shifted = STFT.analyse(torch.cat([torch.zeros(256), x]))
    torch.testing.assert_close(shifted[1:], STFT.analyse(x))


def test_energy_is_kept() -> None:
    """Parseval with windows whose squares sum to one: mean over the full circle of bins = energy in time."""
    x = noise(3000)
    power = STFT.analyse(x).abs().square()
    energy = (2 * power.sum() - power[:, 0].sum() - power[:, -1].sum()) / 512
    torch.testing.assert_close(energy, x.square().sum(), rtol=1e-5, atol=0)


@pytest.mark.parametrize("at", [0, 255, 256, 700, 1999])
def test_a_sample_affects_two_frames_only(at: int) -> None:
    x = torch.zeros(2000)
    x[at] = 1
    seen = STFT.analyse(x).abs().amax(-1).nonzero().flatten().tolist()
    first = at // 256
    assert set(seen) <= {first, first + 1}
    assert seen


def test_gradients_pass_both_ways() -> None:
    small = Stft(8, 4)
    x = noise(11).double().requires_grad_()
    assert torch.autograd.gradcheck(lambda w: small.synthesise(small.analyse(w) * 2, 11), x)


def test_float64_stays_float64() -> None:
    x = noise(1000).double()
    y = STFT.synthesise(STFT.analyse(x), 1000)
    assert y.dtype == torch.float64
    torch.testing.assert_close(y, x, atol=1e-14, rtol=0)


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 64), st.integers(1, 300))
def test_other_sizes_invert_too(hop: int, samples: int) -> None:
    stft = Stft(2 * hop, hop)
    x = noise(samples)
    torch.testing.assert_close(stft.synthesise(stft.analyse(x), samples), x, atol=2e-6, rtol=0)


@pytest.mark.parametrize(("n_fft", "hop"), [(512, 128), (512, 512), (511, 255), (0, 0)])
def test_other_overlaps_are_refused(n_fft: int, hop: int) -> None:
    with pytest.raises(StillwaveError, match=f"n_fft = {n_fft} and hop = {hop}"):
        Stft(n_fft, hop)


def test_an_empty_signal_is_refused() -> None:
    with pytest.raises(StillwaveError, match="empty"):
        STFT.analyse(torch.zeros(2, 0))


@pytest.mark.parametrize(("frames", "bins"), [(4, 257), (5, 256)])
def test_a_spectrum_that_does_not_fit_is_refused(frames: int, bins: int) -> None:
    with pytest.raises(
        StillwaveError, match=rf"1000 samples .*5 frames × 257 bins, got \({frames}, {bins}\)"
    ):
        STFT.synthesise(torch.zeros(frames, bins, dtype=torch.complex64), 1000)


def test_nothing_to_save() -> None:
    assert not STFT.state_dict()
