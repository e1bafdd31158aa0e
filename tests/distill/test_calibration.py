import pytest
import torch

from stillwave.distill import DistillError
from stillwave.distill.calibration import Calibration, pool_lags, sorted_others
from stillwave.distill.similarity import similarities
from stillwave.schema import I2srfTfckdConfig


def layers(count, batch=3, frames=6, scale=1.0):
    torch.manual_seed(count)
    return [similarities(scale * torch.randn(batch, 2, frames, 3)) for _ in range(count)]


def weights(calibration, stream, student, teacher):
    return calibration([s[stream] for s in student], [s[stream] for s in teacher])


def test_lags_are_pooled_by_distance():
    """Similarity that depends on the lag alone gives the same statistics at each frame that has that lag."""
    frames = 8
    lag = torch.arange(frames)[None] - torch.arange(frames)[:, None]
    found = pool_lags(lag[None].float(), 15)  # as many parts as there are lags
    for t in range(frames):
        expected = [k if 0 <= t + k < frames else 0 for k in range(-7, 8)]
        assert found[0, t].tolist() == expected


def test_lag_means_divide_by_the_number_of_frames():
    assert (pool_lags(torch.ones(2, 5, 5), 3) > 0).any()
    found = pool_lags(torch.ones(2, 5, 5), 3)
    assert set(found.unique().tolist()) <= {0.0, 1.0}


@pytest.mark.parametrize("frames", [1, 2, 40])
def test_any_length_gives_the_same_number_of_statistics(frames):
    assert pool_lags(torch.rand(2, frames, frames), 7).shape == (2, frames, 7)


def test_other_examples_are_sorted_without_the_example_itself():
    cosine = torch.tensor([[1.0, 0.2, 0.6], [0.2, 1.0, 0.4], [0.6, 0.4, 1.0]]).unsqueeze(1)  # [B, 1, B]
    found = sorted_others(cosine, 3)
    expected = torch.tensor([[0.6, 0.4, 0.2], [0.4, 0.3, 0.2], [0.6, 0.5, 0.4]]).unsqueeze(1)
    torch.testing.assert_close(found, expected)


def test_with_two_examples_there_is_one_other_and_with_one_none():
    assert sorted_others(torch.tensor([[[1.0, 0.3]], [[0.3, 1.0]]]), 4).unique().tolist() == [
        pytest.approx(0.3)
    ]
    alone = torch.ones(1, 5, 1, requires_grad=True)
    assert sorted_others(alone, 4).abs().max() == 0
    assert sorted_others(alone, 4).requires_grad


@pytest.mark.parametrize("embedding", ["released", "pooled"])
@pytest.mark.parametrize("stream", ["time", "batch"])
def test_weights_sum_to_one_over_teacher_layers(embedding, stream):
    calibration = Calibration(2, 4, stream, I2srfTfckdConfig(embedding=embedding), 3, 6)
    found = weights(calibration, stream, layers(2), layers(4))
    assert found.shape == (3, 6, 2, 4)
    torch.testing.assert_close(found.sum(-1), torch.ones(3, 6, 2))
    assert (found > 0).all()


@pytest.mark.parametrize("stream", ["time", "batch"])
def test_level_changes_released_weights_only(stream):
    moved = {}
    for embedding in ("released", "pooled"):
        torch.manual_seed(1)
        calibration = Calibration(2, 3, stream, I2srfTfckdConfig(embedding=embedding), 3, 6)
        quiet = weights(calibration, stream, layers(2), layers(3))
        loud = weights(calibration, stream, layers(2, scale=10.0), layers(3, scale=10.0))
        moved[embedding] = (quiet - loud).abs().max().item()
    assert moved["pooled"] < 1e-5 < 1e-3 < moved["released"]


def test_temperature_flattens():
    def spread(temperature):
        torch.manual_seed(2)
        calibration = Calibration(1, 3, "time", I2srfTfckdConfig(temperature=temperature), 3, 6)
        return (weights(calibration, "time", layers(1), layers(3)) - 1 / 3).abs().max().item()

    assert spread(0.1) > spread(1.0) > 5 * spread(100.0)


@pytest.mark.parametrize(("normalise", "axis"), [("frames", 1), ("embedding", 2)])
def test_unit_norm_is_over_the_configured_axis(normalise, axis):
    calibration = Calibration(1, 2, "time", I2srfTfckdConfig(normalise=normalise), 3, 6)
    embedded = calibration.queries[0](torch.randn(3, 6, 32))
    torch.testing.assert_close(embedded.norm(dim=axis), torch.ones_like(embedded.norm(dim=axis)))


@pytest.mark.parametrize(("batch", "frames"), [(2, 6), (3, 5)])
@pytest.mark.parametrize("stream", ["time", "batch"])
def test_released_form_refuses_another_size(batch, frames, stream):
    calibration = Calibration(1, 2, stream, I2srfTfckdConfig(embedding="released"), 3, 6)
    with pytest.raises(DistillError, match=rf"3 examples of 6 frames .* {batch} of {frames}; .*'pooled'"):
        weights(calibration, stream, layers(1, batch, frames), layers(2, batch, frames))
