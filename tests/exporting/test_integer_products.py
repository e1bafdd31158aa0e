"""Sums of 8-bit products are exact on every processor, also where uint8 × int8 saturates (x86 without VNNI)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from saved_networks import network

from stillwave.checkpoint import Card
from stillwave.exporting import graphs, quantise, signals, verify
from stillwave.exporting.export import describe
from stillwave.inference import onnx_model
from stillwave.inference.metadata import ModelMetadata, StftMetadata

SIGNS = np.array([[1, -1, 1, -1, 1, 0.5]], np.float32)
"""One output channel each: neighbouring products of one sign overflow 16 bits where they are added in pairs."""
INPUTS, FRAMES = 64, 20
WHOLE = ModelMetadata(kind="offline", stft=StftMetadata(n_fft=512, hop=256), delay_samples=0)


def model(nodes, weights: dict[str, np.ndarray]) -> onnx.ModelProto:
    """From `noisy` `[1, INPUTS · FRAMES]` to `estimate`."""
    size = INPUTS * FRAMES
    graph = helper.make_graph(
        nodes,
        "products",
        [helper.make_tensor_value_info("noisy", TensorProto.FLOAT, [1, size])],
        [helper.make_tensor_value_info("estimate", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def matrix_product() -> onnx.ModelProto:
    nodes = [
        helper.make_node("Reshape", ["noisy", "shape"], ["rows"]),
        helper.make_node("MatMul", ["rows", "weight"], ["estimate"]),
    ]
    weight = np.repeat(SIGNS, INPUTS, axis=0)
    return model(nodes, {"weight": weight, "shape": np.array([FRAMES, INPUTS])})


def convolution(groups: int = 1) -> onnx.ModelProto:
    nodes = [
        helper.make_node("Reshape", ["noisy", "shape"], ["image"]),
        helper.make_node("Conv", ["image", "weight"], ["estimate"], name="conv", group=groups),
    ]
    weight = np.tile(SIGNS.reshape(-1, 1, 1, 1), (1, INPUTS // groups, 1, 3)).astype(np.float32)
    return model(nodes, {"weight": weight[: 6 // groups * groups], "shape": np.array([1, INPUTS, 1, FRAMES])})


def loudest() -> np.ndarray:
    """All activations at the top of their range: code 255."""
    return np.ones((1, INPUTS * FRAMES), np.float32)


def signed_products(graph: onnx.ModelProto) -> list[str]:
    """Integer products of a graph whose weights are not uint8."""
    types = {entry.name: entry.data_type for entry in graph.graph.initializer}
    return [
        node.op_type
        for node in graph.graph.node
        if node.op_type in quantise.PRODUCTS
        and types[node.input[quantise.PRODUCTS[node.op_type][0]]] != TensorProto.UINT8
    ]


def test_matrix_products_are_exact() -> None:
    reduced = quantise.dynamic(matrix_product())
    assert "MatMulInteger" in {node.op_type for node in reduced.graph.node}
    (found,) = verify.onnx_runner(reduced)([loudest()])
    exact = np.repeat(INPUTS * SIGNS, FRAMES, axis=0)  # saturated pairs give half of it
    np.testing.assert_allclose(found, exact, rtol=1e-5)


@pytest.mark.parametrize("groups", [1, 2])
def test_convolutions_are_exact_to_their_outputs_step(groups) -> None:
    graph = convolution(groups)
    reduced = quantise.calibrated(graph, WHOLE, loudest()[:, None])
    assert "QLinearConv" in {node.op_type for node in reduced.graph.node}
    (found,), (exact,) = (verify.onnx_runner(each)([loudest()]) for each in (reduced, graph))
    assert np.abs(exact).max() == 3 * INPUTS // groups
    step = 2 * np.abs(exact).max() / 255
    assert np.abs(found - exact).max() <= 0.51 * step


def test_raising_codes_and_zero_points_changes_no_sum() -> None:
    """Against integers in NumPy, with and without a zero point, a weight that two products share among them."""
    rng = np.random.default_rng(0)
    codes, zeros = rng.integers(-128, 128, (INPUTS, 6)), rng.integers(-128, 128, 6)
    inputs = rng.integers(0, 256, (FRAMES, INPUTS))
    nodes = [
        helper.make_node("MatMulInteger", ["a", "w"], ["without"]),
        helper.make_node("MatMulInteger", ["a", "w", "", "z"], ["with"]),
    ]
    graph = helper.make_graph(
        nodes,
        "shared",
        [helper.make_tensor_value_info("a", TensorProto.UINT8, [FRAMES, INPUTS])],
        [helper.make_tensor_value_info(name, TensorProto.INT32, [FRAMES, 6]) for name in ("without", "with")],
        [numpy_helper.from_array(v.astype(np.int8), n) for n, v in (("w", codes), ("z", zeros))],
    )
    signed = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    safe = quantise.unsigned(signed)
    assert len(signed_products(signed)) == 2
    assert signed_products(safe) == []
    assert {entry.data_type for entry in safe.graph.initializer} == {TensorProto.UINT8}
    without, with_zeros = verify.onnx_runner(safe)([inputs.astype(np.uint8)])
    assert (without == inputs @ codes).all()
    assert (with_zeros == inputs @ (codes - zeros)).all()


@pytest.mark.parametrize("kind", ["bsrnn", "dpdcrn"])
def test_no_8_bit_precision_multiplies_by_signed_weights(kind) -> None:
    """What saturates is found on processors that do not saturate, too."""
    source = network(kind)
    meta = describe(source, Card(model=source.config), offline=False, precision="int8")
    graph = graphs.stream_graph(source)
    forms = {
        "stored": quantise.store(graph, 8),
        "calibrated": quantise.calibrated(graph, meta, signals.speechlike(1, 1, seconds=0.5)),
        "dynamic": quantise.dynamic(graph),
    }
    assert {name: signed_products(form) for name, form in forms.items()} == {name: [] for name in forms}
    products = {
        name: {n.op_type for n in form.graph.node} & {*quantise.PRODUCTS} for name, form in forms.items()
    }
    assert products["stored"] == set()
    assert products["dynamic"] == {"MatMulInteger"}
    assert products["calibrated"] == ({"QLinearConv"} if kind == "dpdcrn" else set())


def test_shipped_8_bit_models_multiply_in_float() -> None:
    folder = Path(onnx_model.__file__).parents[1] / "pretrained" / "shipped"
    files = sorted(folder.glob("*.int8.onnx"))
    assert files
    for file in files:
        types = {node.op_type for node in onnx.load(file).graph.node}
        assert not {t for t in types if "Integer" in t or "Quantize" in t or t.startswith("QLinear")}, file


def test_files_with_signed_weights_are_read_so_that_they_are_exact(tmp_path) -> None:
    """As exports once were: what ONNX Runtime's quantiser makes by default."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    onnx.save(matrix_product(), tmp_path / "float.onnx")
    quantize_dynamic(
        tmp_path / "float.onnx", tmp_path / "a.onnx", weight_type=QuantType.QInt8, per_channel=True
    )
    signed = onnx.load(tmp_path / "a.onnx")
    assert signed_products(signed)
    session = onnx_model.open_session(tmp_path / "a.onnx", signed.SerializeToString(), 1)
    (found,) = session.run(None, {"noisy": loudest()})
    np.testing.assert_allclose(found, np.repeat(INPUTS * SIGNS, FRAMES, axis=0), rtol=1e-5)
