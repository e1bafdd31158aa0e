"""Content of run folders, and a batch, for tests of training."""

import torch
from toy import Toy

from stillwave import checkpoint
from stillwave.data.dataset import Numbered, collate
from stillwave.training import run_log
from stillwave.training.distributed import World

ONE = World(0, 1, torch.device("cpu"))


def batch():
    """Return a batch of two examples."""
    return collate([Numbered(index, Toy()(0, index)) for index in range(2)])


def events(run, kind):
    """Return the events of a kind from the log of a run."""
    return [event for event in run_log.read(run) if event["kind"] == kind]


def weights(folder):
    """Return the weights of a checkpoint."""
    return checkpoint.read_tensors(folder / checkpoint.WEIGHTS)
