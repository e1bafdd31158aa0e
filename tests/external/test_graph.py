"""ONNX and TorchScript files, Python functions and names."""

from __future__ import annotations

import numpy as np
import pytest
from external_denoisers import late, onnx_file, torchscript_file

from stillwave.external import ExternalError, calibrate, is_external, resolve
from stillwave.external.function import place_of
from stillwave.external.graph import OnnxDenoiser, TorchScriptDenoiser

SAMPLES = np.random.default_rng(0).standard_normal((3, 500)).astype(np.float32)


@pytest.mark.parametrize(("axes", "batch"), [(1, "B"), (2, "B"), (2, 1), (3, "B"), (3, 1)])
def test_an_onnx_file_maps_waveforms_of_any_layout(tmp_path, axes, batch):
    denoiser = OnnxDenoiser(onnx_file(tmp_path / "half.onnx", axes, batch), 16_000)
    assert np.array_equal(denoiser.enhance(SAMPLES), SAMPLES / 2)
    assert calibrate(denoiser)[:3] == (16_000, 0, 0.5)


def test_a_torchscript_file_maps_waveforms(tmp_path):
    denoiser = TorchScriptDenoiser(torchscript_file(tmp_path / "half.pt"), 16_000)
    assert np.array_equal(denoiser.enhance(SAMPLES), SAMPLES / 2)
    assert calibrate(denoiser)[:3] == (16_000, 0, 0.5)


def test_a_pickled_file_is_not_loaded(tmp_path):
    import torch

    torch.save(torch.nn.Linear(2, 2), tmp_path / "net.pt")
    with pytest.raises(ExternalError, match=r"torch\.jit\.save") as refused:
        resolve(str(tmp_path / "net.pt"), 16_000)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("name", ["a.onnx", "a.pt"])
def test_a_file_that_is_missing_or_damaged_is_refused(tmp_path, name):
    with pytest.raises(ExternalError, match="no such file"):
        resolve(str(tmp_path / name), 16_000)
    (tmp_path / name).write_bytes(b"\x08 no graph")
    with pytest.raises(ExternalError, match="cannot be read as") as refused:
        resolve(str(tmp_path / name), 16_000)
    assert "\n" not in str(refused.value)


def test_a_graph_with_states_is_refused(tmp_path):
    from onnx import TensorProto, helper, save

    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 257]) for name in ("a", "b", "c")]
    graph = helper.make_graph([helper.make_node("Add", ["a", "b"], ["c"])], "g", values[:2], values[2:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    save(model, str(tmp_path / "states.onnx"))
    with pytest.raises(ExternalError, match="one waveform of any length"):
        OnnxDenoiser(tmp_path / "states.onnx", 16_000)


def test_a_function_is_imported_by_name():
    denoiser = resolve("python:external_denoisers:late", 48_000)
    assert calibrate(denoiser).delay == 137
    assert np.array_equal(denoiser.enhance(SAMPLES), late(SAMPLES, 48_000))


@pytest.mark.parametrize(
    ("place", "words"),
    [
        ("python:external_denoisers", "write python:MODULE:NAME"),
        ("python:nosuchmodule:late", "cannot be imported"),
        ("python:external_denoisers:nosuch", "cannot be imported"),
        ("python:external_denoisers:PROGRAM", "is no function"),
        ("deepfilternet4", "did you mean 'deepfilternet3'"),
    ],
)
def test_a_wrong_name_is_refused(place, words):
    with pytest.raises(ExternalError, match=words):
        resolve(place, 16_000)


def test_names_of_checkpoints_are_not_external(tmp_path):
    assert not is_external("runs/teacher")
    assert not is_external(str(tmp_path))
    assert is_external("rnnoise")
    assert is_external("teacher.onnx")
    assert is_external("python:module:name")


def test_a_function_that_a_module_defines_has_a_place():
    assert place_of(late) == "python:external_denoisers:late"
    with pytest.raises(ExternalError, match="has no name at the top level"):
        place_of(lambda samples, rate: samples)
