"""Streaming with the same `forward` as for whole signals, by states that are kept between calls.

A layer that depends on earlier frames (a convolution over time, a GRU, attention over the past) keeps them in a
`StreamState`. Outside `streaming(model)`, every call starts from zero states. Inside, states are kept between calls,
and blocks of any number of frames give the same output as the whole signal.

    with streaming(model):
        for block in blocks:             # [B, 2, t, F]
            estimate = model.estimate(block)

The state of a network is `{name of the StreamState: tensor [B, ...]}`. The first axis counts streams, so that states of
several streams are batched by concatenation and separated by slicing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from stillwave.errors import StateError

State = dict[str, Tensor]
"""Tensors `[B, ...]` of a network by the names of its `StreamState` modules."""


class StreamState(nn.Module):
    """A tensor `[B, ...]` that is kept between calls while the network is streaming; no weights."""

    def __init__(self) -> None:
        super().__init__()
        self.open = False
        self.held: Tensor | None = None

    def recall(self, beginning: Tensor) -> Tensor:
        """Return the kept tensor or, at the start of a signal, `beginning`. Raise StateError for another shape."""
        if self.held is None:
            return beginning
        if self.held.shape != beginning.shape:
            raise StateError(
                f"the state has {self.held.shape[0]} streams of {list(self.held.shape[1:])} and the block "
                f"has {beginning.shape[0]} of {list(beginning.shape[1:])}; give as many streams in every block, "
                "or reset the state"
            )
        return self.held

    def keep(self, value: Tensor) -> None:
        """Keep `value` for the next call, if streaming."""
        if self.open:
            self.held = value


class CausalPad(nn.Module):
    """Pads a block with the last `frames` frames of the previous one, or with zeros."""

    def __init__(self, frames: int) -> None:
        super().__init__()
        self.frames = frames
        self.memory = StreamState()

    def forward(self, x: Tensor) -> Tensor:
        """Pad `[B, C, T, D]` to `[B, C, frames + T, D]`."""
        before = self.memory.recall(x.new_zeros(x.shape[0], x.shape[1], self.frames, x.shape[3]))
        whole = torch.cat([before, x], dim=2)
        self.memory.keep(whole[:, :, -self.frames :])
        return whole


def stream_states(model: nn.Module) -> dict[str, StreamState]:
    """Return the `StreamState` modules of a network by name, in network order."""
    return {name: module for name, module in model.named_modules() if isinstance(module, StreamState)}


@contextmanager
def streaming(model: nn.Module) -> Iterator[None]:
    """Keep the states of `model` between calls within this context, from initial states.

    Raises StateError for a non-causal network, and for one that is streaming already: use `get_state` and `set_state`,
    or one batch, for several streams.
    """
    _check_causal(model)
    held = stream_states(model).values()
    if any(memory.open for memory in held):
        raise StateError("this network is streaming already; leave that context first")
    try:
        for memory in held:
            memory.open, memory.held = True, None
        yield
    finally:
        for memory in held:
            memory.open, memory.held = False, None


def get_state(model: nn.Module) -> State:
    """Return a copy of the state of a streaming network; empty before its first block."""
    _check_streaming(model)
    return {
        name: memory.held.clone() for name, memory in stream_states(model).items() if memory.held is not None
    }


def set_state(model: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Set the state of a streaming network; an empty one is the initial state.

    Raises StateError for a state of another network, with the first name that does not match.
    """
    _check_streaming(model)
    held = stream_states(model)
    strange = sorted(set(state) ^ set(held)) if state else []
    if strange:
        whose = "the state has no" if strange[0] in held else "the network has no"
        raise StateError(f"this state belongs to another network: {whose} '{strange[0]}'")
    streams = {tensor.shape[0] for tensor in state.values()}
    if len(streams) > 1:
        raise StateError(
            f"this state is damaged: its tensors have {' and '.join(map(str, sorted(streams)))} streams"
        )
    for name, memory in held.items():
        memory.held = state[name].clone() if state else None


def reset_state(model: nn.Module) -> None:
    """Reset a streaming network to its initial state."""
    set_state(model, {})


def batch_states(states: Sequence[Mapping[str, Tensor]]) -> State:
    """Concatenate states of several streams or batches, in order."""
    return {name: torch.cat([state[name] for state in states]) for name in states[0]}


def part_state(state: Mapping[str, Tensor], first: int, count: int = 1) -> State:
    """Return the state of streams `first` … `first + count − 1` of a batch."""
    return {name: tensor[first : first + count].clone() for name, tensor in state.items()}


def _check_causal(model: nn.Module) -> None:
    if not getattr(model, "causal", True) or not stream_states(model):
        raise StateError(
            "this network needs the whole signal, so it cannot stream; train a causal one (`model: bsrnn-s`, say)"
        )


def _check_streaming(model: nn.Module) -> None:
    _check_causal(model)
    if not all(memory.open for memory in stream_states(model).values()):
        raise StateError("this network is not streaming; use it within `with streaming(model):`")
