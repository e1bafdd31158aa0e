"""The prober against models whose reach is known by construction, and against planted leaks."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from stillwave.errors import StillwaveError
from stillwave.models import PRESETS, Denoiser, build
from stillwave.profiling.probe import KINDS, Probe, ProbeTarget, ReceptiveField, probe
from stillwave.profiling.targets import of_callable, of_denoiser
from stillwave.schema import ModelConfig
from stillwave.stft import Stft

WINDOW = 510  # a window of 512 samples that is zero at its first one
CAUSAL = [name for name, config in PRESETS.items() if config.causal]


class Net(Denoiser):
    """A mask for each bin, from magnitudes `[B, T, F]`: a causal GRU, and a layer that may leak."""

    def __init__(self, leak: nn.Module | None = None) -> None:
        super().__init__(ModelConfig(), Stft())
        self.gru = nn.GRU(257, 257, batch_first=True)
        self.leak = leak or nn.Identity()

    def estimate(self, spectrum: Tensor) -> Tensor:
        hidden = self.leak(self.gru(spectrum.square().sum(1))[0])
        return spectrum * torch.sigmoid(hidden)[:, None]

    def default_taps(self) -> dict[str, list[str]]:
        return {}


class Normed(nn.Module):
    """One norm over time: the mean of all frames."""

    def forward(self, x: Tensor) -> Tensor:
        return x - x.mean(1, keepdim=True)


class Attended(nn.Module):
    """Attention along time whose mask was forgotten."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.MultiheadAttention(257, 1, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = x + self.inner(x, x, x)[0]
        return y


class Tap(nn.Module):
    """One frame of the future, in the bins given, at a level of 1e-6."""

    def __init__(self, frames: int = 1, bins: slice = slice(None)) -> None:
        super().__init__()
        self.frames, self.bins = frames, bins

    def forward(self, x: Tensor) -> Tensor:
        later = nn.functional.pad(x, (0, 0, 0, self.frames))[:, self.frames :]
        y = x.clone()
        y[:, :, self.bins] += 1e-6 * later[:, :, self.bins]
        return y


def look(model: Denoiser, seconds: float = 1.0, kinds: tuple[str, ...] = ("noise", "sample")) -> Probe:
    return probe(of_denoiser(model), seconds, kinds=kinds)


def later(samples: int, level: float = 1.0):
    """y(n) = x(n) + level · x(n + samples)."""

    def call(x: Tensor) -> Tensor:
        return x + level * nn.functional.pad(x, (0, samples))[..., samples:]

    return call


@pytest.mark.parametrize("preset", CAUSAL)
def test_causal_presets_have_a_look_ahead_of_one_window(preset: str) -> None:
    torch.manual_seed(0)
    model = build(PRESETS[preset])
    found = look(model, 0.2)
    window = model.stft.n_fft - 2
    assert found.future == window
    assert found.frames_ahead == 0
    assert set(found.by_kind["future"].values()) == {window}
    assert not found.keeps_state
    assert found.repeatable


@pytest.mark.parametrize(
    ("preset", "norm"),
    [("dpdcrn-xs", "frame"), ("dpdcrn-xs", "running"), ("dpdcrn-xs", "batch"), ("bsrnn-xs", "frame")],
)
def test_no_causal_norm_has_look_ahead(preset: str, norm: str) -> None:
    torch.manual_seed(0)
    found = look(build(PRESETS[preset].model_copy(update={"norm": norm})), 0.5, KINDS)
    assert {kind: reach for kind, reach in found.by_kind["future"].items() if reach != WINDOW} == {}
    assert set(found.by_kind["future"]) == set(KINDS)


def test_the_teacher_needs_the_whole_signal() -> None:
    torch.manual_seed(0)
    found = look(build(ModelConfig(channels=8)), 0.5)
    assert (found.past, found.future, found.frames_ahead) == (None, None, None)


@pytest.mark.parametrize("leak", [Normed(), Attended()], ids=["a norm over time", "attention without a mask"])
def test_it_finds_a_layer_over_the_whole_signal(leak: nn.Module) -> None:
    torch.manual_seed(0)
    assert look(Net()).future == WINDOW
    assert look(Net(leak)).future is None


@pytest.mark.parametrize("frames", [1, 7])
def test_it_finds_a_single_future_tap_and_counts_its_frames(frames: int) -> None:
    torch.manual_seed(0)
    found = look(Net(Tap(frames)))
    assert found.future == WINDOW + 256 * frames
    assert found.frames_ahead == frames


def test_it_finds_a_leak_at_one_bin() -> None:
    torch.manual_seed(0)
    assert look(Net(Tap(3, slice(200, 201)))).frames_ahead == 3


