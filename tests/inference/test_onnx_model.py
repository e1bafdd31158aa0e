"""Valid exported files are read; others are refused with the reason."""

from __future__ import annotations

import json
import pickle
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from exported import describe, export, message

from stillwave.errors import CheckpointError
from stillwave.inference import OnnxBackend
from stillwave.inference.onnx_model import read
from stillwave.models import build
from stillwave.schema import ModelConfig

SMALL = ModelConfig(name="bsrnn", channels=8, blocks=2, bands=8, causal=True, norm="frame")


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    torch.manual_seed(0)
    return export(build(SMALL), tmp_path_factory.mktemp("whole") / "whole.onnx", card={"sha256": "abc"})


@pytest.fixture
def copy(whole, tmp_path) -> Path:
    return Path(shutil.copy(whole, tmp_path / "student.onnx"))


def test_a_valid_file_is_read(whole):
    model = read(whole)
    assert (model.meta.kind, model.meta.sample_rate, model.meta.stft.hop) == ("stream", 16_000, 256)
    assert len(model.sha256) == 64
    assert model.session.get_session_options().intra_op_num_threads == 1
    assert read(str(whole), threads=2).session.get_session_options().intra_op_num_threads == 2
    assert OnnxBackend(whole).fingerprint == "abc"


def test_single_frames_of_one_stream_have_a_session_of_fixed_axes(whole):
    backend, plain = OnnxBackend(whole), OnnxBackend(whole)
    backend.prepare_frames()
    shapes = [value.shape for value in read(whole).one_frame_session().get_inputs()]
    assert shapes[0] == [1, 2, 1, 257]
    assert all(isinstance(axis, int) for shape in shapes for axis in shape)
    rng = np.random.default_rng(0)
    for streams in (1, 2):
        state = other = backend.begin(streams)
        for frames in (1, 3, 1, 1):
            spectrum = rng.standard_normal((streams, 2, frames, 257)).astype(np.float32)
            found, state = backend.step(spectrum, state)
            wanted, other = plain.step(spectrum, other)
            assert found.shape == (streams, 2, frames, 257)
            assert np.abs(found - wanted).max() < 1e-6
            assert all(np.abs(state[name] - other[name]).max() < 1e-6 for name in other)


def test_a_model_without_the_bytes_of_its_file_computes_single_frames_too(whole):
    backend = OnnxBackend(replace(read(whole), data=b""))
    backend.prepare_frames()
    estimate, _ = backend.step(np.zeros((1, 2, 1, 257), np.float32), backend.begin(1))
    assert estimate.shape == (1, 2, 1, 257)


def test_a_file_without_a_card_is_identified_by_its_hash(copy):
    describe(copy, json.dumps({**message(copy), "card": {}}))
    assert OnnxBackend(copy).fingerprint == read(copy).sha256


@pytest.mark.parametrize("share", [0.01, 0.3, 0.6, 0.9, 0.99, 0.9999])
def test_a_truncated_file_is_refused(copy, share):
    data = copy.read_bytes()
    copy.write_bytes(data[: int(share * len(data))])
    with pytest.raises(CheckpointError, match=r"student\.onnx: "):
        read(copy)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "is empty; .*`stillwave export`"),
        (b"RIFF....WAVE", "is not an ONNX file; .*`stillwave export`"),
        (b"{}", "is not an ONNX file; .*`stillwave export`"),
        (pickle.dumps({"a": 1}), "is a pickled file"),
        (b"PK\x03\x04" + bytes(100), "is a pickled file"),
        (b"\x08" + bytes(range(200)), "cannot be opened"),
    ],
)
def test_files_that_are_not_onnx_are_refused(tmp_path, data, words):
    path = tmp_path / "other.onnx"
    path.write_bytes(data)
    with pytest.raises(CheckpointError, match=rf"other\.onnx: {words}"):
        read(path)


