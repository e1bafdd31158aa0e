"""Reading exported networks (ONNX), without PyTorch: what a file is, whether it is whole, and a session to run it.

The file says what it is under one key of its metadata (`meta.py`); inputs and outputs are checked against that, so
that whoever gets an `OnnxModel` can rely on it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from stillwave.errors import CheckpointError
from stillwave.inference.metadata import ESTIMATE, FORMAT, KEY, NEXT, NOISY, SPECTRUM, STATE, ModelMetadata

_ONNX_STARTS = b"\x08"
"""The first field of every ONNX file: its version, in protocol buffers' encoding."""


@dataclass(frozen=True)
class OnnxModel:
    """An exported network that can be run: `session` is an `onnxruntime.InferenceSession`.

    It can be pickled: the bytes of the file go along, so that it need not be where it is opened. Copies share the
    session, which remembers nothing and may be run from several threads.
    """

    path: Path
    session: Any
    meta: ModelMetadata
    sha256: str
    """Of the file, in hexadecimal."""
    data: bytes = field(default=b"", repr=False)
    """The file's own."""
    threads: int = 1

    def __reduce__(self) -> tuple[Callable[[Path, bytes, int], OnnxModel], tuple[Path, bytes, int]]:
        return _opened, (self.path, self.data, self.threads)

    def __copy__(self) -> OnnxModel:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> OnnxModel:
        return self


def read(path: Path | str, threads: int = 1) -> OnnxModel:
    """Open an exported network for running on `threads` threads of the CPU.

    Raises CheckpointError: absent, cut short, no ONNX file, not written by stillwave, of a newer format, or with
    other inputs and outputs than it says.
    """
    path = Path(path)
    return _opened(path, _bytes(path), threads)


def _opened(path: Path, data: bytes, threads: int) -> OnnxModel:
    session = _session(path, data, threads)
    meta = _meta(path, session.get_modelmeta().custom_metadata_map)
    _check_graph(path, session, meta)
    return OnnxModel(path, session, meta, hashlib.sha256(data).hexdigest(), data, threads)


def _bytes(path: Path) -> bytes:
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise CheckpointError(f"{path}: there is no such file") from None
    except IsADirectoryError:
        raise CheckpointError(f"{path}: is a folder; an exported network is one .onnx file") from None
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read: {error.strerror or error}") from None
    if data[:1] == b"\x80" or data[:4] == b"PK\x03\x04":
        raise CheckpointError(
            f"{path}: is a pickled file, which could run any code when read; give one that `stillwave export` wrote"
        )
    if data[:1] != _ONNX_STARTS:
        what = "is empty" if not data else "is not an ONNX file"
        raise CheckpointError(f"{path}: {what}; give one that `stillwave export` wrote")
    return data


def _session(path: Path, data: bytes, threads: int) -> Any:
    import onnxruntime

    onnxruntime.disable_telemetry_events()  # Windows does not ask the environment, as `stillwave/__init__.py` has it
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    # Waiting for work in a loop would take a whole core from the sound's other programs.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # A file whose products are of uint8 and int8, as exports once were, saturates on x86 without VNNI; with this,
    # ONNX Runtime makes such weights uint8 itself (`quantise.unsigned` does that for new files).
    options.add_session_config_entry("session.x64quantprecision", "1")
    options.log_severity_level = 4  # faults are told once, in the sentence below
    try:
        return onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's own classes have no common ancestor but this
        reason = str(error).splitlines()[0]
        raise CheckpointError(
            f"{path}: cannot be opened as an ONNX file: damaged, cut short, or for a newer ONNX Runtime ({reason})"
        ) from None


def _meta(path: Path, properties: dict[str, str]) -> ModelMetadata:
    if KEY not in properties:
        raise CheckpointError(
            f"{path}: was not written by `stillwave export` (it has no '{KEY}' among its metadata)"
        )
    try:
        raw = json.loads(properties[KEY])
    except ValueError as error:
        raise CheckpointError(f"{path}: its '{KEY}' metadata are not JSON ({error})") from None
    found = raw.get("format") if isinstance(raw, dict) else None
    if isinstance(found, int) and found > FORMAT:
        raise CheckpointError(
            f"{path}: has format {found}, this version reads up to {FORMAT}; update stillwave"
        )
    try:
        return ModelMetadata.model_validate(raw)
    except ValidationError as error:
        fault = error.errors()[0]
        key = ".".join(str(part) for part in fault["loc"]) or "the whole"
        raise CheckpointError(f"{path}: its '{KEY}' metadata: {key}: {fault['msg']}") from None


def _check_graph(path: Path, session: Any, meta: ModelMetadata) -> None:
    """Refuse a graph that is not what its metadata say: names, shapes, and float32 throughout."""
    inputs, outputs = _promised(meta)
    for kind, wanted, found in (
        ("input", inputs, session.get_inputs()),
        ("output", outputs, session.get_outputs()),
    ):
        shapes = {value.name: value for value in found}
        for name in [*wanted, *shapes]:
            if name not in wanted or name not in shapes:
                has = "has an" if name in shapes else "lacks the"
                raise CheckpointError(f"{path}: {has} {kind} '{name}', which is not what its metadata say")
            value, shape = shapes[name], wanted[name]
            if value.type != "tensor(float)" or not _fits(value.shape, shape):
                raise CheckpointError(
                    f"{path}: its {kind} '{name}' is {value.type} {_axes(value.shape)}; "
                    f"its metadata say tensor(float) {_axes(shape)}"
                )


Shape = list[int | None]
"""None: any length."""


def _promised(meta: ModelMetadata) -> tuple[dict[str, Shape], dict[str, Shape]]:
    """Inputs and outputs by name, with shapes."""
    if meta.kind == "offline":
        microphones: Shape = [] if meta.microphones == 1 else [meta.microphones]
        return {NOISY: [None, *microphones, None]}, {ESTIMATE: [None, None]}
    inputs: dict[str, Shape] = {SPECTRUM: [None, 2 * meta.microphones, None, meta.bins]}
    outputs: dict[str, Shape] = {ESTIMATE: [None, 2, None, meta.bins]}
    for name, shape in meta.states.items():
        inputs[STATE + name] = outputs[NEXT + name] = [None, *shape]
    return inputs, outputs


def _fits(found: list[Any], wanted: Shape) -> bool:
    """Whether the shapes agree. Outputs often have axes that the graph leaves unnamed: these fit anything."""
    if len(found) != len(wanted):
        return False
    pairs = zip(found, wanted, strict=True)
    return all(not isinstance(a, int) if b is None else (a == b or not isinstance(a, int)) for a, b in pairs)


def _axes(shape: list[Any]) -> str:
    return "[" + ", ".join(str(axis) if isinstance(axis, int) else "·" for axis in shape) + "]"
