"""The parts of causal networks by hand, and their gradients."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.autograd import gradcheck
from torch.nn import functional

from stillwave.models.bsrnn import BandLinear, band_widths
from stillwave.models.layers import Attention, UnidirectionalGRU
from stillwave.models.norms import MEMORY_FRAMES, FrameNorm, RunningNorm, decaying_sums, make_norm
from stillwave.models.streaming import streaming


def noise(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


class TestRunningNorm:
    @pytest.mark.parametrize(("channels", "groups"), [(4, 4), (4, 1), (6, 2)])
    def test_against_a_loop(self, channels: int, groups: int) -> None:
        """M_t = Σ_s a^(t−s) μ_s / Σ_s a^(t−s), frame by frame and group by group."""
        norm, x = RunningNorm(channels, groups).double(), noise(2, channels, 40, 5)
        nn.init.normal_(norm.weight)
        nn.init.normal_(norm.bias)
        a, size = math.exp(-1 / MEMORY_FRAMES), channels // groups
        y = norm(x).detach()
        for b, g in itertools.product(range(2), range(groups)):
            own = slice(g * size, (g + 1) * size)
            mean = power = weight = 0.0
            for t in range(40):
                frame = x[b, own, t]
                mean = a * mean + float(frame.mean())
                power = a * power + float(frame.square().mean())
                weight = a * weight + 1
                m, q = mean / weight, power / weight
                expected = (frame - m) / math.sqrt(q - m * m + norm.eps)
                expected = expected * norm.weight[own, None].detach() + norm.bias[own, None].detach()
                torch.testing.assert_close(y[b, own, t], expected, atol=1e-10, rtol=0)

    def test_the_first_frame_has_its_own_statistics(self) -> None:
        y = RunningNorm(3, 1).double()(5 + 100 * noise(1, 3, 4, 7))
        assert abs(y[:, :, 0].detach().mean().item()) < 1e-9
        assert float(y[:, :, 0].detach().square().mean()) == pytest.approx(1, abs=1e-6)

    def test_a_second_ago_weighs_one_over_e(self) -> None:
        """An impulse in frame 0 of silence: its share of the mean falls as a^t / Σ a^s."""
        norm = RunningNorm(1, 1, eps=1.0).double()
        x = torch.zeros(1, 1, 63, 2, dtype=torch.float64)
        x[:, :, 0] = 1
        sums = decaying_sums(x.mean((1, 3))[:, None], norm.decay, norm.memory)
        assert float(sums[0, 0, 62]) == pytest.approx(math.exp(-62 / 62.5))
        with torch.no_grad():
            assert norm(x)[0, 0, 1:].abs().max() < 1

    @torch.no_grad()
    def test_very_many_frames_do_not_add_up(self) -> None:
        norm = RunningNorm(2, 1)
        with streaming(nn.Sequential(norm)):
            for _ in range(300):
                last = norm(1 + noise(1, 2, 500, 3, dtype=torch.float32))
            assert norm.memory.held is not None
            assert float(norm.memory.held[0, -1]) == pytest.approx(1 / (1 - norm.decay), rel=1e-4)
        assert torch.isfinite(last).all()

    def test_its_gradient(self) -> None:
        norm = RunningNorm(4, 2).double()
        assert gradcheck(norm, (noise(2, 4, 5, 3).requires_grad_(),))


class TestFrameNorm:
    def test_by_hand(self) -> None:
        """Values 1, 3 | 5, 7 in one frame: mean 4, variance 5."""
        norm = FrameNorm(2, eps=0.0).double()
        with torch.no_grad():
            norm.weight.copy_(torch.tensor([2.0, 1.0]))
            norm.bias.copy_(torch.tensor([0.0, 10.0]))
        x = torch.tensor([[[[1.0, 3.0]], [[5.0, 7.0]]]], dtype=torch.float64)
        root = math.sqrt(5)
        expected = torch.tensor(
            [[[[-6 / root, -2 / root]], [[10 + 1 / root, 10 + 3 / root]]]], dtype=torch.float64
        )
        torch.testing.assert_close(norm(x), expected)

    def test_frames_know_nothing_of_each_other(self) -> None:
        norm, x = FrameNorm(3), noise(2, 3, 6, 4, dtype=torch.float32)
        each = torch.cat([norm(x[:, :, t : t + 1]) for t in range(6)], dim=2)
        torch.testing.assert_close(norm(x), each)
        scaled = x * torch.rand(1, 1, 6, 1).add(1)
        torch.testing.assert_close(norm(scaled), norm(x), atol=1e-4, rtol=0)  # level, too, is forgotten

    def test_its_gradient(self) -> None:
        assert gradcheck(FrameNorm(3).double(), (noise(2, 3, 2, 4).requires_grad_(),))

    def test_silence_is_finite(self) -> None:
        for kind in ("frame", "running", "batch"):
            x = torch.zeros(1, 4, 5, 3, requires_grad=True)
            y = make_norm(kind, 4, shared=True)(x)
            y.sum().backward()
            assert torch.isfinite(y).all()
            assert x.grad is not None
            assert torch.isfinite(x.grad).all()


class TestAttention:
    @pytest.mark.parametrize("past", [2, 5, 30])
    def test_against_a_loop(self, past: int) -> None:
        """Each query looks at itself and the past − 1 before it; before the start, keys and values are zeros."""
        torch.manual_seed(0)
        attention, x = Attention(8, past, heads=2).double(), noise(2, 3, 11, 8)
        nn.init.normal_(attention.input.bias)  # which the zeros before the start do not have
        y = attention(x)
        for b, s, t in itertools.product(range(2), range(3), range(11)):
            mixed = []
            for h in range(2):
                q, k, v = (attention.input(x[b, s]).view(11, 3, 2, 4)[:, part, h] for part in range(3))
                seen = [(k[j], v[j]) if j >= 0 else (0 * k[0], 0 * v[0]) for j in range(t - past + 1, t + 1)]
                weights = torch.softmax(torch.stack([q[t] @ key / 2 for key, _ in seen]), 0)
                mixed.append(sum(w * value for w, (_, value) in zip(weights, seen, strict=True)))
            torch.testing.assert_close(y[b, s, t], attention.output(torch.cat(mixed)), atol=1e-12, rtol=0)

    def test_sequences_and_examples_do_not_mix(self) -> None:
        torch.manual_seed(0)
        attention, x = Attention(8, 4).double(), noise(2, 3, 9, 8)
        changed = x.clone()
        changed[1, 2] += 1
        same = (attention(x) == attention(changed)).all(dim=(2, 3))
        assert same.tolist() == [[True] * 3, [True, True, False]]

    def test_its_gradient(self) -> None:
        torch.manual_seed(0)
        assert gradcheck(Attention(4, 3, heads=2).double(), (noise(1, 2, 5, 4).requires_grad_(),))


def test_a_gru_in_blocks_by_hand() -> None:
    torch.manual_seed(0)
    gru, x = UnidirectionalGRU(3, 5).double(), noise(2, 4, 7, 3)
    expected = torch.stack([nn.GRU.forward(gru, x[:, s])[0] for s in range(4)], dim=1)
    torch.testing.assert_close(gru(x), expected)
    with streaming(nn.Sequential(gru)):
        torch.testing.assert_close(
            torch.cat([gru(part) for part in x.split([1, 4, 2], dim=2)], dim=2), expected
        )


class TestBands:
    @settings(max_examples=30, deadline=None, derandomize=True)
    @given(
        sizes=st.lists(st.integers(1, 6), min_size=1, max_size=6),
        channels=st.integers(1, 5),
        inward=st.booleans(),
    )
    def test_a_linear_layer_for_each_band(self, sizes: list[int], channels: int, inward: bool) -> None:
        layer = BandLinear(sizes, channels, inward=inward).double()
        nn.init.normal_(layer.bias)
        x = noise(2, 3, sum(sizes)) if inward else noise(2, 3, len(sizes), channels)
        weights = layer.weight.split(sizes)
        if inward:
            pairs = zip(x.split(sizes, dim=2), weights, layer.bias, strict=True)
            expected = torch.stack([functional.linear(part, w.T, b) for part, w, b in pairs], dim=2)
        else:
            triples = zip(x.unbind(2), weights, layer.bias.split(sizes), strict=True)
            expected = torch.cat([functional.linear(part, w, b) for part, w, b in triples], dim=2)
        torch.testing.assert_close(layer(x), expected, atol=1e-12, rtol=0)

    @pytest.mark.parametrize("inward", [True, False])
    def test_their_gradients(self, inward: bool) -> None:
        layer = BandLinear([1, 3, 2], 2, inward=inward).double()
        x = noise(1, 2, 6) if inward else noise(1, 2, 3, 2)

        def call(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
            return torch.func.functional_call(layer, {"weight": weight, "bias": bias}, (x,))

        inputs = (x, layer.weight.detach().clone(), layer.bias.detach().clone())
        assert gradcheck(call, tuple(tensor.requires_grad_() for tensor in inputs))

    @settings(max_examples=200, deadline=None, derandomize=True)
    @given(bands=st.integers(8, 64), bins=st.sampled_from([129, 161, 257, 321, 481, 513, 1025]))
    def test_widths(self, bands: int, bins: int) -> None:
        """They fill the spectrum, hold two bins at least, and widen, but for rounding and the last band."""
        widths = band_widths(bins, bands)
        assert sum(widths) == bins
        assert len(widths) == bands
        assert min(widths) >= 2
        assert all(b >= a - 1 for a, b in itertools.pairwise(widths[:-1]))
        assert widths[-1] >= widths[0]

    def test_bands_are_as_wide_as_hearings(self) -> None:
        """Above the two-bin floor, a band of 28 spans (21.4 · lg(1 + 0.00437 · 8000)) / 28 = 1.19 ERB."""
        widths, low = band_widths(257, 28), 0
        for width in widths:
            edges = [low / 257 * 8000, (low + width) / 257 * 8000]
            rate = [21.4 * math.log10(1 + 0.00437 * hz) for hz in edges]
            if width > 4:
                assert rate[1] - rate[0] == pytest.approx(1.19, rel=0.2)
            low += width
