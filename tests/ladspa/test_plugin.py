"""The LADSPA plug-in (`packages/stillwave-ladspa`): built with the C compiler, run by hosts with blocks of any size."""

from __future__ import annotations

import ctypes.util
import importlib.util
import itertools
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
from ladspa_host import Instance

import stillwave
from stillwave.audio import Samples

PACKAGE = Path(__file__).parents[2] / "packages" / "stillwave-ladspa"
MODEL = "bsrnn-xs"
pytestmark = [
    pytest.mark.skipif(
        shutil.which("make") is None or shutil.which("cc") is None, reason="needs make and a C compiler"
    ),
    pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="exports a checkpoint"),
    pytest.mark.skipif(not PACKAGE.is_dir(), reason="needs a checkout"),
]


def make(folder: Path, *variables: str) -> subprocess.CompletedProcess[str]:
    given = [f"BUILD={folder}", f"PYTHON={sys.executable}", f"MODEL={MODEL}", *variables]
    return subprocess.run(["make", "-s", "-C", str(PACKAGE), *given], capture_output=True, text=True)


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The plug-in."""
    folder = tmp_path_factory.mktemp("ladspa")
    made = make(folder)
    assert made.returncode == 0, made.stderr
    assert made.stderr == ""
    return folder / "stillwave_ladspa.so"


@pytest.fixture
def opened(library: Path) -> Iterator:
    """Opens instances, which are closed after the test."""
    instances = []

    def open_instance(rate: int, **controls: float) -> Instance:
        names = {"limit": "Attenuation limit (dB)", "bypass": "Bypass", "keep": "Keep clean sound"}
        values = {names[name]: value for name, value in controls.items()}
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


@pytest.mark.parametrize("rate", [16_000, 48_000])
def test_latency_is_the_delay_of_the_output(opened, rate: int) -> None:
    noisy = signal(rate)
    plugin = opened(rate)
    found = plugin.process_blocks(np.concatenate([noisy, np.zeros(rate, np.float32)]), itertools.repeat(100))
    latency = int(plugin["latency"])
    expected = stillwave.load(MODEL).enhance(noisy, rate)
    assert np.abs(found[latency : latency + len(noisy)] - expected).max() < 1e-5
    assert not found[: latency - 64].any()


def test_blocks_of_any_size_give_the_same_bits(opened) -> None:
    noisy = signal(48_000)
    random = np.random.default_rng(1)
    sizes = {str(size): itertools.repeat(size) for size in (1, 32, 100, 480, 1024, 4096)}
    sizes["random"] = itertools.chain([4096], (int(random.integers(0, 4097)) for _ in itertools.count()))
    results = {name: opened(48_000, keep=1).process_blocks(noisy, each) for name, each in sizes.items()}
    assert results["100"].any()
    for name, found in results.items():
        assert np.array_equal(found, results["100"]), name


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


@pytest.mark.parametrize("rate", [100, 47_999, 10_000_000])
def test_a_rate_that_needs_too_many_filters_is_refused(opened, capfd, rate: int) -> None:
    with pytest.raises(ValueError, match="no instance"):
        opened(rate)
    told = capfd.readouterr().err
    assert told == f"stillwave: cannot convert between {rate} Hz and the network's 16000 Hz; use 48000 Hz\n"


@pytest.mark.parametrize(
    ("variable", "reason"),
    [
        ("CC=/absent/cc", "make plugin needs a C compiler: apt install gcc, or give CC=PATH"),
        ("PYTHON=/absent/python", "make plugin needs the Python package stillwave: pip install stillwave"),
    ],
)
def test_what_is_missing_is_named(tmp_path: Path, variable: str, reason: str) -> None:
    made = make(tmp_path, variable)
    assert made.returncode != 0
    told = [line for line in made.stderr.splitlines() if not re.match(r"make(\[\d+\])?: ", line)]
    assert len(told) == 1
    assert reason in told[0]
    assert not (tmp_path / "stillwave_ladspa.so").exists()


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
    assert found["latency"] == stillwave.load(MODEL).open(48_000).delay_samples
    assert found["peak"] > 0


@pytest.mark.skipif(shutil.which("applyplugin") is None, reason="needs applyplugin (apt install ladspa-sdk)")
def test_applyplugin_gives_the_same_samples(library: Path, tmp_path: Path) -> None:
    noisy = signal(48_000)
    soundfile.write(tmp_path / "in.wav", noisy, 48_000, "PCM_16")
    words = ["in.wav", "out.wav", library, "stillwave", "100", "0", "0"]
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