def test_missing_files_are_refused(tmp_path):
    with pytest.raises(CheckpointError, match=r"none\.onnx: .*no such file"):
        read(tmp_path / "none.onnx")
    with pytest.raises(CheckpointError, match="is a folder"):
        read(tmp_path)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, "`stillwave export`.*'stillwave'"),
        ("{", "metadata 'stillwave'.*JSON"),
        ("[]", "metadata 'stillwave': .*JSON object"),
        ('{"format": 2}', "metadata 'stillwave': .*format 2.* 1;"),
        ('{"format": 1, "kind": "other"}', "kind: "),
    ],
)
def test_foreign_and_newer_metadata_are_refused(copy, text, words):
    describe(copy, text)
    with pytest.raises(CheckpointError, match=words):
        read(copy)


@pytest.fixture
def changed(copy):
    """The file with other metadata than its own."""
    own = message(copy)

    def change(**changes) -> Path:
        describe(copy, json.dumps({**own, **changes}))
        return copy

    return change


def test_a_graph_that_differs_from_its_metadata_is_refused(copy, changed):
    states = message(copy)["states"]
    name = next(iter(states))
    with pytest.raises(CheckpointError, match=r"student\.onnx: .*input 'state\.blocks.*metadata"):
        read(changed(states={k: v for k, v in states.items() if k != name}))
    with pytest.raises(CheckpointError, match=r"lacks .*'state\.strange'"):
        read(changed(states={**states, "strange": [1]}))
    with pytest.raises(CheckpointError, match=r"its input 'state\..*expected tensor\(float\) \[·, 77\]"):
        read(changed(states={**states, name: [77]}))
    with pytest.raises(CheckpointError, match=r"its input 'spectrum' is tensor\(float\) \[·, 2, ·, 257\];"):
        read(changed(microphones=2))
    with pytest.raises(CheckpointError, match=r"lacks .*'noisy'"):
        read(changed(states={}, kind="offline"))


def test_inputs_of_another_type_are_refused(copy):
    proto = onnx.load(copy)
    for value in proto.graph.input:
        if value.name != "spectrum":
            continue
        value.type.tensor_type.elem_type = onnx.TensorProto.DOUBLE
    onnx.save(proto, copy)
    with pytest.raises(CheckpointError, match=r"student\.onnx: "):
        read(copy)


def test_the_axis_of_streams_must_be_dynamic(copy):
    proto = onnx.load(copy)
    for value in proto.graph.input:
        value.type.tensor_type.shape.dim[0].dim_value = 1
    onnx.save(proto, copy)
    with pytest.raises(CheckpointError, match=r"its input 'spectrum' is tensor\(float\) \[1, 2, ·, 257\]"):
        read(copy)


def offline(path: Path) -> Path:
    """A graph on whole signals that halves them."""
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    graph = helper.make_graph(
        [helper.make_node("Mul", ["noisy", "half"], ["estimate"])],
        "halves",
        [helper.make_tensor_value_info("noisy", kind, ["batch", "samples"])],
        [helper.make_tensor_value_info("estimate", kind, ["batch", "samples"])],
        [helper.make_tensor("half", kind, [1], [0.5])],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    meta = {"format": 1, "kind": "offline", "stft": {"n_fft": 512, "hop": 256}, "delay_samples": 0}
    describe(path, json.dumps(meta))
    return path


def test_a_file_for_whole_signals_enhances_and_does_not_stream(tmp_path):
    import numpy as np

    import stillwave
    from stillwave.errors import StateError

    path = offline(tmp_path / "whole.onnx")
    enhancer = stillwave.load(path)
    noisy = np.random.default_rng(0).standard_normal((2, 200_000)).astype(np.float32)
    assert np.abs(enhancer.enhance(noisy, 16_000) - noisy / 2).max() < 1e-6
    with pytest.raises(StateError, match="causal"):
        enhancer.open()
    with pytest.raises(CheckpointError, match=r"whole\.onnx: .*--offline"):
        OnnxBackend(path)


def test_a_file_with_look_ahead_is_refused(copy):
    """`Line` delays by one frame alone: such estimates would come out too early."""
    describe(copy, json.dumps({**message(copy), "lookahead_frames": 2}))
    with pytest.raises(CheckpointError, match=r"student\.onnx: .*look-ahead of 2 frame"):
        OnnxBackend(copy)
