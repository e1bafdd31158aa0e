"""Separate the recordings with a teacher: estimates of speech, on disk; noise is what is left of the recordings."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from stillwave.adaptation.recordings import Material, Stretch
from stillwave.audio import Samples
from stillwave.console import progress_bar
from stillwave.errors import CheckpointError
from stillwave.files import atomic_file, read_json, write_json
from stillwave.schema import SAMPLE_RATE

BLOCK = 10 * SAMPLE_RATE
"""Largest number of samples that the teacher gets at once."""


@dataclass(frozen=True)
class Separator:
    """A teacher as a function from a recording `[n]` at 16 kHz to its speech `[n]`, aligned and at the same level."""

    name: str
    identity: str
    """Changes if its weights change."""
    estimate: Callable[[Samples], Samples]


def open_teacher(name: str) -> Separator:
    """Open a teacher: a checkpoint or run folder, a shipped model, or an external denoiser (`external.resolve`).

    Raises:
        CheckpointError: It is unknown, cannot be read, or is not for one microphone at 16 kHz.
        ExternalError: An external denoiser cannot be used.

    """
    from stillwave import checkpoint, external, pretrained

    if name in external.PEERS or name.startswith(external.CODE):
        return _external(name)
    place = pretrained.locate(name)
    if place.is_file():
        return _exported(name, place)
    network, card = checkpoint.load(place)
    if card.model.microphones != 1 or card.sample_rate != SAMPLE_RATE:
        raise CheckpointError(
            f"{name}: expects {card.model.microphones} microphone(s) at {card.sample_rate} Hz; "
            f"a teacher of an adaptation is for one microphone at {SAMPLE_RATE} Hz"
        )
    return from_network(name, card.sha256, network)


def from_network(name: str, identity: str, network: Callable[..., object]) -> Separator:
    """Return a network of this package as a teacher."""
    import torch

    def estimate(samples: Samples) -> Samples:
        with torch.inference_mode():
            found: torch.Tensor = network(torch.from_numpy(np.array(samples))[None])  # type: ignore[assignment]
        return np.asarray(found[0].numpy(), np.float32)

    return Separator(name, identity, estimate)


def _exported(name: str, place: Path) -> Separator:
    from stillwave.files import sha256
    from stillwave.inference import load

    enhancer = load(place)
    if enhancer.microphones != 1:
        raise CheckpointError(
            f"{name}: expects {enhancer.microphones} microphones; a teacher of an adaptation is for one"
        )
    return Separator(name, sha256(place), lambda samples: enhancer.enhance(np.array(samples), SAMPLE_RATE))


def _external(name: str) -> Separator:
    import torch

    from stillwave import external
    from stillwave.console import note
    from stillwave.distill.external_teacher import ExternalTeacher

    teacher = ExternalTeacher(external.resolve(name, SAMPLE_RATE))
    note(f"teacher {teacher.summary()}")

    def estimate(samples: Samples) -> Samples:
        return np.asarray(teacher(torch.from_numpy(np.array(samples))[None])[0].numpy(), np.float32)

    return Separator(name, teacher.identity, estimate)


def separate(material: Material, teacher: Separator, file: Path) -> Samples:
    """Return the teacher's speech estimates of all recordings, `[n]`, on disk.

    Written to `file` unless it holds them already. A recording that the teacher fails on has NaN.
    """
    facts = file.with_suffix(".json")
    key = {"recordings": material.digest, "teacher": teacher.identity}
    if read_json(facts) != key or not file.exists():
        _write(material, teacher, file)
        write_json(facts, key)
    return np.memmap(file, np.float32, "r")


def _write(material: Material, teacher: Separator, file: Path) -> None:
    with (
        atomic_file(file, sync=False) as temporary,
        temporary.open("wb") as target,
        progress_bar() as bar,
    ):
        total = len(material.samples) / SAMPLE_RATE
        task = bar.add_task("separating", total=round(total), note=f"s of recordings, by {teacher.name}")
        for one in material.stretches:
            for start, end in _blocks(one):
                block = material.samples[start:end]
                found = teacher.estimate(block) if block.any() else np.zeros_like(block)
                target.write(np.asarray(found, np.float32).tobytes())
                bar.update(task, completed=end / SAMPLE_RATE)


def _blocks(one: Stretch) -> Iterator[tuple[int, int]]:
    """Yield start and end of equal blocks of at most `BLOCK` samples."""
    edges = np.linspace(one.start, one.start + one.frames, -(-one.frames // BLOCK) + 1).astype(int)
    yield from itertools.pairwise(edges.tolist())
