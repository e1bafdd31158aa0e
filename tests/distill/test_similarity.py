import math

import pytest
import torch

from stillwave.distill.similarity import distribution, jeffreys, similarities

ALL = [(0, 0)]


def feature(*size, seed=0, dtype=torch.float64):
    return torch.randn(*size, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def test_hand_worked_cosines():
    """Two examples, two frames, rows (1, 0), (1, 1) and (0, 2), (2, 0)."""
    rows = torch.tensor([[[1.0, 0.0], [1.0, 1.0]], [[0.0, 2.0], [2.0, 0.0]]])
    found = similarities(rows.unsqueeze(1))  # [B, 1, T, D]
    half = math.sqrt(0.5)
    time = torch.tensor([[[1, half], [half, 1]], [[1.0, 0.0], [0.0, 1.0]]])
    batch = torch.tensor([[[1, 0], [1, half]], [[0, 1], [half, 1.0]]])  # [b, t, b']
    torch.testing.assert_close(found["time"].cosine, time, atol=3e-6, rtol=0)
    torch.testing.assert_close(found["batch"].cosine, batch, atol=3e-6, rtol=0)
    torch.testing.assert_close(found["time"].gram[0], torch.tensor([[1.0, 1.0], [1.0, 2.0]]))


def test_memory_order_changes_nothing():
    f = feature(2, 3, 4, 5, dtype=torch.float32)
    last = f.contiguous(memory_format=torch.channels_last).requires_grad_()
    f.requires_grad_()
    for x in (f, last):
        found = similarities(x)
        (found["time"].cosine.square().sum() + found["batch"].gram.square().sum()).backward()
    torch.testing.assert_close(last.grad, f.grad)


@pytest.mark.parametrize("streams", [("time", "batch"), ("time",), ("batch",)])
def test_gradients_numerically(streams):
    f = feature(3, 2, 4, 2).requires_grad_()

    def outputs(x):
        found = similarities(x, streams)
        return tuple(part for s in found.values() for part in (s.gram, s.cosine))

    assert torch.autograd.gradcheck(outputs, (f,))


def test_one_stream_alone_equals_both():
    f = feature(3, 2, 4, 5)
    both = similarities(f)
    for stream in ("time", "batch"):
        torch.testing.assert_close(similarities(f, (stream,))[stream].cosine, both[stream].cosine)


def test_distance_gradients_numerically():
    q = [distribution(feature(2, 3, 5, seed=i).tanh()).detach().requires_grad_() for i in range(2)]
    p = [distribution(feature(2, 3, 5, seed=9 + i).tanh()) for i in range(3)]
    pairs = [(0, 0), (0, 2), (1, 1), (1, 2)]
    assert torch.autograd.gradcheck(lambda *x: jeffreys(x, p, pairs), q)


def test_distance_is_the_symmetric_divergence():
    p = torch.tensor([[[0.5, 0.5]]])
    q = torch.tensor([[[0.25, 0.75]]])
    by_hand = 0.25 * math.log(2) + (-0.25) * math.log(2 / 3)
    assert jeffreys([q], [p], ALL).item() == pytest.approx(by_hand, rel=1e-6)
    assert jeffreys([p], [q], ALL).item() == pytest.approx(by_hand, rel=1e-6)


@pytest.mark.parametrize("stream", ["time", "batch"])
def test_diagonal_of_the_pair_table_is_zero_without_gradient(stream):
    layers = [feature(3, 2, 5, 4, seed=i, dtype=torch.float32) for i in range(3)]
    student = [f.clone().requires_grad_() for f in layers]
    q = [distribution(similarities(f)[stream].cosine) for f in student]
    p = [distribution(similarities(f)[stream].cosine) for f in layers]
    table = jeffreys(q, p, [(i, j) for i in range(3) for j in range(3)]).sum((0, 1)).view(3, 3)
    table.diagonal().sum().backward()
    assert table.diagonal().tolist() == [0, 0, 0]
    assert (table + torch.eye(3) > 1e-3).all()
    assert all(f.grad.abs().max() == 0 for f in student)


@pytest.mark.parametrize("stream", ["time", "batch"])
def test_distance_grows_as_noise_is_added(stream):
    clean = feature(4, 3, 9, 5, dtype=torch.float32)
    noise = feature(4, 3, 9, 5, seed=5, dtype=torch.float32)
    p = distribution(similarities(clean)[stream].cosine)
    found = [
        jeffreys([distribution(similarities(clean + level * noise)[stream].cosine)], [p], ALL).sum().item()
        for level in (0, 0.05, 0.1, 0.3, 1, 3)
    ]
    assert found[0] == 0
    assert found == sorted(found)
    assert len(set(found)) == len(found)


def test_similarity_is_invariant_to_polarity_rotation_and_level():
    f = feature(2, 3, 6, 4)
    rotation = torch.linalg.qr(feature(12, 12, seed=3)).Q
    rotated = (f.transpose(1, 2).flatten(2) @ rotation).view(2, 6, 3, 4).transpose(1, 2)
    for other in (-f, rotated, 100 * f):
        for stream, expected in similarities(f).items():
            torch.testing.assert_close(similarities(other)[stream].cosine, expected.cosine, atol=2e-6, rtol=0)


@pytest.mark.parametrize("floor", [0.0, 1e-6])
def test_silent_rows_are_excluded_without_gradient(floor):
    f = feature(2, 2, 4, 3, dtype=torch.float32)
    f[0, :, 2] *= floor  # one silent frame; the second example is silent but for nothing
    f.requires_grad_()
    found = similarities(f)
    assert found["time"].cosine[0, 2].abs().max() == 0
    assert found["time"].cosine[0, :, 2].abs().max() == 0
    assert found["batch"].cosine[0, 2].abs().max() == 0
    assert found["batch"].cosine[1, 2, 0] == 0
    p = distribution(similarities(feature(2, 2, 4, 3, seed=8, dtype=torch.float32))["time"].cosine)
    jeffreys([distribution(found["time"].cosine)], [p], ALL).sum().backward()
    assert f.grad.isfinite().all()
    assert f.grad[0, :, 2].abs().max() == 0
    assert f.grad[0, :, 1].abs().max() > 0


def test_a_row_just_above_the_floor_counts():
    f = torch.ones(1, 1, 2, 3)
    f[0, :, 1] = 1.1e-5 / 1
    assert similarities(f)["time"].cosine[0, 0, 1] > 0.9


def test_opposite_rows_have_finite_gradient():
    # So large that the 1e-6 beside the norms does not keep S from 0.
    f = 1e4 * torch.tensor([[1.0, 2.0], [-1.0, -2.0], [3.0, 1.0]])
    f = f.view(1, 1, 3, 2).requires_grad_()
    p = distribution(similarities(feature(1, 1, 3, 2, seed=1, dtype=torch.float32))["time"].cosine)
    q = distribution(similarities(f)["time"].cosine)
    assert q.min() > 0
    torch.testing.assert_close(q.sum(-1), torch.ones(1, 3))
    jeffreys([q], [p], ALL).sum().backward()
    assert f.grad.isfinite().all()


def test_nan_is_not_taken_for_silence():
    f = feature(2, 2, 4, 3, dtype=torch.float32)
    f[0, 0, 1, 0] = math.nan
    assert similarities(f)["time"].cosine[0].isnan().any()


def test_constants_get_no_gradient():
    q = distribution(feature(1, 2, 3).tanh()).requires_grad_()
    p = distribution(feature(1, 2, 3, seed=2).tanh()).requires_grad_()
    jeffreys([q], [p], ALL).sum().backward()
    assert p.grad is None
