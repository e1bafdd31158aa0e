"""The systems that are scored: networks (of one or several seeds), classical peers, and the noisy input itself.

A file that names the networks, in YAML or JSON:

    default: m distilled          # the one that ships: robustness and failures are looked at with it
    systems:
      teacher: runs/teacher       # a run folder, a checkpoint or an exported .onnx file
      m alone: [runs/m/none/seed-0, runs/m/none/seed-1]
      m distilled: {runs: [runs/m/cosine/seed-0, runs/m/cosine/seed-1], against: m alone}
      m int8: {runs: m.int8.onnx, against: m distilled}

`against` names the system from which the difference is shown, paired by seed and recording.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from pydantic import ValidationError, field_validator, model_validator

from peers import PEERS  # type: ignore[import-not-found]
from stillwave.audio import Samples
from stillwave.errors import StillwaveError, nearest
from stillwave.schema import Frozen

NOISY = "noisy"
Enhance = Callable[[Samples, int], Samples]
"""`[channels, n]` at a rate to the same shape."""


class Spec(Frozen):
    """A network as the file names it."""

    runs: tuple[Path, ...]
    against: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _short(cls, value: Any) -> Any:
        return value if isinstance(value, dict) else {"runs": value}

    @field_validator("runs", mode="before")
    @classmethod
    def _one(cls, value: Any) -> Any:
        return [value] if isinstance(value, str | Path) else value


class Specs(Frozen):
    """All that a file names."""

    default: str
    systems: dict[str, Spec]

    @model_validator(mode="after")
    def _known(self) -> Specs:
        for name in [self.default, *(spec.against for spec in self.systems.values() if spec.against)]:
            if name not in self.systems:
                raise ValueError(f"there is no system '{name}'; {nearest(name, self.systems)}")
        for name, spec in self.systems.items():
            if name in (NOISY, *PEERS) or "/" in name or not spec.runs:
                raise ValueError(f"'{name}' cannot name a system, or has no runs")
        return self


@dataclass(frozen=True)
class Run:
    """One set of weights, or a peer. `fingerprint` changes with whatever changes its estimates."""

    system: str
    fingerprint: str
    path: Path | None = None
    seed: int | None = None

    def open(self) -> Enhance:
        """What enhances with it."""
        if self.path is not None:
            from stillwave.inference import load

            return load(self.path, "cpu").enhance
        if self.system == NOISY:
            return lambda samples, _: samples
        peer: Callable[[Samples, int], Samples] = PEERS[self.system]
        return lambda samples, rate: np.stack([peer(channel, rate) for channel in samples])


@dataclass(frozen=True)
class System:
    """A row of the tables."""

    name: str
    runs: tuple[Run, ...]
    against: str | None = None

    @property
    def is_network(self) -> bool:
        """Not the input, not a peer."""
        return self.runs[0].path is not None


def read_specs(path: Path) -> Specs:
    """Raises StillwaveError for a file that is not what the module's head describes. Paths are relative to the file,
    or else to the working folder.
    """
    try:
        specs = Specs.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except (OSError, yaml.YAMLError) as error:
        raise StillwaveError(f"{path}: cannot be read: {error}") from None
    except ValidationError as error:
        fault = error.errors()[0]
        raise StillwaveError(f"{path}: {'.'.join(map(str, fault['loc']))}: {fault['msg']}") from None
    return specs.model_copy(
        update={
            "systems": {
                name: spec.model_copy(update={"runs": tuple(_placed(path, run) for run in spec.runs)})
                for name, spec in specs.systems.items()
            }
        }
    )


def named(values: Sequence[str], default: str | None) -> Specs:
    """`NAME=PATH[,PATH…]`, the last of them the default unless another is named."""
    pairs = [value.partition("=")[::2] for value in values]
    systems = {name: {"runs": paths.split(",")} for name, paths in pairs}
    try:
        return Specs.model_validate({"default": default or list(systems)[-1], "systems": systems})
    except (ValidationError, IndexError) as error:
        raise StillwaveError(f"--system {' '.join(values)}: write NAME=PATH ({error})") from None


def _placed(file: Path, run: Path) -> Path:
    beside = file.parent / run
    return beside if beside.exists() else run


def systems_of(specs: Specs) -> list[System]:
    """The input, the peers, then the networks as they were named. Raises CheckpointError."""
    peers = hashlib.sha256(Path(PEERS["wiener"].__code__.co_filename).read_bytes()).hexdigest()
    return [
        System(NOISY, (Run(NOISY, NOISY),)),
        *(System(name, (Run(name, f"{name}-{peers}"),)) for name in PEERS),
        *(
            System(name, tuple(run_of(name, path) for path in spec.runs), spec.against)
            for name, spec in specs.systems.items()
        ),
    ]


def run_of(system: str, path: Path) -> Run:
    """A network's run. Raises CheckpointError."""
    card, sha256 = card_of(path)
    return Run(system, sha256, path, (card.get("recipe") or {}).get("seed"))


def card_of(path: Path) -> tuple[dict[str, Any], str]:
    """A network's card, and the SHA-256 of its weights or file. Raises CheckpointError."""
    if path.suffix == ".onnx":
        from stillwave.inference.onnx_model import read

        model = read(path)
        return model.meta.card, model.sha256
    from stillwave import checkpoint

    card = checkpoint.read_card(checkpoint.resolve(path))
    return card.model_dump(mode="json"), card.sha256
