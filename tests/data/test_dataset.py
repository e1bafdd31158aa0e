import numpy as np
import pytest
import torch

from stillwave.data.dataset import batches, shares
from stillwave.data.mixing import Mixer


@pytest.fixture
def mixer(world, store):
    return Mixer(world["speech"], world["noise"], world["rooms"], segment_seconds=0.5, seed=9, store=store)


def collect(mixer, **options):
    return list(batches(mixer, 4, **{"last": 3, **options}))


@pytest.mark.parametrize("workers", [1, 3])
def test_any_number_of_workers_gives_the_same_bits(mixer, workers):
    alone, helped = collect(mixer), collect(mixer, workers=workers)
    assert len(alone) == len(helped) == 3
    for one, other in zip(alone, helped, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(one[:3], other[:3], strict=True))
        assert one.faults == other.faults == ()


def test_batches_hold_the_mixers_examples_in_order(mixer):
    second = collect(mixer)[1]
    assert second.indices.tolist() == [4, 5, 6, 7]
    assert second.noisy.shape == second.clean.shape == (4, 8000)
    assert second.noisy.dtype == torch.float32
    for row, index in enumerate(second.indices.tolist()):
        np.testing.assert_array_equal(second.noisy[row].numpy(), mixer(0, index).noisy)
        np.testing.assert_array_equal(second.clean[row].numpy(), mixer(0, index).clean)


def test_a_resumed_loader_continues_exactly(mixer):
    (resumed,) = collect(mixer, first=2)
    assert torch.equal(resumed.noisy, collect(mixer)[2].noisy)


@pytest.mark.parametrize("processes", [2, 4])
def test_parts_of_the_processes_form_the_global_batch(mixer, processes):
    whole = collect(mixer)
    parts = [collect(mixer, rank=rank, processes=processes) for rank in range(processes)]
    for step, batch in enumerate(whole):
        assert torch.equal(torch.cat([part[step].noisy for part in parts]), batch.noisy)
        assert torch.equal(torch.cat([part[step].indices for part in parts]), batch.indices)


def test_a_batch_that_cannot_be_shared_is_refused():
    with pytest.raises(ValueError, match=r"batch of 4 .* 3 processes"):
        list(shares(4, 0, 1, processes=3))


def test_loading_keeps_the_global_random_state(mixer):
    torch.manual_seed(1)
    np.random.seed(1)
    expected = torch.rand(1), np.random.rand()
    torch.manual_seed(1)
    np.random.seed(1)
    collect(mixer)
    assert (torch.rand(1), np.random.rand()) == expected
