"""The LADSPA plug-in (`packages/stillwave-ladspa`): built with the C compiler, run by hosts with blocks of any size."""

from __future__ import annotations

import ctypes.util
import itertools
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import soundfile
from ladspa_host import Instance

import stillwave
from stillwave import pretrained
from stillwave.audio import Samples

PACKAGE = Path(__file__).parents[2] / "packages" / "stillwave-ladspa"
RUNTIME = next(Path(onnxruntime.__file__).parent.glob("capi/libonnxruntime.so*"), None)
MODEL = "bsrnn-xs"
pytestmark = [
    pytest.mark.skipif(
        shutil.which("make") is None or shutil.which("cc") is None, reason="needs make and a C compiler"
    ),
    pytest.mark.skipif(RUNTIME is None, reason="needs the shared library of ONNX Runtime for Linux"),
    pytest.mark.skipif(not PACKAGE.is_dir(), reason="needs a checkout"),
]


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The plug-in in a folder with ONNX Runtime and a model."""
    folder = tmp_path_factory.mktemp("ladspa")
    (folder / "libonnxruntime.so").symlink_to(RUNTIME)
    variables = [f"BUILD={folder}", f"PYTHON={sys.executable}", f"MODEL={pretrained.find(MODEL)}"]
    subprocess.run(["make", "-s", "-C", str(PACKAGE), *variables], check=True)
    return folder / "stillwave_ladspa.so"


@pytest.fixture
def opened(library: Path) -> Iterator:
    """Opens instances, which are closed after the test. They wait for the network unless told otherwise."""
    instances = []

    def open_instance(rate: int, **controls: float) -> Instance:
        names = {
            "limit": "Attenuation limit (dB)",
            "bypass": "Bypass",
            "wait": "Wait",
            "keep": "Keep clean sound",
        }
        values = {names[name]: value for name, value in {"wait": 1, **controls}.items()}
        instances.append(Instance(library, rate, values))
        return instances[-1]

    yield open_instance
    for instance in instances:
        instance.close()


def signal(rate: int, seconds: float = 1.0, seed: int = 0, noise: float = 0.05) -> Samples:
    """Harmonics in noise `[n]`."""
    time = np.arange(round(seconds * rate)) / rate
    voice = 0.1 * sum(np.sin(2 * np.pi * 150 * k * time) / k for k in range(1, 8)) * (np.sin(8 * time) > 0)
    return (voice + noise * np.random.default_rng(seed).standard_normal(len(time))).astype(np.float32)


def delayed(rows: Samples, count: float) -> Samples:
    return np.concatenate([np.zeros(int(count), np.float32), rows])[: len(rows)]


@pytest.mark.parametrize(
    ("rate", "limit_db"), [(16_000, None), (48_000, None), (48_000, 12), (44_100, None), (8_000, None)]
)
def test_output_equals_the_streams(opened, rate: int, limit_db: float | None) -> None:
    noisy = signal(rate)
    plugin = opened(rate, limit=100 if limit_db is None else limit_db)
    found = plugin.process_blocks(noisy, itertools.repeat(480))
    stream = stillwave.load(MODEL).open(rate, limit_db=limit_db)
    assert plugin["latency"] == stream.delay_samples
    expected = stream.process(noisy)
    assert np.abs(expected).max() > 0.05
    # Below 16 kHz the upper bins are rounding errors of the resampler, which the network's compression amplifies.
    assert np.abs(found - expected).max() < (1e-5 if rate >= 16_000 else 5e-5)


@pytest.mark.parametrize(("rate", "limit_db"), [(16_000, None), (48_000, None), (48_000, 12)])
def test_clean_sound_is_kept_as_in_the_stream(opened, rate: int, limit_db: float | None) -> None:
    clean = signal(rate, seconds=3, noise=0.0003)
    mixed = np.concatenate([clean, signal(rate), clean])
    plugin = opened(rate, keep=1, limit=100 if limit_db is None else limit_db)
    found = plugin.process_blocks(mixed, itertools.repeat(480))
    expected, other = (
        stillwave.load(MODEL, keep_clean=keep).open(rate, limit_db=limit_db).process(mixed)
        for keep in (True, False)
    )
    assert np.abs(found - expected).max() < 1e-5
    assert np.abs(other - expected).max() > 1e-2
    plugin["Keep clean sound"] = 0
    later = plugin.process_blocks(np.zeros(rate, np.float32), itertools.repeat(480))
    assert np.isfinite(later).all()


@pytest.mark.parametrize("rate", [44_100, 48_000])
def test_a_model_for_48_khz(opened, tmp_path, monkeypatch, rate: int) -> None:
    pytest.importorskip("onnx")
    torch = pytest.importorskip("torch")
    from exported import export

    from stillwave.models import build
    from stillwave.schema import ModelConfig

    torch.manual_seed(0)
    options = {"channels": 8, "blocks": 1, "bands": 16, "causal": True, "norm": "frame", "compression": 0.3}
    model = export(build(ModelConfig(name="fullband", **options)), tmp_path / "model.onnx")
    monkeypatch.setenv("STILLWAVE_MODEL", str(model))
    noisy = signal(rate, seconds=0.5)
    found = opened(rate).process_blocks(noisy, itertools.repeat(480))
    expected = stillwave.load(model).open(rate).process(noisy)
    assert np.abs(expected).max() > 0.05
    assert np.abs(found - expected).max() < 1e-5


@pytest.mark.parametrize("rate", [16_000, 48_000])
def test_latency_is_the_delay_of_the_output(opened, rate: int) -> None:
    noisy = signal(rate)
    plugin = opened(rate)
    found = plugin.process_blocks(np.concatenate([noisy, np.zeros(rate, np.float32)]), itertools.repeat(100))
    latency = int(plugin["latency"])
    expected = stillwave.load(MODEL).enhance(noisy, rate)
    assert np.abs(found[latency : latency + len(noisy)] - expected).max() < 1e-5
    assert not found[: latency - 64].any()


def process_settled(plugin: Instance, noisy: Samples, sizes: Iterable[int]) -> Samples:
    """Process without waiting, but let the thread finish between two blocks, as on a fast machine in real time."""
    parts, at = [], 0
    for size in sizes:
        if at >= len(noisy):
            break
        parts.append(plugin.process(noisy[at : at + size]))
        at += size
        plugin["Wait"] = 1
        plugin.process(np.zeros(0, np.float32))
        plugin["Wait"] = 0
    return np.concatenate(parts)


@pytest.mark.parametrize(("block", "slack"), [(100, 480), (1024, 1024)])
def test_in_real_time_the_latency_grows_by_the_block_or_10_ms(opened, block: int, slack: int) -> None:
    noisy = signal(48_000)
    plugin = opened(48_000, wait=0)
    found = process_settled(plugin, noisy, itertools.repeat(block))
    stream = stillwave.load(MODEL).open(48_000)
    assert plugin["latency"] == stream.delay_samples + slack
    assert plugin["Late blocks"] == 0
    assert np.abs(found - delayed(stream.process(noisy), slack)).max() < 1e-5


@pytest.mark.parametrize("waits", [True, False], ids=["waiting", "real time"])
def test_blocks_of_any_size_give_the_same_bits(opened, waits: bool) -> None:
    noisy = signal(48_000)
    random = np.random.default_rng(1)
    sizes = {str(size): itertools.repeat(size) for size in (32, 100, 480, 1024, 4096)}
    sizes["random"] = itertools.chain([4096], (int(random.integers(1, 4097)) for _ in itertools.count()))
    results = {}
    for name, each in sizes.items():
        plugin = opened(48_000, wait=waits)
        found = plugin.process_blocks(noisy, each) if waits else process_settled(plugin, noisy, each)
        assert plugin["Late blocks"] == 0
        results[name] = found[int(plugin["latency"]) :]
    shortest = min(len(found) for found in results.values())
    assert shortest > 40_000
    for name, found in results.items():
        assert np.array_equal(found[:shortest], results["100"][:shortest]), name


def test_larger_blocks_delay_the_output_without_a_click(opened) -> None:
    time = np.arange(96_000) / 48_000
    tone = (0.1 * np.sin(2 * np.pi * 171 * time)).astype(np.float32)
    plugin = opened(48_000, limit=0, wait=0)
    found = process_settled(plugin, tone, itertools.chain([480] * 100, itertools.repeat(4096)))
    stream = stillwave.load(MODEL).open(48_000)
    assert plugin["latency"] == stream.delay_samples + 4096
    assert np.abs(np.diff(found)).max() < 0.008  # the tone's own steps are 0.0022
    assert np.array_equal(found[-40_000:], delayed(tone, plugin["latency"])[-40_000:])


def test_late_blocks_play_the_input(opened) -> None:
    noisy = signal(48_000, seconds=4)
    tasks = Path("/proc/self/task")
    before = set(tasks.iterdir())
    plugin = opened(48_000, wait=0)
    threads = [int(task.name) for task in set(tasks.iterdir()) - before]
    cores = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(cores)})
        for thread in threads:  # it gets what this one leaves, which is next to nothing
            os.sched_setaffinity(thread, {min(cores)})
            os.sched_setscheduler(thread, os.SCHED_IDLE, os.sched_param(0))
        found = plugin.process_blocks(noisy, itertools.repeat(4096))
    finally:
        os.sched_setaffinity(0, cores)
        for thread in threads:
            os.sched_setaffinity(thread, cores)
            os.sched_setscheduler(thread, os.SCHED_OTHER, os.sched_param(0))
    assert plugin["Late blocks"] > 10
    dry = delayed(noisy, plugin["latency"])
    assert np.abs(found[96_000:] - dry[96_000:]).max() < 1e-5
    plugin["Wait"] = 1
    found = plugin.process_blocks(np.concatenate([noisy, noisy]), itertools.repeat(4096))
    expected = stillwave.load(MODEL).enhance(noisy, 48_000)
    after = found[len(noisy) + int(plugin["latency"]) :]
    difference = after - expected[: len(after)]  # the states depend on what was before
    assert np.sqrt(np.mean(difference**2)) < 0.3 * np.sqrt(np.mean(expected**2))


def test_silence_gives_silence(opened) -> None:
    found = opened(48_000).process_blocks(np.zeros(48_000, np.float32), itertools.repeat(480))
    assert not found.any()


def test_faults_of_the_input_are_silence(opened) -> None:
    noisy = signal(16_000, seconds=2)
    noisy[8_000:8_100], noisy[8_200], noisy[8_300] = np.nan, np.inf, 1e30
    found = opened(16_000).process_blocks(noisy, itertools.repeat(160))
    expected = stillwave.load(MODEL).open(16_000).process(noisy)
    assert np.isfinite(found).all()
    assert np.abs(found - expected).max() < 1e-5


def test_bypass_fades_to_the_delayed_input(opened) -> None:
    noisy = signal(48_000)
    plugin = opened(48_000)
    before = plugin.process_blocks(noisy[:24_000], itertools.repeat(480))
    plugin["Bypass"] = 1
    after = plugin.process_blocks(noisy[24_000:], itertools.repeat(480))
    dry = delayed(noisy, plugin["latency"])
    assert np.array_equal(after[1_000:], dry[25_000:])
    clean = opened(48_000).process_blocks(noisy, itertools.repeat(480))
    assert np.array_equal(before, clean[:24_000])
    share = np.minimum(1, (np.arange(960) + 1) / 960)
    faded = clean[24_000:24_960] + share * (dry - clean)[24_000:24_960]
    assert np.abs(after[:960] - faded).max() < 1e-5


def test_instances_are_independent_and_may_process_in_place(opened) -> None:
    signals = [signal(48_000, seed=seed) for seed in (1, 2)]
    alone = [opened(48_000).process_blocks(noisy, itertools.repeat(480)) for noisy in signals]
    both, parts = [opened(48_000), opened(48_000)], ([], [])
    for at in range(0, 48_000, 480):
        for plugin, noisy, found in zip(both, signals, parts, strict=True):
            found.append(plugin.process(noisy[at : at + 480], in_place=True))
    for found, expected in zip(parts, alone, strict=True):
        assert np.array_equal(np.concatenate(found), expected)


def test_activation_starts_a_new_signal(opened) -> None:
    noisy, plugin = signal(48_000), opened(48_000)
    first = plugin.process_blocks(noisy, itertools.repeat(480))
    plugin.activate()
    assert np.array_equal(plugin.process_blocks(noisy, itertools.repeat(480)), first)


def identity_model(path: Path, metadata: str | None = None) -> None:
    onnx = pytest.importorskip("onnx")
    value = [onnx.helper.make_tensor_value_info(name, 1, [1, 4]) for name in ("x", "y")]
    node = onnx.helper.make_node("Identity", ["x"], ["y"])
    graph = onnx.helper.make_graph([node], "graph", value[:1], value[1:])
    opset = [onnx.helper.make_opsetid("", 17)]
    model = onnx.helper.make_model(graph, opset_imports=opset, ir_version=8)
    if metadata:
        onnx.helper.set_model_props(model, {"stillwave": metadata})
    onnx.save(model, path)


def offline_model(path: Path) -> None:
    identity_model(path, '{"format":1,"kind":"offline","sample_rate":16000,"lookahead_frames":0}')


@pytest.mark.parametrize(
    ("write", "reason"),
    [
        (lambda path: None, "exist"),
        (lambda path: path.write_bytes(b"\x08 no model"), "model.onnx"),
        (identity_model, "was not written by `stillwave export`"),
        (offline_model, "is not a streaming model for one microphone; export one without --offline"),
    ],
    ids=["missing", "damaged", "another program's", "offline"],
)
def test_a_wrong_model_passes_the_input(opened, tmp_path, monkeypatch, capfd, write, reason) -> None:
    model = tmp_path / "model.onnx"
    write(model)
    monkeypatch.setenv("STILLWAVE_MODEL", str(model))
    plugin, noisy = opened(48_000), signal(48_000)
    assert np.array_equal(plugin.process_blocks(noisy, itertools.repeat(480)), noisy)
    assert plugin["latency"] == 0
    told = capfd.readouterr().err
    assert told.startswith(f"stillwave: {model}: ")
    assert told.endswith(". The sound passes through unchanged.\n")
    assert told.count("\n") == 1
    assert reason in told


def test_a_missing_runtime_and_a_rate_that_is_too_low_are_explained(opened, monkeypatch, capfd) -> None:
    noisy = signal(48_000)
    assert np.array_equal(opened(100).process(noisy), noisy)
    assert "cannot convert between 100 Hz and the model's 16000 Hz; use 48000 Hz" in capfd.readouterr().err
    monkeypatch.setenv("STILLWAVE_ONNXRUNTIME", "/absent/libonnxruntime.so")
    assert np.array_equal(opened(48_000).process(noisy), noisy)
    assert "/absent/libonnxruntime.so: cannot open shared object file" in capfd.readouterr().err


@pytest.mark.skipif(
    not hasattr(ctypes.CDLL(ctypes.util.find_library("c")), "gnu_get_libc_version"), reason="needs glibc"
)
def test_callbacks_neither_allocate_nor_lock(library: Path, tmp_path: Path) -> None:
    source = Path(__file__).parents[1] / "_support" / "ladspa_host.c"
    host = tmp_path / "host"
    subprocess.run(["cc", f"-I{PACKAGE}", "-o", host, source, "-ldl", "-lpthread"], check=True)
    run = subprocess.run(
        [host, library, "480", "48000", "3", "0"], capture_output=True, text=True, check=True
    )
    found = json.loads(run.stdout)
    assert (found["allocations"], found["locks"]) == (0, 0)
    assert found["latency"] > 1725
    assert found["peak"] > 0


@pytest.mark.skipif(shutil.which("applyplugin") is None, reason="needs applyplugin (apt install ladspa-sdk)")
def test_applyplugin_gives_the_same_samples(library: Path, tmp_path: Path) -> None:
    noisy = signal(48_000)
    soundfile.write(tmp_path / "in.wav", noisy, 48_000, "PCM_16")
    words = ["in.wav", "out.wav", library, "stillwave", "100", "0", "1", "0"]
    subprocess.run(
        ["applyplugin", *words],
        cwd=tmp_path,
        check=True,
        env={**os.environ, "LADSPA_PATH": str(library.parent)},
    )
    found, rate = soundfile.read(tmp_path / "out.wav", dtype="float32")
    rounded, _ = soundfile.read(tmp_path / "in.wav", dtype="float32")
    assert rate == 48_000
    expected = stillwave.load(MODEL).enhance(rounded, 48_000)
    latency = stillwave.load(MODEL).open(48_000).delay_samples
    assert np.abs(found[latency:] - expected[: len(found) - latency]).max() < 2 / 32768
