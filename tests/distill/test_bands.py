"""The frequency stream of the flagship: bands, their similarities and their loss."""

import math
import re

import pytest
import torch
import toys

from stillwave.distill import DistillError
from stillwave.distill.bands import Bands, edges, pooling, profile
from stillwave.distill.similarity import distribution, jeffreys
from stillwave.stft import Stft

SCALES = pytest.mark.parametrize("scale", ["linear", "erb"])
HALF = 8000


def random(*size, seed=0):
    return torch.randn(*size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


# --- bands -------------------------------------------------------------------------------------------------


@SCALES
@pytest.mark.parametrize(("count", "coarsest"), [(2, 2), (4, 4), (5, 64), (32, 64), (64, 64), (32, 257)])
def test_bands_cover_all_frequencies_and_are_a_bin_wide_at_least(scale, count, coarsest):
    found = torch.tensor(edges(count, scale, coarsest), dtype=torch.float64)
    assert len(found) == count + 1
    assert found[0] == 0
    assert found[-1].item() == pytest.approx(1, abs=1e-9)
    assert found.diff().min() > 1 / coarsest - 1e-9


def test_erb_bands_are_narrow_below_and_equal_on_the_erb_scale():
    hertz = [HALF * edge for edge in edges(8, "erb", 257)]
    steps = torch.tensor([21.4 * math.log10(1 + 0.00437 * f) for f in hertz]).diff()
    torch.testing.assert_close(steps, torch.full((8,), 33.28 / 8), atol=0.01, rtol=0)
    assert torch.tensor(hertz).diff().diff().min() > 0


def test_bands_of_whole_bins_are_their_means():
    """Four bins to two bands: (1 + 3)/2 and (5 + 9)/2. Three to two: a bin shared half and half."""
    bands = Bands(2, "linear", 3)
    whole = torch.tensor([1.0, 3.0, 5.0, 9.0]).view(1, 1, 1, 4)
    assert bands.pool(whole).flatten().tolist() == [2, 7]
    shared = torch.tensor([1.0, 4.0, 7.0]).view(1, 1, 1, 3)
    torch.testing.assert_close(bands.pool(shared).flatten(), torch.tensor([2.0, 6.0]))
    assert bands.pool(whole).flatten().tolist() == [2, 7], "each number of bins has its own matrix"


@SCALES
@pytest.mark.parametrize("bins", [16, 64, 129, 257])
def test_pooling_preserves_constants_and_sums(scale, bins):
    at = edges(16, scale, 16)
    matrix = pooling(at, bins)
    torch.testing.assert_close(matrix.sum(0), torch.ones(16, dtype=torch.float64))
    widths = torch.tensor(at, dtype=torch.float64).diff()
    torch.testing.assert_close(matrix @ widths, torch.full((bins,), 1 / bins, dtype=torch.float64))


@SCALES
@pytest.mark.parametrize("hertz", [300, 1000, 2500, 7000])
def test_a_tone_is_in_the_same_band_for_any_number_of_bins(scale, hertz):
    """Physics: the loudest band of a tone is the one that its frequency lies in, at 257, 129 and 64 bins."""
    time = torch.arange(8000) / (2 * HALF)
    spectrum = Stft().analyse(torch.sin(2 * math.pi * hertz * time)).abs()[None, None]
    at = edges(16, scale, 64)
    expected = sum(HALF * edge <= hertz for edge in at) - 1
    for step in (1, 2, 4):
        layer = spectrum[..., :256].unflatten(-1, (-1, step)).mean(-1)
        power = Bands(16, scale, 64).pool(layer.square()).mean((0, 1, 2))
        assert power.argmax().item() == expected, step
    assert power[expected] > 10 * power.sort().values[-3], (
        "and little of it leaves for other than a neighbour"
    )


# --- similarities ------------------------------------------------------------------------------------------


def test_hand_worked_similarities():
    """Two channels, one frame, three bands (1, 0), (1, 1), (0, −2): cosines √½, 0 and −√½."""
    rows = torch.tensor([[1.0, 0.0], [1.0, 1.0], [0.0, -2.0]])
    found = Bands(3, "linear", 3).similarity(rows.T.view(1, 2, 1, 3))
    half = math.sqrt(0.5)
    cosine = torch.tensor([[1, half, 0], [half, 1, -half], [0, -half, 1]])
    torch.testing.assert_close(found.cosine[0, 0], cosine, atol=3e-6, rtol=0)
    torch.testing.assert_close(found.gram[0, 0], torch.tensor([[1.0, 1, 0], [1, 2, -2], [0, -2, 4]]))
    by_hand = torch.tensor([half / 2, 0, -half / 2])
    torch.testing.assert_close(profile(found.cosine)[0, 0], by_hand, atol=3e-6, rtol=0)


def test_stream_is_invariant_to_polarity_level_and_rotation():
    """Documented: polarity, the level of a band, and another rotation of the channels at each frame."""
    bands, f = Bands(4, "linear", 8), random(2, 3, 5, 8)
    expected = bands.similarity(f).cosine
    rotations = torch.linalg.qr(random(5, 3, 3, seed=1)).Q  # one a frame
    rotated = torch.einsum("tec,bctd->betd", rotations, f)
    levels = (1 + torch.arange(4.0, dtype=torch.float64)).repeat_interleave(2)
    for other in (-f, rotated, f * levels):
        torch.testing.assert_close(bands.similarity(other).cosine, expected, atol=2e-5, rtol=0)
    swapped = bands.similarity(f.flip(3)).cosine
    assert (swapped - expected).abs().max() > 0.1, "but not to which band it is"


def test_silent_bands_are_excluded_without_gradient():
    f = random(2, 3, 4, 6).float()
    f[0, :, 1, 2:4] = 0  # one band of one frame
    f[1] = 0  # a whole example
    f.requires_grad_()
    found = Bands(3, "linear", 6).similarity(f)
    assert found.cosine[0, 1, 1].abs().max() == 0
    assert found.cosine[0, 1, :, 1].abs().max() == 0
    assert found.cosine[1].abs().max() == 0
    p = distribution(Bands(3, "linear", 6).similarity(random(2, 3, 4, 6, seed=1).float()).cosine)
    jeffreys([distribution(found.cosine)], [p], [(0, 0)]).sum().backward()
    assert f.grad.isfinite().all()
    assert f.grad[0, :, 1, 2:4].abs().max() == 0
    assert f.grad[0, :, 0].abs().max() > 0


def test_gradients_numerically():
    f = random(2, 2, 3, 5).requires_grad_()
    bands = Bands(3, "erb", 5)

    def outputs(x):
        found = bands.similarity(x)
        return found.gram, found.cosine

    assert torch.autograd.gradcheck(outputs, (f,))


# --- in the method -----------------------------------------------------------------------------------------

ALONE = {"time": False, "batch": False, "frequency": True, "bands": 4}


def test_the_loss_is_the_weighted_mean_distance_of_the_bands():
    student, teacher = toys.of_student(), toys.of_teacher()
    method = toys.method(student, teacher, **ALONE)
    loss = toys.losses(method, student, teacher)["middle"]
    alpha = method.weights["middle"]["frequency"]
    assert alpha.shape == (3, 7, 1, 4)
    bands = Bands(4, "linear", 4)
    q = distribution(bands.similarity(student["middle"][0]).cosine)
    expected = torch.zeros(())
    for j, layer in enumerate(teacher["middle"]):
        p = distribution(bands.similarity(layer).cosine)
        distances = ((p - q) * (p.log() - q.log())).sum(-1).mean(-1)  # [B, T]
        expected = expected + (alpha[..., 0, j] * distances).mean()
    torch.testing.assert_close(loss, expected)


def test_three_streams_are_the_sum_of_three():
    student, teacher = toys.of_student(), toys.of_teacher()
    streams = ("time", "batch", "frequency")

    def loss(chosen):
        options = {stream: stream in chosen for stream in streams}
        method = toys.method(student, teacher, calibration=False, inter=False, bands=4, **options)
        return toys.total(method, student, teacher)

    torch.testing.assert_close(loss(streams), sum(loss((stream,)) for stream in streams))


@pytest.mark.parametrize("batch", [1, 2, 5])
@pytest.mark.parametrize("frames", [1, 2, 20])
def test_any_batch_and_length(batch, frames):
    method = toys.method(toys.of_student(), toys.of_teacher(), **ALONE)
    student, teacher = toys.attached(toys.of_student(batch, frames)), toys.of_teacher(batch, frames)
    total = toys.total(method, student, teacher)
    total.backward()
    assert total > 0
    assert all(g.isfinite().all() for g in toys.gradients(student))


def test_examples_and_frames_are_independent():
    """The loss of a batch is the mean of its examples', and frames may come in any order."""
    student, teacher = toys.of_student(), toys.of_teacher()
    method = toys.method(student, teacher, inter=False, **ALONE)
    whole = toys.total(method, student, teacher)
    parts = [
        toys.total(
            method, *({n: [f[b : b + 1] for f in fs] for n, fs in s.items()} for s in (student, teacher))
        )
        for b in range(3)
    ]
    torch.testing.assert_close(whole, torch.stack(parts).mean())
    backwards = [{n: [f.flip(2) for f in fs] for n, fs in s.items()} for s in (student, teacher)]
    torch.testing.assert_close(toys.total(method, *backwards), whole)


@pytest.mark.parametrize("fused", [False, True])
def test_gradients_of_the_method_numerically(fused):
    def double(sets):
        return {name: [f[:, :2, :3, :3].double() for f in fs] for name, fs in sets.items()}

    student, teacher = double(toys.of_student()), double(toys.of_teacher())
    method = toys.method(student, teacher, fusion_channels=3, inter=fused, **{**ALONE, "bands": 2}).double()
    flat = [f.requires_grad_() for fs in student.values() for f in fs]

    def loss(*layers):
        left = iter(layers)
        return toys.total(method, {name: [next(left) for _ in fs] for name, fs in student.items()}, teacher)

    assert torch.autograd.gradcheck(loss, flat, fast_mode=True)


def test_cross_weighting_of_time_and_frequency():
    student, teacher = toys.of_student(), toys.of_teacher()
    options = {"frequency": True, "batch": False, "bands": 4, "inter": False}
    plain, crossed = (toys.method(student, teacher, cross_weighting=c, **options) for c in (False, True))
    alone = {}
    for stream in ("time", "frequency"):
        chosen = {**options, "time": stream == "time", "frequency": stream == "frequency"}
        method = toys.method(student, teacher, **chosen, calibration=False)
        alone[stream] = toys.total(method, student, teacher)
    a, b = (toys.total(m, student, teacher) for m in (plain, crossed))
    assert a != b
    assert abs(a - b) < 0.2 * (alone["time"] + alone["frequency"]), "other weights, the same distances"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"frequency": True, "bands": 5},
            "5 bands.*'encoder.1' has 4 bins",
        ),
        ({"frequency": True, "bands": 4, "embedding": "released"}, "'released'.*frequency.*'pooled'"),
        ({"frequency": True, "bands": 4, "cross_weighting": True}, "cross_weighting.*(not 3)"),
    ],
)
def test_invalid_options_are_refused(options, message):
    with pytest.raises(DistillError, match=message.replace("(", r"\(").replace(")", r"\)")):
        toys.method(toys.of_student(), toys.of_teacher(), **options)


def test_fusion_is_as_wide_as_the_teachers_widest_layer_by_default():
    student, teacher = toys.of_student(), toys.of_teacher()
    found = toys.method(student, teacher, fusion_channels=None)
    outputs = {u.conv.out_channels for f in found.fusers["student"].values() for u in f.units}
    assert outputs == {6}
    assert not re.search("frequency", " ".join(found.state_dict()))
