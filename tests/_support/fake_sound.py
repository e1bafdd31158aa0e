"""A `sounddevice` without hardware: its devices are a list, and its microphone returns a tone."""

from __future__ import annotations

import threading
import types
from typing import ClassVar

import numpy as np


class PortAudioError(Exception):
    pass


class Stream:
    """Calls back from a thread of its own, as PortAudio does, until closed."""

    opened: ClassVar[list[dict]] = []
    refused = ""
    broken = 0
    """Callbacks that report a fault."""

    def __init__(self, *, callback, **options):
        if self.refused:
            raise PortAudioError(self.refused)
        self.callback, self.options = callback, options
        self.heard: list[np.ndarray] = []
        self.stopped = threading.Event()
        self.thread = threading.Thread(target=self.turn)
        Stream.opened.append(options)

    def turn(self):
        inputs, outputs = self.options["channels"]
        count = self.options["blocksize"]
        time = np.arange(count) / self.options["samplerate"]
        sound = np.repeat(0.5 * np.sin(2 * np.pi * 440 * time)[:, None], inputs, axis=1).astype(np.float32)
        while not self.stopped.wait(0.001):
            out = np.full((count, outputs), np.nan, np.float32)
            self.callback(sound, out, count, None, len(self.heard) < self.broken)
            self.heard.append(out)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *details):
        self.stopped.set()
        self.thread.join()


def device(name: str, inputs: int, outputs: int, rate: float = 48_000.0) -> dict:
    return {
        "name": name, "max_input_channels": inputs, "max_output_channels": outputs, "default_samplerate": rate
    }  # fmt: skip


def module(*entries: dict, default: tuple[int, int] = (0, 1)) -> types.ModuleType:
    """Something to put into `sys.modules`."""
    made = types.ModuleType("sounddevice")
    made.PortAudioError, made.Stream = PortAudioError, type("Stream", (Stream,), {"opened": Stream.opened})
    made.default = types.SimpleNamespace(device=default)
    made.query_devices = lambda: list(entries)
    Stream.opened.clear()
    return made
