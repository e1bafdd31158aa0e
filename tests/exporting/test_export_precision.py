"""Files of 8 and 16 bits: smaller, near the float32 network, and measured where there are references."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import numpy_helper
from saved_networks import network, saved

from stillwave import audio
from stillwave.checkpoint import Card
from stillwave.errors import AudioError, MissingExtraError, StillwaveError
from stillwave.exporting import export as flow
from stillwave.exporting import graphs, quality, quantise, signals, verify
from stillwave.exporting.export import FLOORS, describe, export
from stillwave.exporting.verify import DifferenceError
from stillwave.inference.metadata import ModelMetadata, StftMetadata
from stillwave.inference.onnx_model import read

pytestmark = pytest.mark.usefixtures("short_speech")


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> dict[str, Path]:
    place = tmp_path_factory.mktemp("networks")
    return {kind: saved(place / kind, kind) for kind in ("bsrnn", "dpdcrn", "microphones")}


@pytest.fixture(scope="module")
def recordings(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("pairs")
    noisy = signals.speechlike(2, seconds=1.5)
    for index, samples in enumerate(noisy):
        audio.write(folder / "clean" / f"{index}.wav", samples * 0.5 / np.abs(samples).max(), 16_000)
        hiss = 0.02 * np.random.default_rng(index).standard_normal(samples.shape)
        audio.write(folder / "noisy" / f"{index}.wav", samples * 0.5 / np.abs(samples).max() + hiss, 16_000)
    return folder


@given(
    rows=st.integers(1, 9), columns=st.integers(1, 9), seed=st.integers(0, 99), axis=st.sampled_from([0, 1])
)
@settings(max_examples=50, deadline=None, derandomize=True)
def test_eight_bits_are_within_half_a_step(rows, columns, seed, axis) -> None:
    weight = np.random.default_rng(seed).standard_normal((rows, columns)).astype(np.float32)
    codes, scale = quantise.encode(weight, (axis,))
    assert scale.shape == ((rows, 1) if axis == 0 else (1, columns))
    assert (np.abs(codes * scale - weight) <= scale * 0.5001).all()
    assert np.abs(codes).max() == 127


@pytest.mark.parametrize("kind", ["bsrnn", "dpdcrn"])
def test_stored_weights_are_the_weights(kind) -> None:
    graph = graphs.stream_graph(network(kind))
    weights = {entry.name: numpy_helper.to_array(entry) for entry in graph.graph.initializer}
    for bits, name, width in ((8, "int8", np.int8), (16, "float16", np.float16)):
        small = {e.name: numpy_helper.to_array(e) for e in quantise.store(graph, bits).graph.initializer}
        stored = {key.rpartition(".")[0]: value for key, value in small.items() if key.endswith(f".{name}")}
        assert all(value.dtype == width for value in stored.values())
        assert sum(v.size for v in stored.values()) > 0.5 * sum(weights[key].size for key in weights)
        for key, value in stored.items():
            wide = value.astype(np.float32) * small.get(f"{key}.scale", 1)
            assert np.abs(wide - weights[key]).max() <= np.abs(weights[key]).max() / 200


def test_weights_beyond_sixteen_bits_stay_as_they_are() -> None:
    model = network("bsrnn")
    model.mask_hidden.weight.data *= 1e7
    graph = quantise.store(graphs.stream_graph(model), 16)
    left = [e for e in graph.graph.initializer if e.data_type == onnx.TensorProto.FLOAT]
    assert max(float(np.abs(numpy_helper.to_array(e)).max()) for e in left) > 65504


@pytest.mark.parametrize(
    ("precision", "options"),
    [("float16", {}), ("int8", {}), ("int8", {"dynamic": True}), ("int8", {"calibrate": True})],
)
@pytest.mark.parametrize("kind", ["bsrnn", "dpdcrn"])
def test_quantised_files_run_with_small_differences(
    folders, recordings, tmp_path, kind, precision, options
) -> None:
    if "calibrate" in options:
        options = {"calibrate": recordings}
    report = export(folders[kind], tmp_path / "a.onnx", precision=precision, **options)
    assert read(tmp_path / "a.onnx").meta.precision == precision
    assert report.similarity_db is not None
    assert FLOORS[precision] <= report.similarity_db < 110
    assert report.losses == {}


def test_only_dynamic_ranges_depend_on_the_batch(recordings) -> None:
    """A loud stream beside a quiet one, and blocks of other sizes, change dynamic int8 alone."""
    model = network("dpdcrn")
    meta = describe(model, Card(model=model.config), offline=False, precision="int8")
    graph = graphs.stream_graph(model)
    noisy = signals.speechlike(3, 1)
    runs = {
        "stored": quantise.store(graph, 8),
        "calibrated": quantise.calibrated(graph, meta, noisy),
        "dynamic": quantise.dynamic(graph),
    }
    moved = {}
    for name, reduced in runs.items():
        run = verify.onnx_runner(reduced)
        alone = verify.enhance(run, meta, noisy[2:], (1,))
        beside = verify.enhance(run, meta, noisy, (40,))[2:]
        moved[name] = np.abs(alone - beside).max() / np.abs(alone).max()
    assert moved["stored"] < 1e-5
    assert moved["calibrated"] < 1e-5
    assert moved["dynamic"] > 1e-4


def test_the_stft_stays_exact_in_offline_files(folders, tmp_path) -> None:
    export(folders["bsrnn"], tmp_path / "a.onnx", offline=True, precision="int8")
    names = [entry.name for entry in onnx.load(tmp_path / "a.onnx").graph.initializer if len(entry.dims) == 3]
    assert {name for name in names if not name.endswith((".int8", ".scale"))} >= {"analysis", "synthesis"}


def test_losses_are_measured_on_recordings(folders, recordings, tmp_path) -> None:
    report = export(folders["dpdcrn"], tmp_path / "a.onnx", precision="int8", on=recordings)
    assert set(report.losses) == {"pesq_wb", "stoi", "si_sdr"}
    assert report.signals.startswith("2 recordings")
    for loss in report.losses.values():
        assert loss.recordings == 2
        assert loss.lost == pytest.approx(loss.float32 - loss.reduced)
        assert 0 < abs(loss.lost) < 0.5


def test_losses_are_those_of_the_two_networks_compared(recordings) -> None:
    """A network that passes its input on against one that adds noise: worse by every metric."""
    model = network("bsrnn")
    meta = describe(model, Card(model=model.config), offline=True)
    hiss = np.random.default_rng(0)

    def worse(inputs):
        return [inputs[0] + 0.1 * hiss.standard_normal(inputs[0].shape).astype(np.float32)]

    losses = quality.compare(lambda inputs: [inputs[0]], worse, meta, flow.read_pairs(recordings))
    assert all(loss.lost > 0 for loss in losses.values())
    assert losses["si_sdr"].lost > 5


def pair(folder: Path, samples: np.ndarray) -> Path:
    for side in ("noisy", "clean"):
        audio.write(folder / side / "a.wav", samples, 16_000)
    return folder


def test_recordings_that_cannot_be_scored(folders, tmp_path) -> None:
    on = pair(tmp_path / "on", 0.1 * np.random.default_rng(0).standard_normal((1, 1600)).astype(np.float32))
    with pytest.raises(StillwaveError, match=r"'pesq_wb' .*1 recordings"):
        export(folders["bsrnn"], tmp_path / "a.onnx", precision="float16", on=on)
    assert not (tmp_path / "a.onnx").exists()


def test_silent_recordings_are_refused(folders, tmp_path) -> None:
    on = pair(tmp_path / "on", np.zeros((1, 8000), np.float32))
    with pytest.raises(AudioError, match=r"noisy: .*silent.* 5 s"):
        export(folders["bsrnn"], tmp_path / "a.onnx", on=on)


def test_similarity_in_decibels() -> None:
    meta = ModelMetadata(kind="offline", stft=StftMetadata(n_fft=512, hop=256), delay_samples=0)
    expected = np.stack([np.ones(600, np.float32), np.zeros(600, np.float32)])

    def ratio(dry_mix, silent=0.0):
        found = expected * (1 + dry_mix)
        found[1] += silent
        return verify.similarity(lambda _: [found], meta, expected[:, None], expected)

    assert ratio(0.1) == pytest.approx(20, abs=1e-3)
    assert ratio(0) == 200
    assert ratio(0, silent=1e-3) == -np.inf


def test_too_few_channels_for_the_microphones(folders, recordings, tmp_path) -> None:
    with pytest.raises(AudioError, match="1 channel"):
        export(folders["microphones"], tmp_path / "a.onnx", on=recordings)


def test_missing_metrics_are_reported_first(folders, recordings, tmp_path, monkeypatch) -> None:
    def absent(keys):
        raise MissingExtraError("the metric 'pesq_wb'", "eval")

    monkeypatch.setattr("stillwave.evaluation.metrics.choose", absent)
    with pytest.raises(MissingExtraError) as caught:
        export(folders["bsrnn"], tmp_path / "a.onnx", precision="int8", on=recordings)
    assert caught.value.extra == "eval"


@pytest.mark.parametrize("precision", ["int8", "float16"])
def test_a_network_with_large_quantisation_error_is_refused(
    folders, tmp_path, monkeypatch, precision
) -> None:
    right = quantise.store

    def spoilt(graph, bits):
        small = right(graph, bits)
        entry = next(e for e in small.graph.initializer if e.name.endswith((".int8", ".float16")))
        entry.CopyFrom(numpy_helper.from_array(-numpy_helper.to_array(entry), entry.name))
        return small

    monkeypatch.setattr(quantise, "store", spoilt)
    with pytest.raises(DifferenceError, match=rf"^{precision}: .*-\d+\.\d dB .*at least \d+ dB"):
        export(folders["bsrnn"], tmp_path / "a.onnx", precision=precision)
    assert not list(tmp_path.iterdir())
