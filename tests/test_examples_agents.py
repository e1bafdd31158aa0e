"""The filters for voice agents, with the packages of pipecat and LiveKit, or with doubles of what they use."""

from __future__ import annotations

import asyncio
import importlib.util
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

import stillwave

EXAMPLES = Path(__file__).parents[1] / "examples"
MODEL = "bsrnn-xs"


class AudioFrame:
    """LiveKit's frame: 16-bit samples, interleaved."""

    def __init__(self, data, sample_rate, num_channels, samples_per_channel):
        self.data = memoryview(bytearray(data)).cast("h")
        self.sample_rate, self.num_channels = sample_rate, num_channels
        self.samples_per_channel = samples_per_channel


def double(monkeypatch: pytest.MonkeyPatch, name: str, **contents: object) -> None:
    """Put a module in the place of a package that is not installed."""
    parts = name.split(".")
    for end in range(1, len(parts) + 1):
        known = sys.modules.get(".".join(parts[:end]))
        if known is None:
            known = ModuleType(".".join(parts[:end]))
            monkeypatch.setitem(sys.modules, known.__name__, known)
    vars(known).update(contents)


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def expected(samples: np.ndarray, rate: int) -> np.ndarray:
    """The enhanced samples `[channels, n]`, with the delay, as integers."""
    stream = stillwave.load(MODEL).open(rate, len(samples))
    return np.rint(stream.process(samples / np.float32(32_768)).reshape(len(samples), -1) * 32_768)


def integers(channels: int, samples: int) -> np.ndarray:
    return np.random.default_rng(0).integers(-3_000, 3_000, (channels, samples)).astype("<i2")


def test_the_filter_of_pipecat(monkeypatch):
    if importlib.util.find_spec("pipecat") is None:
        double(monkeypatch, "pipecat.audio.filters.base_audio_filter", BaseAudioFilter=object)
        double(monkeypatch, "pipecat.frames.frames", FilterEnableFrame=SimpleNamespace)
    module, samples = load("pipecat_filter"), integers(1, 16_000)

    async def run() -> bytes:
        found = module.StillwaveFilter(MODEL)
        await found.start(16_000)
        parts = [await found.filter(block.tobytes()) for block in np.array_split(samples[0], 49)]
        await found.process_frame(module.FilterEnableFrame(enable=False))
        assert await found.filter(b"\1\2") == b"\1\2"
        await found.stop()
        return b"".join(parts)

    result = np.frombuffer(asyncio.run(run()), "<i2")
    assert result.shape == (16_000,)
    assert np.abs(result - expected(samples, 16_000)[0]).max() <= 1


def test_the_processor_of_livekit(monkeypatch):
    if importlib.util.find_spec("livekit") is None:
        double(monkeypatch, "livekit", rtc=SimpleNamespace(FrameProcessor=object, AudioFrame=AudioFrame))
    module, samples = load("livekit_filter"), integers(2, 24_000)
    processor = module.StillwaveProcessor(MODEL)
    parts = []
    for block in np.array_split(samples, 50, axis=1):
        frame = module.rtc.AudioFrame(block.T.tobytes(), 48_000, 2, block.shape[1])
        done = processor._process(frame)  # the name is LiveKit's
        assert (done.sample_rate, done.num_channels, done.samples_per_channel) == (48_000, 2, block.shape[1])
        parts.append(np.frombuffer(done.data, "<i2").reshape(-1, 2).T)
    assert np.abs(np.concatenate(parts, axis=1) - expected(samples, 48_000)).max() <= 1
    processor.enabled = False
    assert processor._process(frame) is frame
    processor._close()
