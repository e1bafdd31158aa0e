"""Smaller numbers in an exported graph: weights of 8 or 16 bits, and sums of 8 bits where ranges are known.

ONNX Runtime computes no GRU in 8 bits, and nothing on a CPU of today in 16. What it cannot compute so, is kept so:
a weight is stored small and widened to float32 when the file is loaded, once, so that the file shrinks, the
time of a frame stays, and estimates depend on nothing but the signal.
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
"""Tensors of fewer numbers stay as they are: biases, slopes, norms."""
OUTPUT_AXES = {"Conv": (0,), "ConvTranspose": (1,), "MatMul": (1,), "Gemm": (0,), "GRU": (0, 1)}
"""Axes of an operator's weight that get a scale for each index: those of its outputs. Otherwise the first."""
PRODUCTS = {"MatMulInteger": (1, 3), "QLinearConv": (3, 5)}
"""Operators that multiply integers: which of their inputs are the weight and its zero point."""


def store(graph: ModelProto, bits: Literal[8, 16]) -> ModelProto:
    """The graph with its weights in int8, a scale for each output, or in float16. It computes in float32."""
    small = _copied(graph)
    users = {name: node for node in reversed(small.graph.node) for name in node.input}
    widen: list[NodeProto] = []
    for tensor in list(small.graph.initializer):
        node = users.get(tensor.name)
        if node is not None and _is_weight(tensor, node):
            widen += _in_int8(small.graph, tensor, node) if bits == 8 else _in_float16(small.graph, tensor)
    nodes = [*widen, *small.graph.node]
    del small.graph.node[:]
    small.graph.node.extend(nodes)
    return small


def _copied(graph: ModelProto) -> ModelProto:
    import onnx

    copy = onnx.ModelProto()
    copy.CopyFrom(graph)
    return copy


def _is_weight(tensor: TensorProto, node: NodeProto) -> bool:
    import onnx

    fourier = node.op_type in ("Conv", "ConvTranspose") and len(tensor.dims) == 3  # the STFT must stay exact
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
    """Integers of −127 … 127 and scales, their product next to `weight`; one scale for each index of `axes`.

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
    """The graph with its convolutions in int8, of ranges that `noisy` `[R, M, N]` has; other weights stored so.

    Ranges are fixed: an estimate depends neither on the size of blocks nor on the streams beside it.
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
    """The graph with matrix products in int8, of ranges taken anew in each call; other weights stored so.

    A range is that of a whole block and of all streams in it: sizes of blocks and neighbours change the estimate.
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
    """What one of ONNX Runtime's quantisers makes of a graph; they write files alone, with int8 weights."""
    import logging

    import onnx

    with tempfile.TemporaryDirectory() as folder:
        before, after = Path(folder) / "before.onnx", Path(folder) / "after.onnx"
        onnx.save(graph, before)
        noisy = logging.root.manager.disable
        logging.disable(logging.WARNING)  # it advises a preparation that this graph does not need
        try:
            tool(before, after, **options)
        finally:
            logging.disable(noisy)
        return store(unsigned(onnx.load(after)), 8)


def unsigned(graph: ModelProto) -> ModelProto:
    """Return the graph with the weights of integer products in uint8: codes and zero points raised by 128.

    The sums stay the same. x86 processors without VNNI multiply uint8 by int8 with VPMADDUBSW, which adds two
    neighbouring products in 16 bits and saturates: 2 · 255 · 127 becomes 32767. They multiply uint8 by uint8 exactly.
    """
    from onnx import numpy_helper

    safe = _copied(graph)
    tensors = {entry.name: entry for entry in safe.graph.initializer}
    raised: dict[str, str] = {}
    for node in safe.graph.node:
        if node.op_type not in PRODUCTS:
            continue
        weight, zero_point = PRODUCTS[node.op_type]
        if node.input[weight] not in raised and not _is_int8(tensors.get(node.input[weight])):
            continue
        node.input.extend([""] * (zero_point + 1 - len(node.input)))
        for place in (weight, zero_point):
            name = node.input[place]
            if name not in raised:
                codes = numpy_helper.to_array(tensors[name]) if name else np.array(0, np.int8)
                raised[name] = f"{name or 'zero_point'}.uint8"
                moved = (codes.astype(np.int16) + 128).astype(np.uint8)
                safe.graph.initializer.append(numpy_helper.from_array(moved, raised[name]))
            node.input[place] = raised[name]
    _drop_unused(safe.graph, raised)
    return safe


def _is_int8(tensor: TensorProto | None) -> bool:
    import onnx

    return tensor is not None and tensor.data_type == onnx.TensorProto.INT8


def _drop_unused(graph: GraphProto, names: Iterable[str]) -> None:
    """Remove those of the initializers `names` that no operator reads any more."""
    used = {name for node in graph.node for name in node.input}
    for entry in list(graph.initializer):
        if entry.name in names and entry.name not in used:
            graph.initializer.remove(entry)


def _is_fourier(graph: ModelProto, node: NodeProto) -> bool:
    return any(entry.name == node.input[1] and len(entry.dims) == 3 for entry in graph.graph.initializer)


class _Reader:
    """Blocks of a signal with the states that belong to them, as the calibration wants them."""

    def __init__(self, graph: ModelProto, meta: ModelMetadata, noisy: Samples) -> None:
        self.feeds = feeds(graph, meta, noisy)

    def get_next(self) -> dict[str, Samples] | None:
        return next(self.feeds, None)


def feeds(
    graph: ModelProto, meta: ModelMetadata, noisy: Samples, frames: int = 50
) -> Iterator[dict[str, Samples]]:
    """The graph's inputs, block by block, when it runs over `noisy` `[R, M, N]`."""
    from stillwave.exporting.verify import blocks_of, onnx_runner, spectra

    if meta.kind == "offline":
        yield {"noisy": noisy[:, 0] if meta.microphones == 1 else noisy}
        return
    run = onnx_runner(graph)
    states = [np.zeros((len(noisy), *shape), np.float32) for shape in meta.states.values()]
    for block in blocks_of(spectra(meta, noisy), (frames,)):
        yield {SPECTRUM: block, **{STATE + name: s for name, s in zip(meta.states, states, strict=True)}}
        _, *states = run([block, *states])