@pytest.mark.parametrize("samples", [17_000, 24_321])
def test_it_finds_a_leak_that_begins_later_than_a_second_ahead(samples: int) -> None:
    found = probe(of_callable(later(samples, 1e-5), "leaky"), 2.0)
    assert found.future == samples
    assert found.past == 0


def test_it_finds_dependence_behind_a_limiter() -> None:
    def clipped(x: Tensor) -> Tensor:
        return x + (nn.functional.pad(x, (0, 900))[..., 900:] - 50).clamp(min=0)

    found = probe(of_callable(clipped, "clipped"), 1.0)
    assert found.by_kind["future"]["noise"] == 0
    assert 880 < (found.future or 0) <= 900  # the sample that happened to be loud enough


def test_it_finds_dependence_on_the_length() -> None:
    found = probe(of_callable(lambda x: x / x.shape[-1], "length"), 1.0)
    assert found.by_kind["future"] == {"noise": 0, "loud": 0, "silence": 0, "sample": 0, "cut": None}
    assert found.future is None


@pytest.mark.parametrize("hop", [1, 10, 160, 480, 1000])
def test_the_longest_look_ahead_is_found_for_any_hop(hop: int) -> None:
    """Blocks of `hop` samples, each divided by its own energy: the first sample sees the last."""

    def blocks(x: Tensor) -> Tensor:
        short = -x.shape[-1] % hop
        parts = nn.functional.pad(x, (0, short)).reshape(-1, hop)
        return (parts / (1 + parts.square().sum(1, keepdim=True))).reshape(1, -1)[:, : x.shape[-1]]

    found = probe(of_callable(blocks, "blocks"), 0.5, kinds=("noise", "sample"))
    assert (found.past, found.future) == (hop - 1, hop - 1)


def test_a_delay_is_a_negative_look_ahead() -> None:
    found = probe(of_callable(lambda x: nn.functional.pad(x, (100, 0))[..., :-100], "delay"), 0.5)
    assert (found.past, found.future) == (100, -100)


def test_state_kept_between_calls_is_reported() -> None:
    class Remembering(nn.Module):
        last: Tensor | None = None

        def forward(self, x: Tensor) -> Tensor:
            y = x if self.last is None else x + self.last
            self.last = x[..., -1:]
            return y

    found = probe(of_callable(Remembering(), "remembering"), 0.5)
    assert found.keeps_state
    assert found.repeatable
    assert (found.past, found.future) == (0, 0)


def test_a_module_is_probed_in_evaluation_mode() -> None:
    found = probe(of_callable(nn.Sequential(nn.Dropout(0.5)), "dropout"), 0.5)
    assert (found.future, found.keeps_state, found.repeatable) == (0, False, True)


def test_small_randomness_is_reported_and_large_is_refused() -> None:
    found = probe(of_callable(lambda x: x + 1e-7 * torch.randn_like(x), "noisy"), 0.5, kinds=("noise",))
    assert not found.repeatable
    assert not found.keeps_state
    assert abs(found.future or 0) < 10
    with pytest.raises(StillwaveError, match=r"very noisy: .*differs"):
        probe(of_callable(lambda x: x + 0.1 * torch.randn_like(x), "very noisy"), 0.5)


def test_several_microphones() -> None:
    torch.manual_seed(0)
    model = build(PRESETS["dpdcrn-xs"].model_copy(update={"microphones": 2}))
    assert look(model, 0.3).future == WINDOW


def test_milliseconds_follow_the_rate_and_json_holds_both() -> None:
    class Fast(nn.Module):
        sample_rate = 48_000

        def forward(self, x: Tensor) -> Tensor:
            return later(480)(x)

    found = probe(of_callable(Fast(), "fast"), 0.25)
    plain = found.as_dict()
    assert plain["lookahead"] == {"samples": 480, "ms": 10.0}
    assert plain["past"] == {"samples": 0, "ms": 0.0}
    assert plain["sample_rate"] == 48_000
    assert math.isclose(found.seconds, 0.25)


def test_progress_is_counted_up() -> None:
    seen: list[tuple[int, int]] = []
    probe(of_callable(nn.Identity(), "same"), 0.3, progress=lambda done, total: seen.append((done, total)))
    assert [done for done, _ in seen] == list(range(1, len(seen) + 1))
    assert all(done <= total for done, total in seen)


def test_a_model_that_gives_nan_for_the_loud_counts_as_changed() -> None:
    def fragile(noisy: np.ndarray) -> np.ndarray:
        shifted = np.append(noisy[0, 5:], np.zeros(5))
        return np.where(np.abs(shifted) > 50, np.nan, noisy[0])

    found = probe(ProbeTarget("fragile", lambda: fragile), 0.3)
    assert found.future == 5
    assert ReceptiveField(0, 5) == ReceptiveField(past=found.past, future=found.future)
