"""One network, two modes: whole signals, or block after block with a memory in between.

A layer that needs what came before (a convolution over time, a GRU, attention over the past) keeps it in a
`StreamState`. Ordinarily a memory forgets between calls, so that every call sees a signal from its start. While
its network is `streaming`, it remembers, and a signal may come in blocks of any number of frames: the same
`forward` gives the same frames, because what is "before" comes from the memory where it came from zeros.

    with streaming(model):
        for block in blocks:             # [B, 2, t, F]
            estimate = model.estimate(block)

A state is `{name of the memory: tensor [B, ...]}`. Its first axis counts streams throughout, so that states
of several streams are batched by concatenation and parted by slicing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from stillwave.errors import StateError

State = dict[str, Tensor]
"""What a network remembers, by memory: tensors `[B, ...]`."""


class StreamState(nn.Module):
    """One tensor `[B, ...]` that outlives a call while its network streams. It has no weights."""

    def __init__(self) -> None:
        super().__init__()
        self.open = False
        self.held: Tensor | None = None

    def recall(self, beginning: Tensor) -> Tensor:
        """What was kept last, or `beginning` at a signal's start, whose shape says what is expected."""
        if self.held is None:
            return beginning
        if self.held.shape != beginning.shape:
            raise StateError(
                f"the state holds {self.held.shape[0]} streams of {list(self.held.shape[1:])} where the block "
                f"has {beginning.shape[0]} of {list(beginning.shape[1:])}; give every block the same streams, "
                "and begin anew for others"
            )
        return self.held

    def keep(self, value: Tensor) -> None:
        """Remember `value` for the next call, if streaming."""
        if self.open:
            self.held = value


class CausalPad(nn.Module):
    """Puts the `frames` frames before a block in front of it: `[B, C, T, D]` to `[B, C, frames + T, D]`.

    Before a signal there is silence (zeros).
    """

    def __init__(self, frames: int) -> None:
        super().__init__()
        self.frames = frames
        self.memory = StreamState()

    def forward(self, x: Tensor) -> Tensor:
        """`[B, C, T, D]` to `[B, C, frames + T, D]`."""
        before = self.memory.recall(x.new_zeros(x.shape[0], x.shape[1], self.frames, x.shape[3]))
        whole = torch.cat([before, x], dim=2)
        self.memory.keep(whole[:, :, -self.frames :])
        return whole


def stream_states(model: nn.Module) -> dict[str, StreamState]:
    """A network's memories by name, in network order."""
    return {name: module for name, module in model.named_modules() if isinstance(module, StreamState)}


@contextmanager
def streaming(model: nn.Module) -> Iterator[None]:
    """Within this context `model` remembers from call to call, from a fresh start; afterwards it forgets.

    Raises StateError for a network that sees the whole signal, and if it streams already: two streams through
    one network would mix their memories (use `get_state` and `set_state`, or one batch for both).
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
    """A copy of what a streaming network remembers. Empty before its first block."""
    _check_streaming(model)
    return {
        name: memory.held.clone() for name, memory in stream_states(model).items() if memory.held is not None
    }


def set_state(model: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Make a streaming network remember `state`; an empty one is a fresh start.

    Raises StateError for a state of another network, named by the first memory that does not fit.
    """
    _check_streaming(model)
    held = stream_states(model)
    strange = sorted(set(state) ^ set(held)) if state else []
    if strange:
        whose = "the state has no" if strange[0] in held else "the network has no"
        raise StateError(f"this state is of another network: {whose} '{strange[0]}'")
    streams = {tensor.shape[0] for tensor in state.values()}
    if len(streams) > 1:
        raise StateError(f"this state is damaged: its memories hold {sorted(streams)} streams")
    for name, memory in held.items():
        memory.held = state[name].clone() if state else None


def reset_state(model: nn.Module) -> None:
    """A fresh start for a streaming network, as at the beginning of a signal."""
    set_state(model, {})


def batch_states(states: Sequence[Mapping[str, Tensor]]) -> State:
    """The states of several networks or batches as one, in order."""
    return {name: torch.cat([state[name] for state in states]) for name in states[0]}


def part_state(state: Mapping[str, Tensor], first: int, count: int = 1) -> State:
    """Streams `first` … `first + count − 1` of a batch's state."""
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
