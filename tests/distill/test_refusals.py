"""Errors of the distiller at construction and call."""

import pytest
import torch
from torch import nn

from stillwave.distill import Distiller, DistillError


def net() -> nn.Module:
    return nn.Sequential(nn.Unflatten(1, (1, -1)), nn.Conv1d(1, 4, 3, padding=1), nn.Flatten())


def test_a_teacher_without_values():
    with pytest.raises(DistillError, match="meta device"):
        Distiller(net().to("meta"), net(), "at", {"all": (["1:bct"], ["1:bct"])}, example=torch.ones(2, 40))


def test_an_input_without_examples():
    taps = {"all": (["1:bct"], ["1:bct"])}
    with pytest.raises(DistillError, match="example: the shape"):
        Distiller(net(), net(), "at", taps, example=torch.ones(0, 40))
    distiller = Distiller(net(), net(), "at", taps, example=torch.ones(2, 40))
    with pytest.raises(DistillError, match="input: the shape"):
        distiller(torch.ones(0, 40))


@pytest.mark.parametrize("pair", [3, (3, 4), ([3], ["1"]), (["1"],), "ab"])
def test_taps_must_be_lists_of_names(pair):
    with pytest.raises(DistillError, match=r"'all' .*two lists"):
        Distiller(net(), net(), "at", {"all": pair}, example=torch.ones(2, 40))
