"""Read exported networks (ONNX) without PyTorch.

Inputs and outputs of the graph are checked against the metadata of the file (`metadata.py`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stillwave.card import validated
from stillwave.errors import CheckpointError
from stillwave.inference.metadata import ESTIMATE, FORMAT, KEY, NEXT, NOISY, SPECTRUM, STATE, ModelMetadata

_ONNX_STARTS = b"\x08"
"""First byte of every ONNX file: the tag of its version field."""


@dataclass(frozen=True)
class OnnxModel:
    """An exported network; `session` is an `onnxruntime.InferenceSession`.

    Pickles contain the bytes of the file. Copies share the session, which has no state and is thread-safe.
    """

    path: Path
    session: Any
    meta: ModelMetadata
    sha256: str
    """SHA-256 of the file, in hexadecimal."""
    data: bytes = field(default=b"", repr=False)
    """Bytes of the file."""
    threads: int = 1

    def __reduce__(self) -> tuple[Callable[[Path, bytes, int], OnnxModel], tuple[Path, bytes, int]]:
        return _opened, (self.path, self.data, self.threads)

    def one_frame_session(self) -> Any:
        """Return a session of a streaming graph whose axes are fixed at one frame of one stream.

        Fixed shapes let ONNX Runtime fold the operators that compute shapes. None without the bytes of the file.
        """
        if not self.data:
            return None
        axes = {axis for value in self.session.get_inputs() for axis in value.shape if isinstance(axis, str)}
        return open_session(self.path, self.data, self.threads, dict.fromkeys(axes, 1))

    def __copy__(self) -> OnnxModel:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> OnnxModel:
        return self


def read(path: Path | str, threads: int = 1) -> OnnxModel:
    """Open an exported network for inference on `threads` CPU threads.

    Raises CheckpointError for a file that is missing, damaged, not written by stillwave or of a newer format, or whose
    inputs and outputs do not match its metadata.
    """
    path = Path(path)
    return _opened(path, _bytes(path), threads)


def _opened(path: Path, data: bytes, threads: int) -> OnnxModel:
    session = open_session(path, data, threads)
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
            f"{path}: is a pickled file, which could execute any code; give a file that `stillwave export` wrote"
        )
    if data[:1] != _ONNX_STARTS:
        what = "is empty" if not data else "is not an ONNX file"
        raise CheckpointError(f"{path}: {what}; give a file that `stillwave export` wrote")
    return data


def open_session(path: Path, data: bytes, threads: int, axes: Mapping[str, int] | None = None) -> Any:
    """Return an `onnxruntime.InferenceSession` of the bytes of a file, with these dynamic `axes` fixed.

    Raises CheckpointError.
    """
    import onnxruntime

    onnxruntime.disable_telemetry_events()  # Windows ignores the environment variable
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    # Spinning would occupy a core that other audio programs need.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # Older files have products of uint8 and int8, which saturate on x86 without VNNI; with this option, ONNX Runtime
    # converts such weights to uint8 (new files: `quantise.unsigned`).
    options.add_session_config_entry("session.x64quantprecision", "1")
    for axis, size in (axes or {}).items():
        options.add_free_dimension_override_by_name(axis, size)
    if axes:
        # For products with a single vector, ONNX Runtime has a fast kernel that takes no transposed operand; this
        # optimizer makes transposed ones of those of a band-split network.
        options.add_session_config_entry("optimization.disable_specified_optimizers", "MatmulTransposeFusion")
    options.log_severity_level = 4  # errors are reported by the exception below
    try:
        return onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # the only common base of ONNX Runtime's errors
        reason = str(error).splitlines()[0]
        raise CheckpointError(
            f"{path}: cannot be opened as an ONNX file: damaged, truncated, or for a newer ONNX Runtime ({reason})"
        ) from None


def _meta(path: Path, properties: dict[str, str]) -> ModelMetadata:
    if KEY not in properties:
        raise CheckpointError(
            f"{path}: was not written by `stillwave export` (its metadata have no key '{KEY}')"
        )
    try:
        raw = json.loads(properties[KEY])
    except ValueError as error:
        raise CheckpointError(f"{path}: the metadata '{KEY}' are not JSON ({error})") from None
    return validated(raw, ModelMetadata, f"{path}, metadata '{KEY}'", FORMAT, "export it again")


def _check_graph(path: Path, session: Any, meta: ModelMetadata) -> None:
    """Raise CheckpointError if names, types or shapes do not match the metadata."""
    inputs, outputs = _expected(meta)
    for kind, wanted, found in (
        ("input", inputs, session.get_inputs()),
        ("output", outputs, session.get_outputs()),
    ):
        shapes = {value.name: value for value in found}
        for name in [*wanted, *shapes]:
            if name not in wanted or name not in shapes:
                has = "has an" if name in shapes else "lacks the"
                raise CheckpointError(f"{path}: {has} {kind} '{name}', contrary to its metadata")
            value, shape = shapes[name], wanted[name]
            if value.type != "tensor(float)" or not _fits(value.shape, shape):
                raise CheckpointError(
                    f"{path}: its {kind} '{name}' is {value.type} {_axes(value.shape)}; "
                    f"expected tensor(float) {_axes(shape)} by its metadata"
                )


Shape = list[int | None]
"""None stands for a dynamic axis."""


def _expected(meta: ModelMetadata) -> tuple[dict[str, Shape], dict[str, Shape]]:
    """Return the shapes of inputs and outputs by name."""
    if meta.kind == "offline":
        microphones: Shape = [] if meta.microphones == 1 else [meta.microphones]
        return {NOISY: [None, *microphones, None]}, {ESTIMATE: [None, None]}
    inputs: dict[str, Shape] = {SPECTRUM: [None, 2 * meta.microphones, None, meta.bins]}
    outputs: dict[str, Shape] = {ESTIMATE: [None, 2, None, meta.bins]}
    for name, shape in meta.states.items():
        inputs[STATE + name] = outputs[NEXT + name] = [None, *shape]
    return inputs, outputs


def _fits(found: list[Any], wanted: Shape) -> bool:
    """Return whether the shapes match; dynamic axes of outputs match any size."""
    if len(found) != len(wanted):
        return False
    pairs = zip(found, wanted, strict=True)
    return all(not isinstance(a, int) if b is None else (a == b or not isinstance(a, int)) for a, b in pairs)


def _axes(shape: list[Any]) -> str:
    return "[" + ", ".join(str(axis) if isinstance(axis, int) else "·" for axis in shape) + "]"
