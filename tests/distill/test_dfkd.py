import math

import pytest
import torch

from stillwave.distill import BatchInputs, DistillError, ModelOutputs, Shapes
from stillwave.distill.methods.dfkd import Dfkd, crossover
from stillwave.schema import LossConfig
from stillwave.schema.methods import DfkdConfig


def method(compression=0.3, **options):
    return Dfkd.build(DfkdConfig(**options), Shapes(1, {}, {}, LossConfig(compression=compression)))


def losses(built, student, teacher):
    return built.losses(ModelOutputs({}, student), ModelOutputs({}, teacher), BatchInputs(teacher))


def noise(seed, *size):
    return 0.1 * torch.randn(*size, generator=torch.Generator().manual_seed(seed))


def below(waveform, hertz):
    """Without what lies above."""
    spectrum = torch.fft.rfft(waveform)
    cut = round(hertz * waveform.shape[-1] / 16_000)
    spectrum[..., cut:] *= 1e-3
    return torch.fft.irfft(spectrum, n=waveform.shape[-1])


# --- the crossover -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("bin_of", [20, 64, 150])
def test_the_crossover_is_where_the_spectrum_falls(bin_of):
    """A step of one bin becomes five equal ones by the smoothing: the first of them is the middle less two."""
    powers = torch.ones(1, 3, 257)
    powers[..., bin_of:] = 1e-4
    found = crossover(powers, 31.25).item()
    assert bin_of - 3 <= found <= bin_of + 2


@pytest.mark.parametrize("hertz", [1000, 3000, 5000])
def test_each_example_has_its_own_crossover(hertz):
    x = torch.cat([below(noise(0, 1, 16_000), hertz), below(noise(1, 1, 16_000), 2000)])
    built = method()
    found = crossover(built.stft.analyse(x).abs().square(), 31.25) * 31.25
    assert found[0].item() == pytest.approx(hertz, abs=120)
    assert found[1].item() == pytest.approx(2000, abs=120)


def test_the_crossover_is_between_500_hz_and_6_khz():
    powers = torch.ones(1, 1, 257)
    powers[..., 5:] = 1e-2  # a fall at 156 Hz
    powers[..., 230:] = 1e-6  # and one at 7.2 kHz
    powers[..., 100:] *= 0.9
    found = crossover(powers, 31.25).item()
    assert 95 <= found <= 102


# --- the losses --------------------------------------------------------------------------------------------


def test_level_and_direction_count_below_the_crossover():
    """The student at twice the teacher's level: cosine 1, (log 2)². Inverted: cosine −1, so 2."""
    x = noise(2, 1, 8000)
    built = method()
    assert losses(built, 2 * x, x)["low"].item() == pytest.approx(math.log(2) ** 2, rel=1e-3)
    assert losses(built, -x, x)["low"].item() == pytest.approx(2, rel=1e-3)
    assert losses(built, x, x)["low"].abs() < 1e-6


def test_hand_worked_value_above_the_crossover():
    """Uncompressed and fixed at 4 kHz: mean |Re| + |Im| of a silent student's error is the teacher's own."""
    x = noise(3, 1, 4000)
    built = method(compression=1.0, crossover="fixed", fixed_hz=4000, high=3.0)
    spectrum = built.stft.analyse(x)[..., 128:]
    expected = 3 * (spectrum.real.abs() + spectrum.imag.abs()).mean()
    torch.testing.assert_close(losses(built, 0 * x, x)["high"], expected)
    half = losses(built, x / 2, x)["high"]
    torch.testing.assert_close(half, expected / 2)


def test_a_band_depends_on_its_own_errors_only():
    built = method(crossover="fixed", fixed_hz=4000)
    low, high = (torch.sin(2 * math.pi * f * torch.arange(8000) / 16_000)[None] for f in (1000, 7000))
    x = noise(4, 1, 8000)
    plain = losses(built, x, x)
    changed = losses(built, x + 0.1 * low, x)
    assert changed["low"] > 0.1
    assert changed["high"] - plain["high"] < 0.05
    changed = losses(built, x + 0.1 * high, x)
    assert changed["low"] < 1e-3
    assert changed["high"] > 0.05


def test_silent_teacher_frames_are_excluded_below_the_crossover():
    x = noise(5, 1, 8000)
    x[:, 4000:] = 0
    wrong = x.clone()
    wrong[:, 5000:] = 0.1
    assert losses(method(), wrong, x)["low"] < 1e-6
    assert losses(method(), wrong, x)["high"] > 1e-3


@pytest.mark.parametrize(("band", "inside", "outside"), [("low", 1750, 2250), ("high", 2250, 1750)])
@pytest.mark.parametrize("fall", [1000, 5000])
def test_a_fixed_crossover_does_not_depend_on_the_example(band, inside, outside, fall):
    """The teacher's spectrum falls at 1 or 5 kHz; a tone changes the loss of the band on its side of 2 kHz."""
    x = below(noise(0, 1, 16_000), fall)
    changed = {}
    for hertz in (inside, outside):
        tone = 0.1 * torch.sin(2 * math.pi * hertz * torch.arange(16_000) / 16_000)
        changed[hertz] = losses(method(crossover="fixed", fixed_hz=2000), x + tone, x)[band].item()
    assert changed[inside] > 1.4 * changed[outside]


def test_a_fixed_crossover_must_be_below_the_highest_frequency():
    with pytest.raises(DistillError, match="fixed_hz is 8000"):
        method(crossover="fixed", fixed_hz=8000)


@pytest.mark.parametrize("silent", ["student", "teacher", "both"])
def test_silence_is_finite(silent):
    signals = {n: noise(i, 2, 2000) for i, n in enumerate(("student", "teacher"))}
    for name in signals if silent == "both" else [silent]:
        signals[name] = 0 * signals[name]
    signals["student"].requires_grad_()
    total = sum(losses(method(), **signals).values())
    total.backward()
    assert total.isfinite()
    assert signals["student"].grad.abs().max() < 1e4
    if silent == "both":
        assert total == 0


def test_the_crossover_carries_no_gradient_and_the_rest_a_right_one():
    student, teacher = noise(6, 2, 1, 400).double()
    built = method().double()

    def total(x):
        return sum(losses(built, x, teacher).values())

    assert torch.autograd.gradcheck(total, (student.requires_grad_(),), fast_mode=True, atol=1e-4)
