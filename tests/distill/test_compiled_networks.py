"""Compiled, scripted and exported networks: supported, or refused by name."""

from __future__ import annotations

import copy

import pytest
import torch
from plain_networks import CONFIG, NOISY, OF_ESTIMATES, distiller, gradients, nets, same
from torch import nn

from stillwave.distill import Distiller, DistillError

FIXED = {
    "script": torch.jit.script,
    "trace": lambda network: torch.jit.trace(network, NOISY),
    "freeze": lambda network: torch.jit.freeze(torch.jit.script(network.eval())),
    "export": lambda network: torch.export.export(network, (NOISY,)).module(),
}


def fixed(kind: str, network: nn.Module) -> nn.Module:
    made: nn.Module = FIXED[kind](network)
    return made


@pytest.mark.parametrize("kind", list(FIXED))
@pytest.mark.parametrize("method", OF_ESTIMATES)
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning", "ignore::FutureWarning")
def test_an_exported_teacher_is_compared_by_its_estimate(kind, method):
    teacher, student = nets()
    expected = gradients(distiller(copy.deepcopy(teacher), copy.deepcopy(student), method))
    same(gradients(distiller(fixed(kind, teacher), student, method)), expected, 1e-4)


@pytest.mark.parametrize("kind", ["script", "trace"])
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_layers_of_torchscript_are_refused_by_name(kind):
    teacher, student = nets()
    with pytest.raises(DistillError, match=r"teacher's layer 'first' .*TorchScript"):
        distiller(fixed(kind, teacher), student)
    teacher, student = nets()
    student.first = torch.jit.script(student.first)
    with pytest.raises(DistillError, match=r"student's layer 'first' .*TorchScript"):
        distiller(teacher, student)


def compiled_whole(network):
    return torch.compile(network, backend="eager")


def compiled_in_place(network):
    network.compile(backend="eager")
    return network


def compiled_layer(network):
    network.second = torch.compile(network.second, backend="eager")
    return network


@pytest.mark.parametrize(
    ("way", "method"),
    [
        (compiled_whole, CONFIG),
        *(
            pytest.param(way, method, marks=pytest.mark.slow)
            for way, method in [
                (compiled_whole, "output"),
                (compiled_in_place, CONFIG),
                (compiled_in_place, "output"),
                (compiled_layer, CONFIG),
                (compiled_layer, "output"),
            ]
        ),
    ],
)
def test_compiled_networks_that_have_run_work(way, method):
    torch.compiler.reset()
    expected = gradients(distiller(*nets(), method))
    teacher, student = (way(network) for network in nets())
    teacher(NOISY), student(NOISY)
    d = distiller(teacher, student, method)
    same(gradients(d), expected)
    d.student.zero_grad()
    student(NOISY)
    same(gradients(d), expected)  # and a second time, after it has run by itself
    prefixed = {"middle": (["_orig_mod.first:bct"], ["first:bct"])}
    if way is compiled_whole and method is CONFIG:
        Distiller(teacher, student, CONFIG, prefixed, example=NOISY)(NOISY)
