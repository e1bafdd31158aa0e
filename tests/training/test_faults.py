import pytest
import torch
from toy import Toy, toy_recipe, train_toy

from stillwave.errors import AudioError, MissingExtraError, StillwaveError
from stillwave.training.faults import explained


def raised(error):
    with pytest.raises(StillwaveError) as caught, explained(toy_recipe()):
        raise error
    return str(caught.value)


class Broken(Toy):
    def __call__(self, epoch, index):
        raise AudioError("speech/7.wav: is cut short; copy it again")


def test_an_error_in_a_worker_is_reported_without_its_traceback(tmp_path):
    with pytest.raises(StillwaveError) as caught:
        train_toy(tmp_path / "run", "data.workers=1", source=Broken())
    assert str(caught.value) == (
        "speech/7.wav: is cut short; copy it again (8 examples in a row cannot be used)"
    )


def test_memory_running_out():
    assert "train.batch_size 2; lower it" in raised(torch.OutOfMemoryError("CUDA out of memory. Tried …"))
    killed = RuntimeError("DataLoader worker (pid 7) is killed by signal: Killed.")
    assert "lower data.workers" in raised(killed)


def test_other_errors_are_not_changed():
    assert raised(MissingExtraError("PESQ", "eval")) == str(MissingExtraError("PESQ", "eval"))
    with pytest.raises(RuntimeError, match="shape"), explained(toy_recipe()):
        raise RuntimeError("shape mismatch")
