"""The systems of an arena, as the command line names them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from stillwave.data.scan import SUFFIXES
from stillwave.errors import StillwaveError
from stillwave.evaluation import NOISY
from stillwave.external import PEERS, is_external
from stillwave.files import as_path, printable, walk

COMMAND = "cmd:"
"""Start of a command line: `cmd: tool {in} {out}`."""
_NAMED = re.compile(r"([\w.+-]+)=(.+)", re.DOTALL)

Kind = Literal["model", "external", "command", "outputs"]


@dataclass(frozen=True)
class ArenaSystem:
    """A system to score.

    Attributes:
        name: The name in tables and of its folder.
        place: A model, a file, a command line, a Python function or a folder.
        kind: `model` is opened by `stillwave.load`; `external` and `command` by `stillwave.external`; `outputs` is a
            folder of estimates.

    """

    name: str
    place: str
    kind: Kind


@dataclass(frozen=True)
class SystemCost:
    """What a system costs; None for what is not known.

    Attributes:
        parameters: Number of parameters.
        macs_per_second: Multiply-accumulates for a second of sound.
        delay_ms: Delay of the output in milliseconds; of an external system as measured, and compensated.
        cpu_ratio: Time of one core for a second of sound, in seconds; median over recordings.
        note: What was measured and compensated, as a line.

    """

    parameters: int | None = None
    macs_per_second: float | None = None
    delay_ms: float | None = None
    cpu_ratio: float | None = None
    note: str = ""


def parse(values: Sequence[str]) -> list[ArenaSystem]:
    """Return the systems of `NAME=PLACE` or `PLACE`.

    Examples:
        >>> parse(["bsrnn-m", "rnnoise", "mine=cmd: tool {in} {out}"])[2]
        ArenaSystem(name='mine', place='cmd: tool {in} {out}', kind='command')

    Raises:
        StillwaveError: A name is invalid or given twice, or there is no system.

    """
    systems: dict[str, ArenaSystem] = {}
    for value in values:
        match = _NAMED.fullmatch(value)
        name, place = (match[1], match[2].strip()) if match else ("", value.strip())
        _check_place(place)
        name = name or _default_name(place)
        if not re.fullmatch(r"[\w.+-]+", name) or name.startswith(".") or name in (NOISY, "clean"):
            raise StillwaveError(f"{value}: '{name}' cannot be the name of a system; write NAME=PLACE")
        if name in systems:
            raise StillwaveError(f"{value}: the name '{name}' is given twice; write NAME=PLACE with another")
        systems[name] = ArenaSystem(name, place, _kind(place))
    if not systems:
        raise StillwaveError("give one or more systems, such as bsrnn-m or rnnoise")
    return list(systems.values())


def _check_place(place: str) -> None:
    """Raise StillwaveError for a command line with an open quotation, or a path of which nothing exists."""
    if place.startswith(COMMAND):
        try:
            shlex.split(place.removeprefix(COMMAND))
        except ValueError as error:
            raise StillwaveError(f"{place}: cannot be split into words ({error})") from None
    elif not place.startswith("python:") and Path(place).name != place and not as_path(place).exists():
        raise StillwaveError(f"{place}: there is no such file or folder")


def _default_name(place: str) -> str:
    if place.startswith(COMMAND):
        words = shlex.split(place.removeprefix(COMMAND))
        return Path(words[0]).name if words else ""
    if place.startswith("python:"):
        return place.rpartition(":")[2]
    path = as_path(place)
    return printable(path.resolve().name) if path.is_dir() else path.stem if path.is_file() else place


def _kind(place: str) -> Kind:
    if place.startswith(COMMAND):
        return "command"
    path = as_path(place)
    if path.is_dir():
        files = walk(path).files
        if not files:
            raise StillwaveError(
                f"{place}: is empty; a folder is a checkpoint, a run, or estimates of each recording"
            )
        return "outputs" if any(f.suffix.lower() in SUFFIXES for f in files) else "model"
    if place not in PEERS and path.suffix.lower() == ".onnx" and path.is_file():
        return "model" if _is_own(path) else "external"
    return "external" if is_external(place) else "model"


def _is_own(path: Path) -> bool:
    """Return whether an ONNX file was exported by stillwave."""
    from stillwave.inference.onnx_model import read

    try:
        read(path)
    except StillwaveError:
        return False
    return True
