import pytest
import torch

from stillwave.distill import DistillError, Layer, Shapes
from stillwave.distill.groups import groups
from stillwave.distill.running_statistics import Standardise, standard_deviation


def layers(prefix, *described):
    return tuple(Layer(f"{prefix}.{i}", c, t, d) for i, (c, t, d) in enumerate(described))


def shapes(students, teachers):
    return Shapes(
        3,
        {name: layers(f"s.{name}", *s) for name, s in students.items()},
        {name: layers(f"t.{name}", *t) for name, t in teachers.items()},
    )


A, MASK = (4, 6, 8), (2, 6, 9)


def test_groups_by_set_or_of_all_layers_without_masks():
    both = shapes({"e": [A, A], "d": [A, MASK], "o": [MASK]}, {"e": [A], "d": [A, A, MASK], "o": [A]})
    separate = groups(both, "x", by_set=True)
    assert [(g.name, len(g.students), len(g.teachers), g.weighted) for g in separate] == [
        ("e", 2, 1, False),
        ("d", 1, 2, True),
    ]
    (whole,) = groups(both, "x", by_set=False)
    assert whole.name == "all"
    assert [m.label for m in whole.students] == ["e_1", "e_2", "d_1"]
    assert [m.label for m in whole.teachers] == ["e_1", "d_1", "d_2", "o_1"]


def test_layers_that_cannot_be_compared_are_refused():
    with pytest.raises(DistillError, match=r"x: .*2 channels"):
        groups(shapes({"o": [MASK]}, {"o": [A]}), "x", by_set=True)
    other = (4, 5, 8)
    two_rates = shapes({"e": [A], "d": [other]}, {"e": [A], "d": [other]})
    groups(two_rates, "x", by_set=True)
    with pytest.raises(DistillError, match=r"'s\.e\.0' has 6 and 's\.d\.0' has 5"):
        groups(two_rates, "x", by_set=False)


def test_standardised_over_batches():
    torch.manual_seed(0)
    level, spread = torch.tensor([1.0, -2, 0])[:, None, None], torch.tensor([3.0, 0.1, 10])[:, None, None]
    batches = [level + spread * torch.randn(4, 3, 5, 6) for _ in range(3)]
    standardise = Standardise(3)
    first = standardise(batches[0])
    torch.testing.assert_close(first.mean((0, 2, 3)), torch.zeros(3), rtol=0, atol=1e-5)
    torch.testing.assert_close(first.var((0, 2, 3), correction=0), torch.ones(3))
    for batch in batches[1:]:
        found = standardise(batch)
    variance, mean = torch.var_mean(torch.stack(batches), (1, 3, 4), correction=0, keepdim=True)
    expected = (batches[2] - mean.mean(0)) / variance.mean(0).sqrt()
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def test_nearly_constant_channels_do_not_dominate():
    scale = standard_deviation(torch.tensor([1.0, 1.0, 0.0, 2.0]))
    torch.testing.assert_close(scale, torch.tensor([1.0, 1.0, 0.01, 2**0.5]))
    none = torch.zeros(2, requires_grad=True)
    scale = standard_deviation(none)
    assert scale.tolist() == [1, 1]
    (gradient,) = torch.autograd.grad(scale.sum(), none)
    assert gradient.tolist() == [0, 0]
