"""Files that `export` writes: what they say, that a wrong one is refused, and what stops one from being written."""

from __future__ import annotations

import errno
from pathlib import Path

import numpy as np
import onnx
import pytest
from saved_networks import saved

from stillwave import checkpoint
from stillwave.errors import CheckpointError
from stillwave.exporting import export as flow
from stillwave.exporting import graphs, signals, verify
from stillwave.exporting.export import ExportError, export
from stillwave.exporting.verify import DifferenceError
from stillwave.inference.metadata import KEY, ModelMetadata, StftMetadata
from stillwave.inference.onnx_model import read

pytestmark = pytest.mark.usefixtures("short_speech")


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> dict[str, Path]:
    place = tmp_path_factory.mktemp("networks")
    return {kind: saved(place / kind, kind) for kind in ("bsrnn", "dpdcrn", "microphones", "whole")}


def test_metadata_of_a_file(folders, tmp_path) -> None:
    report = export(folders["dpdcrn"], tmp_path / "a.onnx")
    meta = read(tmp_path / "a.onnx").meta
    model, card = checkpoint.load(folders["dpdcrn"])
    assert checkpoint.Card.model_validate(meta.card) == card
    assert (meta.kind, meta.sample_rate, meta.microphones) == ("stream", 16_000, 1)
    assert meta.stft == StftMetadata(n_fft=512, hop=256)
    assert (meta.delay_samples, meta.lookahead_frames, meta.initial) == (512, 0, "zeros")
    assert meta.states == report.states == graphs.state_shapes(model)
    assert report.difference <= verify.BOUND
    assert report.bytes == (tmp_path / "a.onnx").stat().st_size
    assert ModelMetadata.model_validate_json(meta.model_dump_json()) == meta


def test_the_whole_signal_and_several_microphones(folders, tmp_path) -> None:
    assert export(folders["whole"], tmp_path / "w.onnx", offline=True).states == {}
    meta = read(tmp_path / "w.onnx").meta
    assert (meta.kind, meta.lookahead_frames, meta.delay_samples) == ("offline", None, 0)
    export(folders["microphones"], tmp_path / "m.onnx", offline=True)
    assert read(tmp_path / "m.onnx").meta.microphones == 2


def test_a_wrong_graph_is_refused_and_nothing_is_written(folders, tmp_path, monkeypatch) -> None:
    right = graphs.stream_graph

    def forgetful(model):
        """One state's way out is its way in: correct for one block, wrong for two."""
        graph = right(model)
        name = graph.graph.output[1].name
        for node in graph.graph.node:
            for i, output in enumerate(node.output):
                if output == name:
                    node.output[i] = "unused"
        graph.graph.node.append(onnx.helper.make_node("Identity", [name.replace("next.", "state.")], [name]))
        return graph

    monkeypatch.setattr(graphs, "stream_graph", forgetful)
    with pytest.raises(DifferenceError, match=r"0\.\d+ of full scale; .*3\.05e-05"):
        export(folders["bsrnn"], tmp_path / "a.onnx")
    assert not list(tmp_path.iterdir())


def test_nan_counts_as_a_difference() -> None:
    meta = ModelMetadata(kind="offline", stft=StftMetadata(n_fft=512, hop=256), delay_samples=0)
    noisy, expected = np.zeros((2, 1, 600), np.float32), np.zeros((2, 600), np.float32)
    broken = [lambda inputs: [np.full_like(inputs[0], np.nan)], lambda inputs: [inputs[0] + 1e-3]]
    for run in broken:
        with pytest.raises(DifferenceError):
            verify.check(run, meta, noisy, expected)
    assert verify.check(lambda inputs: [inputs[0] + 1e-5], meta, noisy, expected) == pytest.approx(1e-5)


@pytest.mark.parametrize(
    ("kind", "name", "options", "message"),
    [
        ("whole", "a.onnx", {}, "whole: .*--offline"),
        ("bsrnn", "a.tflite", {}, "'.tflite'"),
        ("bsrnn", "a.pt", {}, "'.pt'"),
        ("bsrnn", "a.onnx", {"calibrate": "x"}, "add --int8"),
        ("bsrnn", "a.onnx", {"precision": "int8", "calibrate": "x", "dynamic": True}, "choose one"),
    ],
)
def test_networks_that_cannot_be_exported_are_refused(
    folders, tmp_path, kind, name, options, message
) -> None:
    with pytest.raises(ExportError, match=message):
        export(folders[kind], tmp_path / name, **options)
    assert not list(tmp_path.iterdir())


def test_unwritable_targets_are_refused(folders, tmp_path, monkeypatch) -> None:
    taken = tmp_path / "a.onnx"
    taken.write_text("mine")
    with pytest.raises(ExportError, match=r"a\.onnx: .*overwrite=True"):
        export(folders["bsrnn"], taken)
    assert taken.read_text() == "mine"
    with pytest.raises(ExportError, match="is a folder"):
        export(folders["bsrnn"], tmp_path)
    with pytest.raises(ExportError, match=r"a\.onnx/b\.onnx: .*a\.onnx is a file, not a folder"):
        export(folders["bsrnn"], taken / "b.onnx")
    monkeypatch.setattr(flow.os, "access", lambda path, mode: False)
    with pytest.raises(ExportError, match=r"b\.onnx: .*not writable"):
        export(folders["bsrnn"], tmp_path / "b.onnx")


def test_a_full_disk_keeps_the_old_file(folders, tmp_path, monkeypatch) -> None:
    taken = tmp_path / "a.onnx"
    taken.write_text("mine")

    def full(path, data):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(ExportError, match=r"a\.onnx: .*No space left on device"):
        export(folders["bsrnn"], taken, overwrite=True)
    assert [path.name for path in tmp_path.iterdir()] == ["a.onnx"]
    assert taken.read_text() == "mine"


def test_invalid_checkpoints_are_refused(tmp_path) -> None:
    with pytest.raises(CheckpointError, match="nothing: no such folder"):
        export(tmp_path / "nothing", tmp_path / "a.onnx")


def test_synthetic_signals_are_deterministic_and_differ_in_level() -> None:
    first, again = signals.speechlike(3, 2), signals.speechlike(3, 2)
    assert np.array_equal(first, again)
    assert np.abs(first).max((1, 2)) == pytest.approx([0.5, 0.05, 0.005])
    assert np.abs(np.corrcoef(first[:, 0])[~np.eye(3, dtype=bool)]).max() < 0.2
    assert KEY == "stillwave"
