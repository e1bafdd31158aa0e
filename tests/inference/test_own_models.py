"""What `load` and `Enhancer` take for a model, and the sentence for what is none."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch
from denoisers import Toy, half
from torch import nn

import stillwave
import stillwave.audio
from stillwave.errors import AudioError, CheckpointError, StillwaveError
from stillwave.inference import Enhancer

NOISY = 0.1 * np.random.default_rng(0).standard_normal((2, 3_000)).astype(np.float32)


@pytest.mark.parametrize("model", [123, "", b"", ["bsrnn-m"], nn.Identity()])
def test_load_accepts_names_and_paths(model):
    with pytest.raises(CheckpointError, match=f"^model: .*got {re.escape(repr(model))};"):
        stillwave.load(model)


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ("bsrnn-m", "^model: .*got str; stillwave.load"),
        (None, "^model: .*got NoneType; stillwave.load"),
        (nn.Linear(2, 2), "^model: Linear .*sample_rate and microphones"),
    ],
)
def test_an_enhancer_accepts_networks(model, words):
    with pytest.raises(StillwaveError, match=words):
        Enhancer(model)


def test_an_estimate_with_a_channel_axis_is_accepted():
    out = Enhancer(Toy(lambda noisy: half(noisy)[:, None])).enhance(NOISY, 16_000)
    assert np.abs(out - NOISY / 2).max() < 1e-7


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        (lambda noisy: (noisy, noisy), r"returned tuple for \[1, 3000\]"),
        (lambda noisy: {"clean": noisy}, r"returned dict for \[1, 3000\]"),
        (lambda noisy: noisy[:, 1:], r"returned \[1, 2999\] for \[1, 3000\]"),
        (lambda noisy: torch.stack([noisy, noisy], 1), r"returned \[1, 2, 3000\] for \[1, 3000\]"),
    ],
)
def test_invalid_estimates_are_reported(rule, words):
    with pytest.raises(StillwaveError, match=words):
        Enhancer(Toy(rule)).enhance(NOISY, 16_000)


@pytest.mark.parametrize("channels", [1, 3])
def test_blocks_keep_the_number_of_channels(channels):
    with pytest.raises(AudioError, match=rf"^block: .*\[{channels}, samples\], got \[2, 3000\]"):
        list(Enhancer(Toy()).enhance_blocks([NOISY], 16_000, channels))


def test_blocks_of_a_recording_may_be_integers():
    steps = (NOISY * 2**15).astype(np.int16)
    (found,) = Enhancer(Toy(half)).enhance_blocks([steps], 16_000, 2)
    assert np.array_equal(found, steps / np.float32(2**16))


def test_invalid_output_rates_are_refused(tmp_path):
    stillwave_file = tmp_path / "a.wav"
    stillwave.audio.write(stillwave_file, NOISY, 16_000)
    enhancer = Enhancer(Toy(half))
    with pytest.raises(AudioError, match=r"^rate: .*got '48000'"):
        enhancer.enhance_file(stillwave_file, tmp_path / "b.wav", rate="48000")
    report = enhancer.enhance_file(stillwave_file, tmp_path / "b.wav", rate=48_000)
    assert report.sample_rate == 48_000
