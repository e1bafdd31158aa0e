"""Recordings through causal networks: frame by frame, so that there are no windows; and without PyTorch."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
import torch
from exported import export

import stillwave
from stillwave import audio, checkpoint
from stillwave.errors import AudioError, CheckpointError, StillwaveError
from stillwave.inference import Enhancer
from stillwave.inference.causal_file import causal_blocks
from stillwave.models import build
from stillwave.schema import ModelConfig

SMALL = ModelConfig(name="bsrnn", channels=8, blocks=1, bands=8, causal=True, norm="frame", compression=0.3)
RATES = [8_000, 11_025, 16_000, 22_050, 44_100, 48_000, 96_000, 192_000]


@pytest.fixture(scope="module")
def student(tmp_path_factory) -> Path:
    torch.manual_seed(0)
    return export(build(SMALL), tmp_path_factory.mktemp("student") / "student.onnx")


class Through:
    """An engine that lets everything pass, halved."""

    sample_rate, n_fft, hop, fingerprint = 16_000, 512, 256, "through"

    def __init__(self, microphones=1):
        self.microphones = microphones
        self.seen = set()

    def begin(self, streams):
        return {"nothing": np.zeros((streams, 1), np.float32)}

    def step(self, spectrum, state):
        self.seen.add(spectrum.shape[:3])
        return 0.5 * spectrum[:, [0, self.microphones]], state


def tone(rate: int, seconds: float, hertz: float = 1_000.0) -> np.ndarray:
    return (0.5 * np.sin(2 * np.pi * hertz * np.arange(round(rate * seconds)) / rate)).astype(np.float32)


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("rate_out", [None, 8_000, 16_000, 44_100])
def test_length_alignment_level_and_polarity_are_kept(rate, rate_out):
    out = Enhancer(Through()).enhance(tone(rate, 0.7), rate, rate_out=rate_out)
    to = rate_out or rate
    assert len(out) == int(len(tone(rate, 0.7)) * to / rate + 0.5)
    inner = slice(to // 20, -to // 20)
    assert np.abs(out - tone(to, 0.7)[: len(out)] / 2)[inner].max() < 1e-4


@pytest.mark.parametrize("samples", [1, 2, 255, 256, 257, 700])
@pytest.mark.parametrize("rate", [8_000, 16_000, 44_100])
def test_the_shortest_recordings(student, samples, rate):
    noisy = 0.1 * np.random.default_rng(0).standard_normal((2, samples)).astype(np.float32)
    assert stillwave.load(student).enhance(noisy, rate).shape == (2, samples)


@pytest.mark.parametrize("limit", [0, 6, 20])
@pytest.mark.parametrize("rate_out", [48_000, 16_000])
def test_the_limit_keeps_a_fraction_of_the_input(limit, rate_out):
    dry_mix = 10 ** (-limit / 20)
    out = Enhancer(Through()).enhance(tone(48_000, 0.5), 48_000, limit_db=limit, rate_out=rate_out)
    expected = tone(rate_out, 0.5) * (0.5 + dry_mix / 2)
    assert np.abs(out - expected)[rate_out // 20 : -rate_out // 20].max() < 1e-4
    if rate_out == 48_000:  # with the model's bandwidth, what the network does not process stays in the mix
        enhancer = Enhancer(Through(), bandwidth="model")
        out = enhancer.enhance(tone(48_000, 0.5, 15_000), 48_000, limit_db=limit)
        assert np.abs(out - tone(48_000, 0.5, 15_000) * dry_mix)[2_400:-2_400].max() < 1e-4


def test_frames_and_channels_are_batched():
    backend = Through()
    Enhancer(backend).enhance(np.ones((3, 80_000), np.float32) / 2, 16_000)
    assert {shape[0] for shape in backend.seen} == {3}
    assert max(shape[2] for shape in backend.seen) == 64


def test_an_iterator_of_blocks_equals_the_whole(student):
    enhancer = stillwave.load(student)
    noisy = 0.1 * np.random.default_rng(0).standard_normal((2, 30_000)).astype(np.float32)
    blocks = np.split(noisy, [0, 7, 7, 20_001], axis=1)
    found = np.concatenate(
        list(enhancer.enhance_blocks(blocks, 44_100, 2, limit_db=12, rate_out=16_000)), axis=1
    )
    assert np.abs(found - enhancer.enhance(noisy, 44_100, limit_db=12, rate_out=16_000)).max() < 1e-6


def test_no_blocks_give_no_output():
    assert sum(part.shape[1] for part in causal_blocks(Through(), [], 1, (16_000, 16_000), 0)) == 0


def test_causal_networks_use_no_windows(student):
    """Twelve seconds: longer than a window of offline networks."""
    torch.manual_seed(0)
    network = build(SMALL).eval()
    noisy = 0.1 * np.random.default_rng(0).standard_normal((1, 12 * 16_000)).astype(np.float32)
    with torch.inference_mode():
        expected = network(torch.from_numpy(noisy)).numpy()
    assert np.abs(stillwave.load(student).enhance(noisy, 16_000) - expected).max() < 1e-5


def test_a_causal_checkpoint_equals_its_file(student):
    folder = student.with_suffix(".checkpoint")
    enhancer = stillwave.load(folder, "cpu")
    noisy = 0.1 * np.random.default_rng(0).standard_normal((2, 9_000)).astype(np.float32)
    assert (
        np.abs(enhancer.enhance(noisy, 16_000) - stillwave.load(student).enhance(noisy, 16_000)).max() < 1e-5
    )
    assert enhancer.backend.fingerprint == checkpoint.read_card(folder).sha256
    assert stillwave.load(student).backend.fingerprint == enhancer.backend.fingerprint


def test_files_keep_their_properties(tmp_path, student):
    noisy = 0.1 * np.random.default_rng(0).standard_normal((2, 44_100)).astype(np.float32)
    audio.write(tmp_path / "a.flac", noisy, 44_100, subtype="PCM_24", tags={"title": "T"})
    report = stillwave.load(student).enhance_file(tmp_path / "a.flac", tmp_path / "b.flac")
    assert (report.sample_rate, report.channels, report.subtype, report.clipped) == (44_100, 2, "PCM_24", 0)
    info = audio.probe(tmp_path / "b.flac")
    assert (info.frames, info.tags["title"]) == (44_100, "T")


def test_the_wrong_number_of_microphones_is_refused():
    with pytest.raises(AudioError, match=r"4 channels.* 2$"):
        Enhancer(Through(4)).enhance(np.zeros((2, 100)), 16_000)
    assert Enhancer(Through(4)).enhance(np.ones((4, 100)), 16_000).shape == (1, 100)


def test_invalid_models_are_refused(tmp_path):
    (tmp_path / "x.onnx").write_bytes(b"nothing")
    with pytest.raises(CheckpointError, match=r"x\.onnx: .*`stillwave export`"):
        stillwave.load(tmp_path / "x.onnx")
    with pytest.raises(CheckpointError, match="no such"):
        stillwave.load(tmp_path / "none.onnx")


def test_an_error_of_an_offline_file_is_reported(monkeypatch, student):
    from types import SimpleNamespace

    from stillwave.inference.offline_backend import OnnxOfflineBackend

    def fail(*given):
        raise RuntimeError("because\nand more")

    meta = SimpleNamespace(sample_rate=16_000, microphones=1)
    whole = OnnxOfflineBackend(
        SimpleNamespace(path=Path("a.onnx"), meta=meta, session=SimpleNamespace(run=fail))
    )
    with pytest.raises(StillwaveError, match=r": because$"):
        whole(np.zeros((1, 10), np.float32))


def test_an_offline_export_equals_its_network(tmp_path):
    from stillwave.exporting.export import export as write

    torch.manual_seed(0)
    network = build(ModelConfig(channels=8)).eval()
    checkpoint.save(tmp_path / "c", network, checkpoint.Card(model=network.config))
    write(tmp_path / "c", tmp_path / "whole.onnx", offline=True)
    noisy = 0.1 * np.random.default_rng(0).standard_normal((2, 20_000)).astype(np.float32)
    with torch.inference_mode():
        expected = network(torch.from_numpy(noisy)).numpy()
    assert np.abs(stillwave.load(tmp_path / "whole.onnx").enhance(noisy, 16_000) - expected).max() < 1e-4


def without_torch(code: str) -> subprocess.CompletedProcess:
    """Run a script where PyTorch, ONNX and safetensors cannot be imported."""
    barred = "import sys\nfor name in ('torch', 'onnx', 'safetensors', 'scipy'): sys.modules[name] = None\n"
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, "-c", barred + textwrap.dedent(code)],
        capture_output=True,
        text=True,
        env=environment,
    )


def test_a_file_and_a_stream_without_torch(tmp_path, student):
    audio.write(tmp_path / "a.wav", 0.1 * np.random.default_rng(0).standard_normal((2, 8_000)), 48_000)
    result = without_torch(f"""
        import json, numpy as np, stillwave
        from stillwave.cli import build
        enhancer = stillwave.load({str(student)!r})
        stream = enhancer.open()
        out = np.concatenate([stream.process(np.full(3_000, 0.1)), stream.flush()])
        print(json.dumps([len(out), bool(out.any())]))
        sys.argv = ["stillwave", "enhance", "a.wav", "-o", "b.wav", "-m", {str(student)!r}]
        import os; os.chdir({str(tmp_path)!r})
        build()()
    """)
    assert json.loads(result.stdout) == [3_511, True], result.stderr
    assert audio.probe(tmp_path / "b.wav").frames == 8_000


def test_importing_inference_is_light():
    heavy = ["torch", "onnxruntime", "onnx", "scipy", "matplotlib", "sounddevice", "stillwave.schema"]
    code = f"import sys, stillwave.inference, stillwave.live; print([m for m in {heavy} if m in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.stdout.strip() == "[]", result.stderr


def test_a_folder_without_torch_names_the_extra(student):
    result = without_torch(f"""
        import stillwave
        from stillwave.errors import MissingExtraError
        try:
            stillwave.load({str(student.with_suffix(".checkpoint"))!r})
        except MissingExtraError as error:
            print(error)
    """)
    assert "instead of an exported .onnx file needs the 'train' extra" in result.stdout, result.stderr


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads the peak memory from /proc")
def test_an_hour_takes_no_more_memory_than_five_minutes(tmp_path, student):
    peaks = {}
    for minutes in (5, 60):
        source, target = tmp_path / f"{minutes}.flac", tmp_path / "out.flac"
        with audio.open_writer(source, 48_000, 1) as writer:
            generator = np.random.default_rng(0)
            for _ in range(minutes * 6):
                writer.write(generator.uniform(-0.1, 0.1, (1, 480_000)).astype(np.float32))
        result = without_torch(f"""
            import stillwave
            enhancer = stillwave.load({str(student)!r})
            enhancer.enhance_file({str(source)!r}, {str(target)!r}, overwrite=True, limit_db=20)
            print([line for line in open("/proc/self/status") if line.startswith("VmHWM")][0].split()[1])
        """)
        peaks[minutes] = int(result.stdout) / 1024
        assert audio.probe(target).frames == minutes * 60 * 48_000
        source.unlink()
    print(f"\npeak memory, MiB by minutes: {peaks}")
    assert peaks[60] < peaks[5] + 20
