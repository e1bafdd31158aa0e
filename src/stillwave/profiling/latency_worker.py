"""Time one backend in a separate process, on request: JSON lines in, JSON lines out.

A separate process gives each backend its own peak memory, thread settings and caches.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stillwave.errors import StillwaveError
from stillwave.inference.backend import Backend, OnnxBackend
from stillwave.inference.stream import Stream

BOOT = """
import pathlib, re
try:
    found = re.search(r"VmHWM:\\s+(\\d+) kB", pathlib.Path("/proc/self/status").read_text())
except OSError:
    found = None
before = 1024 * int(found[1]) if found else None
from stillwave.profiling.latency_worker import main
main(before)
"""
"""Program of the process, which reads its memory before it imports anything."""
SECONDS_OF_NOISE = 1


class LatencyWorker:
    """Answers requests about one backend.

    Args:
        spec: `{"backend": "torch" or "onnx", "path": checkpoint or file, "core": core to run on or None,
            "processor_time": whether frames are timed by processor time, not by the clock}`.
        before: Peak memory of the interpreter before all imports, in bytes.

    """

    def __init__(self, spec: dict[str, Any], before: int | None) -> None:
        self.before = before
        self.pinned = pin(spec.get("core"))
        self.clock = time.process_time if spec.get("processor_time") else time.perf_counter
        self.backend = open_backend(spec)
        self.streams: dict[int, Stream] = {}

    def facts(self) -> dict[str, Any]:
        """Return rate, frame and state sizes."""
        backend = self.backend
        return {
            "pinned": self.pinned,
            "sample_rate": backend.sample_rate,
            "hop": backend.hop,
            "n_fft": backend.n_fft,
            "state_bytes": sum(value.nbytes for value in backend.begin(1).values()),
        }

    def frames(self, count: int, warmup: int, streams: int) -> dict[str, Any]:
        """Return the seconds of `count` frames after `warmup` others, and the share of the core while they ran."""
        if streams not in self.streams:
            self.streams = {streams: Stream(self.backend, streams=streams)}  # one at a time, to save memory
        stream, noise = self.streams[streams], blocks(self.backend, streams)
        seconds = np.empty(warmup + count)
        wall, cpu = time.perf_counter(), time.process_time()
        for k in range(warmup + count):
            block = noise[k % len(noise)]
            start = self.clock()
            stream.process(block)
            seconds[k] = self.clock() - start
        share = min(1.0, (time.process_time() - cpu) / (time.perf_counter() - wall))
        return {"frame": seconds[warmup:].tolist(), "share": share}

    def memory(self) -> int | None:
        """Return the peak memory above the bare interpreter in bytes; None if the system does not report it."""
        after = peak_memory()
        return None if after is None or self.before is None else after - self.before


def open_backend(spec: dict[str, Any]) -> Backend:
    """Open the backend of a worker, on one thread."""
    if spec["backend"] == "onnx":
        return OnnxBackend(Path(spec["path"]))
    import torch

    from stillwave import checkpoint
    from stillwave.inference.torch_backend import TorchBackend

    torch.set_num_threads(1)
    return TorchBackend(checkpoint.load(spec["path"])[0])


def blocks(backend: Backend, streams: int) -> list[NDArray[np.float32]]:
    """Return a second of noise of varying level in hops, `[streams, hop]` or `[streams, microphones, hop]`."""
    count = round(SECONDS_OF_NOISE * backend.sample_rate / backend.hop)
    rng = np.random.default_rng(0)
    shape = (
        (streams, backend.hop) if backend.microphones == 1 else (streams, backend.microphones, backend.hop)
    )
    levels = 0.1 * (1.05 + np.sin(np.arange(count)))
    return [np.float32(level) * rng.standard_normal(shape, dtype=np.float32) for level in levels]


def peak_memory() -> int | None:
    """Return the peak memory of this process in bytes, on Linux; None elsewhere.

    `getrusage` is not suitable: its value starts with the peak of the parent process.
    """
    try:
        lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    return next((1024 * int(line.split()[1]) for line in lines if line.startswith("VmHWM:")), None)


def pin(core: int | None) -> bool:
    """Restrict this process to one core, if the system supports it; return whether it did."""
    if core is None or not hasattr(os, "sched_setaffinity"):
        return False
    with contextlib.suppress(OSError):
        os.sched_setaffinity(0, {core})
        return True
    return False


def main(before: int | None) -> None:
    """Answer requests until stdin ends. The first line describes the backend; errors are returned as answers."""
    worker: LatencyWorker | None = None
    for line in sys.stdin:
        request = json.loads(line)
        try:
            if worker is None:
                worker = LatencyWorker(request, before)
                reply: dict[str, Any] = {"answer": worker.facts()}
            else:
                reply = {"answer": getattr(worker, request.pop("do"))(**request)}
        except StillwaveError as error:
            reply = {"error": str(error)}
        sys.stdout.write(json.dumps(reply) + "\n")
        sys.stdout.flush()
