"""What a caller of the enhancer may give: paths, numbers of channels, devices, samples that are no audio."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import soundfile
from denoisers import Toy, half

import stillwave
from stillwave import audio
from stillwave.errors import AudioError, CheckpointError, StillwaveError
from stillwave.inference import Enhancer


@pytest.fixture
def enhancer() -> Enhancer:
    return Enhancer(Toy(half), window_seconds=0.64, overlap_seconds=0.16)


def recording(path: Path) -> None:
    audio.write(path, 0.4 * np.sin(np.arange(16_000) / 10), 16_000)


def test_values_beyond_float32_are_replaced_by_silence(tmp_path, enhancer):
    samples = np.full(16_000, 0.25)
    samples[8_000:8_003] = 1e300, -1e300, 1e36
    soundfile.write(tmp_path / "a.wav", samples, 16_000, subtype="DOUBLE")
    report = enhancer.enhance_file(tmp_path / "a.wav", tmp_path / "b.wav")
    assert report.notes == ("3 samples beyond ±2³² were replaced by silence",)
    made, _ = audio.read(tmp_path / "b.wav")
    assert made.shape == (1, 16_000)
    assert not made[0, 8_000:8_003].any()
    assert made[0, 7_000] == 0.125


def test_paths_can_be_bytes_or_start_with_a_tilde(tmp_path, enhancer, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    recording(tmp_path / "a.wav")
    report = enhancer.enhance_file(os.fsencode(tmp_path / "a.wav"), "~/b.wav")
    assert report.target == str(tmp_path / "b.wav")
    assert audio.probe(b"~/b.wav").frames == 16_000
    with pytest.raises(AudioError, match=r"b\.wav: .*overwrite=True$"):
        enhancer.enhance_file("~/a.wav", "~/b.wav")
    with pytest.raises(StillwaveError, match=r"^target: .*path.*got 3$"):
        enhancer.enhance_file("~/a.wav", 3)


@pytest.mark.parametrize("channels", [0, "1", 1.5])
def test_invalid_numbers_of_channels_are_refused(enhancer, channels):
    with pytest.raises(AudioError, match=f"^channels: .*got {channels!r}$"):
        list(enhancer.enhance_blocks([np.zeros((1, 100), np.float32)], 16_000, channels))


@pytest.mark.parametrize("device", ["quantum", "cuda:", "", 0])
def test_an_invalid_device_is_refused_for_every_model(device):
    with pytest.raises(CheckpointError, match=f"^device: .*{device!r}; .*auto, cpu, cuda"):
        stillwave.load(device=device)


@pytest.mark.parametrize("device", [None, "auto", "cpu", "cuda:1"])
def test_shipped_models_run_on_the_cpu_for_any_device(device):
    assert stillwave.load(device=device).device == "cpu"
