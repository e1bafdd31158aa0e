import pytest
import torch
import toys

from stillwave.distill.pairing import bottleneck_pair, bottleneck_pairs, one_to_one
from stillwave.distill.running_statistics import RunningAverage


def shapes(names=("encoder", "middle", "decoder")):
    def renamed(features):
        return dict(zip(names, features.values(), strict=False))

    return toys.shapes(renamed(toys.of_student()), renamed(toys.of_teacher()))


def places(pairs):
    return [(pair.set, pair.i, pair.j) for pair in pairs]


@pytest.mark.parametrize(
    ("names", "where", "place"),
    [
        (("encoder", "middle", "decoder"), "middle", ("middle", 0, 3)),
        (("encoder", "middle", "decoder"), "encoder", ("encoder", 2, 2)),
        (("down", "deep", "up"), "middle", ("deep", 0, 3)),
        (("down", "deep", "up"), "encoder", ("down", 2, 2)),
        (("encoder", "decoder"), "middle", ("encoder", 2, 2)),
        (("all",), "middle", ("all", 2, 2)),
    ],
)
def test_bottleneck_pair(names, where, place):
    assert places([bottleneck_pair(shapes(names), where)]) == [place]


def test_bottleneck_pairs():
    assert places(bottleneck_pairs(one_to_one(shapes()))) == [
        ("encoder", 2, 2),
        ("middle", 0, 3),
        ("decoder", 0, 0),
    ]


def test_the_average_is_the_mean_of_the_first_batches():
    running = RunningAverage(2)
    for values, expected in (([2.0, 4.0], [2.0, 4.0]), ([4.0, 0.0], [3.0, 2.0]), ([0.0, 2.0], [2.0, 2.0])):
        torch.testing.assert_close(running(torch.tensor(values)), torch.tensor(expected))
    running.eval()
    torch.testing.assert_close(running(torch.tensor([9.0, 9.0])), torch.tensor([2.0, 2.0]))
    assert running.batches == 3


def test_the_average_is_exponential_after_100_batches():
    running = RunningAverage(1)
    for _ in range(100):
        running(torch.zeros(1))
    for _ in range(100):
        last = running(torch.ones(1))
    assert last.item() == pytest.approx(1 - 0.99**100, rel=1e-4)


def test_before_the_first_batch_the_input_is_returned():
    running = RunningAverage(2).eval()
    given = torch.tensor([3.0, 5.0], requires_grad=True)
    found = running(given)
    assert found.tolist() == [3.0, 5.0]
    assert not found.requires_grad
    assert running.batches == 0
