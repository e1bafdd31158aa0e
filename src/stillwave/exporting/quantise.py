"""Quantise an exported graph: weights in 8 or 16 bits, and integer products where ranges are known.

ONNX Runtime has no GRU in 8 bits and no float16 arithmetic on CPUs. Weights of such operators are only stored in
reduced precision and converted to float32 once, when the file is loaded: the file is smaller, the time per frame is
the same.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from stillwave.audio import Samples
from stillwave.inference.metadata import SPECTRUM, STATE, ModelMetadata

if TYPE_CHECKING:
    from onnx import GraphProto, ModelProto, NodeProto, TensorProto

SMALLEST = 256
"""Smaller tensors (biases, slopes, norms) stay in float32."""
OUTPUT_AXES = {"Conv": (0,), "ConvTranspose": (1,), "MatMul": (1,), "Gemm": (0,), "GRU": (0, 1)}
"""Output axes of an operator's weight, with one scale for each index; by default the first."""
PRODUCTS = {"MatMulInteger": (1, 3), "QLinearConv": (3, 5)}
"""Integer operators, with the positions of the weight and its zero point among their inputs."""


def store(graph: ModelProto, bits: Literal[8, 16]) -> ModelProto:
    """Return the graph with its weights in int8, one scale for each output, or in float16. It computes in float32."""
    stored = _copied(graph)
    users = {name: node for node in reversed(stored.graph.node) for name in node.input}
    widen: list[NodeProto] = []
    for tensor in list(stored.graph.initializer):
        node = users.get(tensor.name)
        if node is not None and _is_weight(tensor, node):
            widen += _in_int8(stored.graph, tensor, node) if bits == 8 else _in_float16(stored.graph, tensor)
    nodes = [*widen, *stored.graph.node]
    del stored.graph.node[:]
    stored.graph.node.extend(nodes)
    return stored


def _copied(graph: ModelProto) -> ModelProto:
    import onnx

    copy = onnx.ModelProto()
    copy.CopyFrom(graph)
    return copy


def _is_weight(tensor: TensorProto, node: NodeProto) -> bool:
    import onnx

    fourier = node.op_type in ("Conv", "ConvTranspose") and len(tensor.dims) == 3  # the STFT stays exact
    large = int(np.prod(tensor.dims)) >= SMALLEST
    return tensor.data_type == onnx.TensorProto.FLOAT and len(tensor.dims) > 1 and large and not fourier


def _in_int8(graph: GraphProto, tensor: TensorProto, node: NodeProto) -> list[NodeProto]:
    from onnx import TensorProto, helper, numpy_helper

    codes, scale = encode(numpy_helper.to_array(tensor), OUTPUT_AXES.get(node.op_type, (0,)))
    name = tensor.name
    graph.initializer.remove(tensor)
    graph.initializer.append(numpy_helper.from_array(codes, f"{name}.int8"))
    graph.initializer.append(numpy_helper.from_array(scale, f"{name}.scale"))
    return [
        helper.make_node("Cast", [f"{name}.int8"], [f"{name}.wide"], to=TensorProto.FLOAT),
        helper.make_node("Mul", [f"{name}.wide", f"{name}.scale"], [name]),
    ]


def _in_float16(graph: GraphProto, tensor: TensorProto) -> list[NodeProto]:
    from onnx import TensorProto, helper, numpy_helper

    half, name = numpy_helper.to_array(tensor).astype(np.float16), tensor.name
    if not np.isfinite(half).all():  # beyond 65504
        return []
    graph.initializer.remove(tensor)
    graph.initializer.append(numpy_helper.from_array(half, f"{name}.float16"))
    return [helper.make_node("Cast", [f"{name}.float16"], [name], to=TensorProto.FLOAT)]


