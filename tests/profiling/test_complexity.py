"""Costs against hand-worked sums and the paper's figures; reach against networks whose reach is known."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from stillwave.models import DPDCRN, PRESETS, Denoiser, build
from stillwave.profiling.complexity import count_macs, measure, receptive_field
from stillwave.schema import ModelConfig
from stillwave.stft import Stft

FRAMES_63 = 62 * 256


class Toy(Denoiser):
    """A denoiser whose mask is one given layer of the magnitudes `[B, T, F]`."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__(ModelConfig(), Stft())
        self.layer = layer

    def estimate(self, spectrum: Tensor) -> Tensor:
        mask = self.layer(spectrum.square().sum(1))
        return spectrum * (mask[0] if isinstance(mask, tuple) else mask)[:, None]

    def default_taps(self) -> dict[str, list[str]]:
        return {}


@pytest.mark.parametrize(("preset", "giga"), [("dpdcrn-teacher", 13.26), ("dpdcrn-student", 2.42)])
def test_the_papers_macs(preset: str, giga: float) -> None:
    total = sum(count_macs(build(PRESETS[preset]), FRAMES_63).values()) / 1e9
    assert round(total, 2) == giga


def test_a_dense_layer_by_hand() -> None:
    assert count_macs(Toy(nn.Linear(257, 257)), FRAMES_63) == {"linear": 63 * 257 * 257}


@pytest.mark.parametrize("bidirectional", [False, True])
def test_a_gru_by_hand(bidirectional: bool) -> None:
    """Three gates, each with an input product (257 × 257) and a hidden one; then the sum of both directions."""
    gru = nn.GRU(257, 257, batch_first=True, bidirectional=bidirectional)
    layer = nn.Sequential(gru, First(), nn.Linear(514, 257)) if bidirectional else gru
    macs = count_macs(Toy(layer), FRAMES_63)
    assert macs["recurrent"] == (2 if bidirectional else 1) * 63 * 3 * (257 * 257 + 257 * 257)


class First(nn.Module):
    def forward(self, pair: tuple[Tensor, Tensor]) -> Tensor:
        return pair[0]


class Attended(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.MultiheadAttention(257, 1, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.inner(x, x, x)[0]
        return y


def test_attention_by_hand() -> None:
    """Four projections and two products, of queries with keys and of weights with values."""
    expected = 63 * 4 * 257 * 257 + 2 * 63 * 63 * 257
    assert count_macs(Toy(Attended()), FRAMES_63) == {"attention": expected}


class OverTime(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv1d(257, 257, 3, groups=257)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.conv(nn.functional.pad(x.mT, (2, 0))).mT
        return y


def test_a_grouped_convolution_by_hand() -> None:
    assert count_macs(Toy(OverTime()), FRAMES_63) == {"convolution": 63 * 257 * 3}


def test_dpdcrns_parts_by_hand() -> None:
    """C = 8 and one block, from the table of the method: convolutions by output bins, sequences of C/2 = 4."""
    T, C, H = 63, 8, 4
    dense = 2 * sum((k + 1) * C * C * 6 * 64 for k in range(4))
    ends = 2 * C * 3 * 129 + C * C * 3 * 64 + C * C * 3 * 64 + C * 2 * 3 * 129  # transposed: by input bins
    middle = 2 * C * H * 64
    macs = count_macs(DPDCRN(ModelConfig(channels=C)), FRAMES_63)
    assert macs["convolution"] == T * (dense + ends + middle)
    assert macs["recurrent"] == 3 * T * 64 * 3 * 2 * H * (H + 2 * H)
    assert macs["linear"] == 3 * T * 64 * 2 * H * H
    assert macs["attention"] == 2 * T * 64 * 4 * H * H + 2 * T * 64 * (64 + T) * H
    assert set(macs) == {"convolution", "recurrent", "linear", "attention"}


def test_a_product_outside_of_any_layer_is_listed_as_other() -> None:
    class Product(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x @ x.new_ones(257, 257)

    assert count_macs(Toy(Product()), FRAMES_63) == {"other": 63 * 257 * 257}


def test_dpdcrn_needs_the_whole_signal() -> None:
    field = receptive_field(DPDCRN(ModelConfig(channels=8)), 8000)
    assert (field.past, field.future) == (None, None)


def test_a_network_of_single_frames_reaches_one_window() -> None:
    """Two samples are related if one frame holds both: at most 511 samples apart, either way."""
    field = receptive_field(Toy(nn.Sigmoid()), 8000)
    assert field.past is not None
    assert field.future is not None
    assert 256 <= field.past <= 511
    assert 256 <= field.future <= 511


def test_a_convolution_over_past_frames_adds_their_hops_to_the_past_alone() -> None:
    torch.manual_seed(0)
    alone, past = receptive_field(Toy(nn.Sigmoid()), 8000), receptive_field(Toy(OverTime()), 8000)
    assert alone.past is not None
    assert past.past == alone.past + 2 * 256
    assert past.future == alone.future


def test_a_gru_has_unlimited_past_and_no_look_ahead() -> None:
    torch.manual_seed(0)
    field = receptive_field(Toy(nn.GRU(257, 257, batch_first=True)), 8000)
    assert field.past is None
    assert field.future is not None
    assert field.future <= 511


def test_measure_leaves_the_model_as_it_was() -> None:
    model = DPDCRN(ModelConfig(channels=8, microphones=2)).train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    complexity = measure(model, 0.5)
    assert model.training
    assert all(
        torch.equal(before[n], v) and v.dtype == before[n].dtype for n, v in model.state_dict().items()
    )
    assert complexity.parameters == sum(p.numel() for p in model.parameters())
    assert complexity.size_bytes == 4 * complexity.parameters
    per_pass = sum(count_macs(model, 8000).values())
    assert complexity.total_macs == pytest.approx(2 * per_pass)
