"""The transform in blocks is the transform of training."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from stillwave.inference.streaming_stft import Framer, OverlapAdder, analyze_frames, sqrt_hann
from stillwave.stft import Stft


def noise(rows: int, samples: int, seed: int = 0) -> np.ndarray:
    return 0.1 * np.random.default_rng(seed).standard_normal((rows, samples)).astype(np.float32)


@settings(deadline=None, max_examples=50)
@given(sizes=st.lists(st.integers(0, 900), min_size=1, max_size=8), hop=st.sampled_from([8, 256]))
def test_frames_of_blocks_are_those_of_training(sizes, hop):
    signal = noise(2, sum(sizes) + 1)
    framer, blocks = Framer(2, hop), np.split(signal, np.cumsum(sizes), axis=1)
    spectra = np.concatenate([analyze_frames(framer.push(block)) for block in blocks], axis=1)
    expected = Stft(2 * hop, hop).analyse(torch.from_numpy(signal)).numpy()
    assert spectra.dtype == np.complex64
    assert spectra.shape[1] == signal.shape[1] // hop  # those that need no sample behind the end
    assert np.abs(spectra - expected[:, : spectra.shape[1]]).max(initial=0) < 1e-6 * max(
        1, np.abs(expected).max()
    )


@settings(deadline=None, max_examples=50)
@given(counts=st.lists(st.integers(0, 5), min_size=1, max_size=8))
def test_synthesis_in_blocks_is_that_of_training(counts):
    stft = Stft()
    signal = noise(3, 256 * max(1, sum(counts) - 1))
    spectra = stft.analyse(torch.from_numpy(signal)).numpy()[:, : sum(counts)]
    adder = OverlapAdder(3, 512)
    parts = [adder.push(part) for part in np.split(spectra, np.cumsum(counts)[:-1], axis=1)]
    found = np.concatenate(parts, axis=1)
    assert found.shape[1] == max(0, sum(counts) - 1) * 256
    assert np.abs(found - signal[:, : found.shape[1]]).max(initial=0) < 1e-6


def test_the_window_is_the_one_of_training():
    assert np.abs(sqrt_hann(512) - Stft().window.numpy()).max() < 1e-7
    assert sqrt_hann(4) == pytest.approx([0, 0.5**0.5, 1, 0.5**0.5])
