"""Checkpoints: folders with `weights.safetensors` and `card.json`. Nothing is pickled.

The card describes the weights (network, step, recipe, scores, versions) and holds their SHA-256, so that truncated or
mismatched files are detected.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from stillwave import shipped_checkpoints
from stillwave.card import Card as Card
from stillwave.card import read_card as read
from stillwave.errors import CheckpointError, StillwaveError
from stillwave.files import atomic_folder, sha256

if TYPE_CHECKING:
    from stillwave.models import Denoiser

WEIGHTS, CARD = "weights.safetensors", "card.json"


def save(folder: Path | str, model: Denoiser, card: Card) -> None:
    """Write a checkpoint folder atomically, replacing an existing one. Raise OSError."""
    with atomic_folder(folder) as temporary:
        write(temporary, model.state_dict(), card)


def write(folder: Path, weights: Mapping[str, Tensor], card: Card) -> Card:
    """Write weights and card into an existing folder (see `save`); return the card as written."""
    write_tensors(folder / WEIGHTS, weights)
    filled = card.model_copy(
        update={
            "sha256": sha256(folder / WEIGHTS),
            "parameters": sum(t.numel() for t in weights.values() if t.is_floating_point()),
        }
    )
    text = json.dumps(filled.model_dump(mode="json"), indent=2, ensure_ascii=False, allow_nan=False)
    (folder / CARD).write_text(text + "\n", encoding="utf-8")
    return filled


def load(folder: Path | str, device: str | torch.device = "cpu") -> tuple[Denoiser, Card]:
    """Load a checkpoint.

    Args:
        folder: A checkpoint folder, or a run folder for its best (else last) checkpoint.
        device: The device of the network.

    Returns:
        The network in evaluation mode, and its card.

    Raises:
        CheckpointError: The checkpoint is missing, truncated, changed or of a newer format, or its weights do not fit
            the network.

    """
    from stillwave.models import build

    place = resolve(folder)
    card = read_card(place)
    weights = read_tensors(place / WEIGHTS)
    if sha256(place / WEIGHTS) != card.sha256:
        raise CheckpointError(f"{place / WEIGHTS}: is not the file that its card describes; copy both again")
    try:
        with torch.random.fork_rng(devices=[]):  # initial weights are overwritten
            model = build(card.model)
    except StillwaveError as error:
        raise CheckpointError(f"{place / CARD}: {error}") from None
    _fit(model.state_dict(), weights, place)
    model.load_state_dict(weights)
    try:
        return model.to(device).eval(), card
    except (RuntimeError, AssertionError) as error:
        raise CheckpointError(f"device '{device}' cannot be used: {str(error).splitlines()[0]}") from None


def resolve(folder: Path | str) -> Path:
    """Return the checkpoint folder of a path, or of a shipped model's name where there is no such path.

    Of a path: itself, or the best, else the last, of a run folder. Raises CheckpointError.
    """
    path = Path(folder)
    if not path.exists() and str(folder) in shipped_checkpoints.NAMES:
        return shipped_checkpoints.find(str(folder))
    if path.is_file():
        kind = "a pickled file, which could run any code when read" if _pickled(path) else "a file"
        raise CheckpointError(f"{path}: is {kind}; a checkpoint is a folder with {WEIGHTS} and {CARD}")
    if not path.is_dir():
        names = ", ".join(shipped_checkpoints.NAMES)
        raise CheckpointError(f"{path}: no such folder; give a checkpoint, a run folder or one of {names}")
    if (path / CARD).exists() or (path / WEIGHTS).exists():
        return path
    inside = path / "checkpoints" if (path / "checkpoints").is_dir() else path
    for kind in ("best", "step"):
        found = numbered(inside, kind)
        if found:
            return found[-1]
    raise CheckpointError(f"{path}: contains no checkpoint ({CARD} and {WEIGHTS}, or a run's checkpoints/)")


def numbered(folder: Path, kind: str) -> list[Path]:
    """Return the folders `kind_00000100` of a run's checkpoints, oldest first."""
    if not folder.is_dir():
        return []
    return sorted(p for p in folder.iterdir() if re.fullmatch(rf"{kind}_\d{{8,}}", p.name) and p.is_dir())


def read_card(folder: Path) -> Card:
    """Read the card of a checkpoint folder. Raises CheckpointError."""
    return read(folder / CARD, Card)


def read_tensors(file: Path) -> dict[str, Tensor]:
    """Read the tensors of a safetensors file. Raise CheckpointError."""
    try:
        return load_file(file)
    except FileNotFoundError:
        raise CheckpointError(f"{file}: does not exist") from None
    except (OSError, SafetensorError, ValueError, KeyError) as error:
        raise CheckpointError(f"{file}: is damaged or cut short ({error}); copy it again") from None


def write_tensors(file: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write tensors as safetensors, without shared memory. Raise OSError."""
    separate = {name: tensor.detach().to("cpu", copy=True).contiguous() for name, tensor in tensors.items()}
    try:
        save_file(separate, file)
    except SafetensorError as error:  # a full disk, for example
        raise OSError(f"{file}: {error}") from error


def _fit(wanted: Mapping[str, Tensor], found: Mapping[str, Tensor], place: Path) -> None:
    """Raise CheckpointError for weights that do not fit the network."""
    for name, tensor in wanted.items():
        if name not in found:
            raise CheckpointError(f"{place / WEIGHTS}: has no '{name}', which the network of its card needs")
        if found[name].shape != tensor.shape:
            raise CheckpointError(
                f"{place / WEIGHTS}: '{name}' is {list(found[name].shape)}, the network of its card "
                f"has {list(tensor.shape)}"
            )
        if found[name].is_floating_point() != tensor.is_floating_point():
            raise CheckpointError(f"{place / WEIGHTS}: '{name}' is {found[name].dtype}, not {tensor.dtype}")
        if not bool(torch.isfinite(found[name]).all()):
            raise CheckpointError(f"{place / WEIGHTS}: '{name}' contains NaN or infinity")
    extra = sorted(set(found) - set(wanted))
    if extra:
        raise CheckpointError(
            f"{place / WEIGHTS}: contains '{extra[0]}', which the network of its card does not have"
        )


def _pickled(path: Path) -> bool:
    with path.open("rb") as handle:
        start = handle.read(4)
    return start[:1] == b"\x80" or start == b"PK\x03\x04"
