"""Weights between those of two networks: a teacher that follows its student, and a student that keeps what it could."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import torch
from torch import Tensor, nn

Weights = Mapping[str, Tensor]


def moved(from_: Weights, to: Weights, share: float) -> dict[str, Tensor]:
    """Return `(1 − share) · from_ + share · to` for each tensor of floats; others are those of `to`.

    With the share 1 − γ it is the exponential moving average of a teacher with the decay γ. Raises KeyError and
    RuntimeError for weights of different networks.

    Examples:
        >>> moved({"w": torch.tensor([1.0])}, {"w": torch.tensor([3.0])}, 0.25)
        {'w': tensor([1.5000])}

    """
    return {
        name: torch.lerp(from_[name], tensor, share) if tensor.is_floating_point() else tensor.clone()
        for name, tensor in to.items()
    }


def weights_sha256(network: nn.Module) -> str:
    """Return the SHA-256 of names and values of the weights, in hexadecimal."""
    digest = hashlib.sha256()
    for name, tensor in network.state_dict().items():
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
