"""What a stream refuses, and its memories by hand."""

from __future__ import annotations

import copy

import pytest
import torch
from streams import SMALL, network, spectrum, whole
from torch import nn

from stillwave.errors import StateError
from stillwave.models import build
from stillwave.models.streaming import CausalPad, StreamState, get_state, reset_state, set_state, streaming
from stillwave.schema import ModelConfig


def test_an_offline_network_cannot_stream() -> None:
    model = build(ModelConfig(channels=8))
    with pytest.raises(StateError, match="causal"), streaming(model):
        pass
    with pytest.raises(StateError, match="causal"), streaming(nn.Linear(2, 2)):
        pass


def test_nested_streaming_is_refused() -> None:
    model = network("bsrnn")
    with streaming(model):
        with pytest.raises(StateError, match="streaming already"), streaming(model):
            pass
        get_state(model)  # and the first stream is still there


def test_state_outside_of_streaming_is_refused() -> None:
    model = network("bsrnn")
    for use in (get_state, reset_state, lambda m: set_state(m, {})):
        with pytest.raises(StateError, match="not streaming"):
            use(model)


@torch.no_grad()
def test_a_state_of_another_network_is_named_by_what_does_not_fit() -> None:
    one, other = network("dpdcrn batch"), network("dpdcrn running")
    with streaming(one):
        one.estimate(spectrum(one))
        state = get_state(one)
    with streaming(other):
        with pytest.raises(StateError, match=r"state has no '.*norm\.memory'"):
            set_state(other, state)
        assert get_state(other) == {}
    with streaming(one), pytest.raises(StateError, match="the network has no 'zzz'"):
        set_state(one, {**state, "zzz": torch.zeros(1)})


@torch.no_grad()
def test_a_state_of_a_network_of_another_size() -> None:
    one, other = network("dpdcrn batch"), copy.deepcopy(network("dpdcrn batch"))
    wide = build(SMALL["dpdcrn batch"].model_copy(update={"channels": 16})).eval()
    with streaming(other):
        other.estimate(spectrum(other))
        state = get_state(other)
    with streaming(wide):
        set_state(wide, state)
        with pytest.raises(StateError, match=r"1 streams of \[8, 1, 64\] .*1 of \[16, 1, 64\]"):
            wide.estimate(spectrum(wide))
    assert torch.isfinite(whole(one, spectrum(one))).all()


@torch.no_grad()
def test_another_number_of_streams() -> None:
    model = network("bsrnn")
    with streaming(model):
        model.estimate(spectrum(model, batch=2))
        with pytest.raises(StateError, match=r"has 2 streams .* has 3"):
            model.estimate(spectrum(model, batch=3))
        model.estimate(spectrum(model, batch=2))  # and the stream goes on


@torch.no_grad()
def test_a_state_with_different_numbers_of_streams_is_refused() -> None:
    model = network("bsrnn")
    with streaming(model):
        model.estimate(spectrum(model, batch=2))
        state = get_state(model)
        first = next(iter(state))
        with pytest.raises(StateError, match=r"damaged: .*1 and 2 streams"):
            set_state(model, {**state, first: state[first][:1]})


def test_causal_pad_by_hand() -> None:
    past = CausalPad(2)
    x = torch.arange(1.0, 6.0).reshape(1, 1, 5, 1)
    assert past(x).flatten().tolist() == [0, 0, 1, 2, 3, 4, 5]
    with streaming(nn.Sequential(past)):
        assert past(x[:, :, :1]).flatten().tolist() == [0, 0, 1]
        assert past(x[:, :, 1:4]).flatten().tolist() == [0, 1, 2, 3, 4]
        assert past(x[:, :, 4:]).flatten().tolist() == [3, 4, 5]
    assert past(x[:, :, 4:]).flatten().tolist() == [0, 0, 5]


def test_a_state_is_empty_outside_of_streaming() -> None:
    memory = StreamState()
    memory.keep(torch.ones(1))
    assert memory.recall(torch.zeros(1)).item() == 0
    memory.open = True
    memory.keep(torch.ones(1))
    assert memory.recall(torch.zeros(1)).item() == 1
    with pytest.raises(StateError):
        memory.recall(torch.zeros(2))
    assert not list(memory.parameters())
    assert not memory.state_dict()
