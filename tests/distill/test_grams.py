import itertools
import math

import pytest
import torch

from stillwave.distill.grams import even_indices, gram_distance, normalised_gram, silence_mask, unit

KINDS = ("b", "bt", "bf", "btf", "st", "sf")
B, C, T, D = 2, 3, 4, 5


def feature(seed=0, dtype=torch.float64):
    return torch.randn(B, C, T, D, generator=torch.Generator().manual_seed(seed), dtype=dtype)


@pytest.mark.parametrize(
    ("kind", "size", "formula"),
    [
        ("b", (B, B), "actd,bctd->ab"),
        ("bt", (T, B, B), "actd,bctd->tab"),
        ("bf", (D, B, B), "actd,bctd->dab"),
        ("btf", (T, D, B, B), "actd,bctd->tdab"),
        ("st", (B, D, T, T), "bcsd,bctd->bdst"),
        ("sf", (B, T, D, D), "bctd,bcte->btde"),
    ],
)
def test_axes(kind, size, formula):
    f = feature()
    gram = torch.einsum(formula, f, f)
    found = normalised_gram(f, kind)
    assert found.shape == size
    torch.testing.assert_close(found, gram / gram.norm(dim=-1, keepdim=True))


@pytest.mark.parametrize("kind", KINDS)
def test_gram_is_invariant_to_level_sign_and_rotation(kind):
    f = feature()
    rotation = torch.linalg.qr(torch.randn(C, C, dtype=f.dtype, generator=torch.Generator().manual_seed(1))).Q
    for other in (1e6 * f, -f, torch.einsum("kc,bctd->bktd", rotation, f)):
        assert gram_distance(other, f, kind) < 1e-20
    assert gram_distance(feature(1), f, kind) > 1e-3


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("level", [1e-14, 1.0, 1e12])
def test_any_level_in_single_precision(kind, level):
    f = (level * feature(dtype=torch.float32)).requires_grad_()
    loss = gram_distance(f, feature(1, torch.float32), kind)
    loss.backward()
    assert f.grad.isfinite().all()
    assert (f.grad * level).norm() > 1e-3
    torch.testing.assert_close(loss, gram_distance(f / level, feature(1, torch.float32), kind))


def test_silent_rows_are_excluded():
    f = feature(dtype=torch.float32)
    f[0, :, 1] *= 1e-6
    f.requires_grad_()
    gram = normalised_gram(f, "st")
    assert gram[0, :, 1].abs().max() == gram[0, :, :, 1].abs().max() == 0
    assert gram[1].abs().min() > 0
    gram.square().cumsum(-1).sum().backward()
    assert f.grad.isfinite().all()
    assert f.grad[0, :, 1].abs().max() == 0
    assert f.grad[0, :, 2].abs().max() > 0


def test_silence_mask():
    levels = torch.tensor([[1.0, 0.1, 0.01], [1e-3, 1e-4, 0.0]])
    assert silence_mask(levels, 0.05, 0).tolist() == [[False, False, True], [False, False, True]]
    assert silence_mask(levels, 0.05, -1).tolist() == [[False, False, False], [True, True, True]]
    assert silence_mask(torch.tensor([0.0, math.nan, 1e-9]), 0.5, 0).tolist() == [True, False, False]


def test_unit_vectors():
    given = torch.tensor([[3.0, 4.0], [0.0, 0.0], [3e-20, 4e-20], [3e25, -4e25]]).requires_grad_()
    found = unit(given)
    torch.testing.assert_close(found, torch.tensor([[0.6, 0.8], [0, 0], [0.6, 0.8], [0.6, -0.8]]))
    (found * torch.tensor([1.0, 0.0])).sum().backward()
    torch.testing.assert_close(given.grad[0], torch.tensor([0.128, -0.096]))  # (1 − 0.36)/5, −0.48/5
    assert given.grad[1].abs().max() == 0
    assert given.grad.isfinite().all()


@pytest.mark.parametrize(("total", "most"), [(64, 16), (150, 32), (7, 5), (17, 16), (1000, 3)])
def test_indices_are_evenly_spaced_and_shift(total, most):
    draws = [even_indices(total, most, torch.tensor(n)).tolist() for n in range(total)]
    for positions in draws:
        assert len(set(positions)) == len(positions) == most
        assert positions[0] >= 0
        assert positions[-1] < total
        gaps = {b - a for a, b in itertools.pairwise(positions)}
        assert gaps <= {total // most, -(-total // most)}
    assert draws[0] != draws[1]
    assert {p for positions in draws for p in positions} == set(range(total))


def test_few_positions_are_all_used():
    assert even_indices(16, 16, torch.tensor(3)) is None
