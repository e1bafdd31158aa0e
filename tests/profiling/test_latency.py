"""The latency report measures what it states. No test depends on speed."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from stillwave import checkpoint
from stillwave.errors import StillwaveError
from stillwave.inference.stream import Stream
from stillwave.inference.torch_backend import TorchBackend
from stillwave.models import PRESETS, build
from stillwave.models.streaming import get_state, streaming
from stillwave.profiling import latency as latency_module
from stillwave.profiling import latency_worker
from stillwave.profiling.complexity import count_frame_macs, count_macs
from stillwave.profiling.latency import WARMUP, Latency, measure
from stillwave.profiling.latency_backends import variants
from stillwave.profiling.latency_worker import BOOT, LatencyWorker, blocks
from stillwave.schema import ModelConfig

TINY = ModelConfig(name="bsrnn", channels=8, blocks=1, bands=8, causal=True, norm="frame", compression=0.3)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    place = tmp_path_factory.mktemp("latency") / "tiny"
    checkpoint.save(place, build(TINY), checkpoint.Card(model=TINY))
    return place


@pytest.fixture(scope="module")
def found(folder: Path) -> Latency:
    """One real measurement, short, of two backends."""
    return measure([str(folder)], backends=("torch", "onnx"), frames=12, rounds=2, streams=4)


def test_a_measurement_counts_every_frame_and_orders_its_figures(found: Latency) -> None:
    assert [entry.backend for entry in found.rows] == ["torch", "onnx"]
    assert (found.frames, found.rounds) == (12, 2)
    for entry in found.rows:
        assert 0 < entry.frame.median <= entry.frame.p95 <= entry.frame.p99 <= entry.frame.max
        assert 0 <= entry.over_hop <= 1
        assert 0 < entry.core_share <= 1


def test_delay_state_and_cost_are_those_of_the_network(found: Latency) -> None:
    model = build(TINY).eval()
    with torch.no_grad(), streaming(model):
        model.estimate(torch.zeros(1, 2, 1, 257))
        state = sum(4 * tensor.numel() for tensor in get_state(model).values())
    for entry in found.rows:
        assert (entry.delay_seconds, entry.hop_seconds) == (0.032, 0.016)
        assert entry.state_bytes == state
        assert entry.frame_macs == count_frame_macs(model)
    assert found.rows[0].file_bytes != found.rows[1].file_bytes


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="peak memory is read where Linux has it")
def test_a_backend_without_pytorch_needs_less_memory(found: Latency) -> None:
    pytorch, onnx = (entry.memory_bytes for entry in found.rows)
    assert pytorch is not None
    assert onnx is not None
    assert 10e6 < onnx < pytorch / 1.5


def test_streams_double_until_the_core_is_full(found: Latency) -> None:
    for entry in found.rows:
        counts = list(entry.streams)
        assert counts == [1, 2, 4][: len(counts)]
        assert len(counts) == 3 or entry.streams[counts[-1]] > 1
        assert all(factor <= 1 for factor in list(entry.streams.values())[:-1])


def test_an_exported_file_is_measured_with_its_backend(folder: Path, tmp_path: Path) -> None:
    from stillwave.exporting.export import export

    file = tmp_path / "student.onnx"
    export(folder, file)
    made, skipped = variants([str(file)], ("torch",), tmp_path, lambda *_: None)
    assert [(entry.model, entry.backend, entry.path) for entry in made] == [("student.onnx", "onnx", file)]
    assert skipped == []
    assert made[0].frame_macs == count_frame_macs(build(TINY))
    assert made[0].file_bytes == file.stat().st_size


def test_presets_have_the_same_random_weights_each_time(tmp_path: Path) -> None:
    hashes = set()
    for place in ("a", "b"):
        (tmp_path / place).mkdir()
        before = torch.get_rng_state()
        made, _ = variants(["bsrnn-xs"], ("torch",), tmp_path / place, lambda *_: None)
        assert torch.equal(before, torch.get_rng_state())
        hashes.add(checkpoint.read_card(made[0].path).sha256)
    assert len(hashes) == 1


@pytest.mark.parametrize(
    ("target", "backends", "message"),
    [
        ("dpdcrn-student", ("torch",), "checkpoint: .*no frames"),
        ("dpdcrn-xz", ("torch",), "dpdcrn-xz: .*'dpdcrn-xs' or 'dpdcrn-s'"),
        ("dpdcrn-xs", ("tensorrt",), "'tensorrt'"),
    ],
)
def test_invalid_targets_are_named(target: str, backends: tuple[str, ...], message: str) -> None:
    with pytest.raises(StillwaveError, match=message):
        measure([target], backends=backends, frames=10)


def test_a_damaged_file_is_reported(tmp_path: Path) -> None:
    (tmp_path / "broken.onnx").write_bytes(b"\x08nothing of the kind")
    with pytest.raises(StillwaveError, match=r"broken\.onnx"):
        measure([str(tmp_path / "broken.onnx")], frames=10)


def test_a_backend_that_cannot_be_prepared_is_skipped_with_its_reason(folder: Path, monkeypatch) -> None:
    from stillwave.exporting import export

    def refuse(*_: object, **__: object) -> None:
        raise StillwaveError("no such precision here")

    monkeypatch.setattr(export, "export", refuse)
    made, skipped = variants([str(folder)], ("onnx",), folder.parent / "work", lambda *_: None)
    assert made == []
    assert skipped == [("tiny", "onnx", "no such precision here")]
    with pytest.raises(StillwaveError, match="tiny: onnx: no such precision"):
        measure([str(folder)], backends=("onnx",), frames=10)


def test_frame_macs_of_presets_without_attention_are_a_frames_share_of_the_whole() -> None:
    model = build(PRESETS["bsrnn-xs"])
    assert count_frame_macs(model) * 63 == sum(count_macs(model, 62 * 256).values())


def test_frame_macs_include_attention_over_the_whole_past() -> None:
    """Two products of 1 query with `past` keys, for 64 sequences of 4 channels, against those of the whole signal."""
    shorter, longer = (
        count_frame_macs(build(PRESETS["dpdcrn-xs"].model_copy(update={"past_frames": past})))
        for past in (16, 24)
    )
    assert longer - shorter == 2 * 64 * 4 * 8


def test_a_worker_excludes_the_warm_up(folder: Path) -> None:
    worker = LatencyWorker({"backend": "torch", "path": str(folder), "core": None}, before=0)
    assert worker.facts()["pinned"] is False
    measured = worker.frames(count=5, warmup=3, streams=2)
    assert len(measured["frame"]) == 5
    assert all(seconds > 0 for seconds in measured["frame"])
    stream = worker.streams[2]
    worker.frames(count=1, warmup=0, streams=2)
    assert worker.streams[2] is stream  # a stream continues from turn to turn


def test_processor_time_leaves_out_waiting(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    process = Stream.process
    monkeypatch.setattr(Stream, "process", lambda self, block: (time.sleep(0.2), process(self, block))[1])
    for processor_time in (False, True):
        spec = {"backend": "torch", "path": str(folder), "core": None, "processor_time": processor_time}
        measured = LatencyWorker(spec, None).frames(count=3, warmup=3, streams=1)
        assert (min(measured["frame"]) < 0.2) == processor_time


def test_noise_of_several_microphones_and_streams(folder: Path) -> None:
    backend = TorchBackend(build(PRESETS["dpdcrn-xs"].model_copy(update={"microphones": 2})))
    shapes = {block.shape for block in blocks(backend, 3)}
    assert shapes == {(3, 2, 256)}
    assert len({float(np.abs(block).max()) for block in blocks(backend, 1)}) > 10  # levels vary


def test_a_worker_returns_the_error_message(tmp_path: Path) -> None:
    request = json.dumps({"backend": "onnx", "path": str(tmp_path / "none.onnx")})
    done = subprocess.run(
        [sys.executable, "-c", BOOT], input=request + "\n", capture_output=True, text=True, check=True
    )
    assert "there is no such file" in json.loads(done.stdout)["error"]


def test_requests_and_answers_are_lines(folder: Path, monkeypatch, capsys) -> None:
    requests = [
        {"backend": "torch", "path": str(folder)},
        {"do": "frames", "count": 2, "warmup": 0, "streams": 1},
        {"do": "memory"},
    ]
    monkeypatch.setattr(sys, "stdin", io.StringIO("".join(json.dumps(r) + "\n" for r in requests)))
    latency_worker.main(None)
    facts, frames, memory = (json.loads(line)["answer"] for line in capsys.readouterr().out.splitlines())
    assert (facts["pinned"], facts["hop"], facts["n_fft"]) == (False, 256, 512)
    assert len(frames["frame"]) == 2
    assert memory is None


def test_a_backend_whose_process_ends_is_named(folder: Path, monkeypatch) -> None:
    monkeypatch.setattr(latency_module, "BOOT", "raise SystemExit(3)")
    with pytest.raises(StillwaveError, match=r"tiny, PyTorch: .*code 3"):
        measure([str(folder)], backends=("torch",), frames=10)


def test_a_worker_for_onnx_does_not_load_pytorch(tmp_path: Path) -> None:
    code = "import sys, stillwave.profiling.latency_worker; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_memory_unknown_is_none(folder: Path, monkeypatch) -> None:
    worker = LatencyWorker({"backend": "torch", "path": str(folder)}, before=None)
    assert worker.memory() is None
    monkeypatch.setattr(latency_worker, "peak_memory", lambda: 5000)
    assert worker.memory() is None
    worker.before = 2000
    assert worker.memory() == 3000


def test_a_missing_core_is_not_pinned() -> None:
    assert latency_worker.pin(None) is False
    assert latency_worker.pin(100_000) is False


def test_json_has_derived_values_and_no_nan(found: Latency) -> None:
    plain = json.loads(json.dumps(found.as_dict(), allow_nan=False))
    assert plain["warmup"] == WARMUP
    assert plain["rows"][0]["real_time_factor"] == found.rows[0].real_time_factor
    assert plain["machine"]["versions"]["numpy"] == np.__version__