def encode(weight: NDArray[Any], axes: Sequence[int]) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Return integers in −127 … 127 and scales, one for each index of `axes`, whose product approximates `weight`.

    Examples:
        >>> codes, scale = encode(np.array([[1.0, -0.5], [0.0, 0.0]]), (0,))
        >>> codes.tolist(), (scale * 127).tolist()
        ([[127, -64], [0, 0]], [[1.0], [0.0]])

    """
    others = tuple(axis for axis in range(weight.ndim) if axis not in axes)
    scale = (np.abs(weight).max(axis=others, keepdims=True) / 127).astype(np.float32)
    codes = np.rint(weight / np.where(scale == 0, 1, scale)).clip(-127, 127).astype(np.int8)
    return codes, scale


def calibrated(graph: ModelProto, meta: ModelMetadata, noisy: Samples) -> ModelProto:
    """Return the graph with int8 convolutions, ranges measured on `noisy` `[R, M, N]`; other weights stored in int8.

    The ranges are fixed, so estimates depend neither on the block size nor on other streams in the batch.
    """
    from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, quantize_static

    convolutions = [
        node.name for node in graph.graph.node if node.op_type == "Conv" and not _is_fourier(graph, node)
    ]
    if not convolutions:
        return store(graph, 8)
    return _through_file(
        quantize_static,
        graph,
        calibration_data_reader=_Reader(graph, meta, noisy),
        quant_format=QuantFormat.QOperator,
        op_types_to_quantize=["Conv"],
        nodes_to_quantize=convolutions,
        per_channel=True,
        weight_type=QuantType.QInt8,
        activation_type=QuantType.QUInt8,
        calibrate_method=CalibrationMethod.MinMax,
    )


def dynamic(graph: ModelProto) -> ModelProto:
    """Return the graph with int8 matrix products, ranges measured in each call; other weights stored in int8.

    A range covers all frames and streams of a call, so estimates depend on the block size and on other streams.
    """
    from onnxruntime.quantization import QuantType, quantize_dynamic

    return _through_file(
        quantize_dynamic,
        graph,
        op_types_to_quantize=["MatMul"],
        weight_type=QuantType.QInt8,
        per_channel=True,
    )


def _through_file(tool: Any, graph: ModelProto, **options: Any) -> ModelProto:
    """Apply one of ONNX Runtime's quantisers, which read and write files."""
    import logging

    import onnx

    with tempfile.TemporaryDirectory() as folder:
        before, after = Path(folder) / "before.onnx", Path(folder) / "after.onnx"
        onnx.save(graph, before)
        level = logging.root.manager.disable
        logging.disable(logging.WARNING)  # it recommends a preprocessing that this graph does not need
        try:
            tool(before, after, **options)
        finally:
            logging.disable(level)
        return store(unsigned(onnx.load(after)), 8)


def unsigned(graph: ModelProto) -> ModelProto:
    """Return the graph with the weights of integer products in uint8: codes and zero points increased by 128.

    The results are the same. x86 processors without VNNI multiply uint8 by int8 with VPMADDUBSW, which adds two
    products in 16 bits and saturates: 2 · 255 · 127 becomes 32767. Products of uint8 and uint8 are exact.
    """
    from onnx import numpy_helper

    safe = _copied(graph)
    tensors = {entry.name: entry for entry in safe.graph.initializer}
    converted: dict[str, str] = {}
    for node in safe.graph.node:
        if node.op_type not in PRODUCTS:
            continue
        weight, zero_point = PRODUCTS[node.op_type]
        if node.input[weight] not in converted and not _is_int8(tensors.get(node.input[weight])):
            continue
        node.input.extend([""] * (zero_point + 1 - len(node.input)))
        for place in (weight, zero_point):
            name = node.input[place]
            if name not in converted:
                codes = numpy_helper.to_array(tensors[name]) if name else np.array(0, np.int8)
                converted[name] = f"{name or 'zero_point'}.uint8"
                shifted = (codes.astype(np.int16) + 128).astype(np.uint8)
                safe.graph.initializer.append(numpy_helper.from_array(shifted, converted[name]))
            node.input[place] = converted[name]
    _drop_unused(safe.graph, converted)
    return safe


def _is_int8(tensor: TensorProto | None) -> bool:
    import onnx

    return tensor is not None and tensor.data_type == onnx.TensorProto.INT8


def _drop_unused(graph: GraphProto, names: Iterable[str]) -> None:
    """Remove the initializers `names` that no operator uses."""
    used = {name for node in graph.node for name in node.input}
    for entry in list(graph.initializer):
        if entry.name in names and entry.name not in used:
            graph.initializer.remove(entry)


def _is_fourier(graph: ModelProto, node: NodeProto) -> bool:
    return any(entry.name == node.input[1] and len(entry.dims) == 3 for entry in graph.graph.initializer)


class _Reader:
    """Calibration data in ONNX Runtime's interface."""

    def __init__(self, graph: ModelProto, meta: ModelMetadata, noisy: Samples) -> None:
        self.feeds = feeds(graph, meta, noisy)

    def get_next(self) -> dict[str, Samples] | None:
        return next(self.feeds, None)


def feeds(
    graph: ModelProto, meta: ModelMetadata, noisy: Samples, frames: int = 50
) -> Iterator[dict[str, Samples]]:
    """Yield the inputs of the graph, block by block, for `noisy` `[R, M, N]`."""
    from stillwave.exporting.verify import blocks_of, onnx_runner, spectra

    if meta.kind == "offline":
        yield {"noisy": noisy[:, 0] if meta.microphones == 1 else noisy}
        return
    run = onnx_runner(graph)
    states = [np.zeros((len(noisy), *shape), np.float32) for shape in meta.states.values()]
    for block in blocks_of(spectra(meta, noisy), (frames,)):
        yield {SPECTRUM: block, **{STATE + name: s for name, s in zip(meta.states, states, strict=True)}}
        _, *states = run([block, *states])
