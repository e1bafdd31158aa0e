"""Golden tensors: files of the folder that STILLWAVE_GOLDEN names, distinguished by their keys."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from safetensors import safe_open
from torch import Tensor

FOLDER = Path(os.environ.get("STILLWAVE_GOLDEN", Path(__file__).parent / "golden_tensors"))


@dataclass(frozen=True)
class Golden:
    """One file: its tensors by name and the sizes of its metadata."""

    path: Path
    tensors: dict[str, Tensor]
    sizes: dict[str, int]

    def group(self, prefix: str) -> dict[str, Tensor]:
        """Tensors under `prefix.`, named without it."""
        start = prefix + "."
        return {name[len(start) :]: value for name, value in self.tensors.items() if name.startswith(start)}


def read(path: Path) -> Golden:
    with safe_open(path, "pt") as file:
        sizes = {name: int(value) for name, value in (file.metadata() or {}).items() if value.isdigit()}
        return Golden(path, {name: file.get_tensor(name) for name in file.keys()}, sizes)  # noqa: SIM118


def _paths_with(prefix: str) -> list[Path]:
    found = []
    for path in sorted(FOLDER.glob("*.safetensors")):
        with safe_open(path, "pt") as file:
            if any(name.startswith(prefix) for name in file.keys()):  # noqa: SIM118
                found.append(path)
    return found


def network_paths() -> list[Path]:
    """Files that hold a network's weights, input, features and output."""
    return _paths_with("weight.dense_encoder.")


def distillation_paths() -> list[Path]:
    """Files that hold a distillation loss's inputs, weights, losses and gradients."""
    return _paths_with("student.")


def difference(found: Tensor, expected: Tensor) -> float:
    """Greatest deviation relative to the greatest magnitude of what is expected."""
    assert found.shape == expected.shape, f"{tuple(found.shape)} is not {tuple(expected.shape)}"
    return float((found.detach() - expected).abs().max() / expected.abs().max().clamp(min=1e-30))
