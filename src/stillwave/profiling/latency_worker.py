"""One engine in a process of its own, measured on request: JSON lines in, JSON lines out.

A process of its own, so that its peak memory is its own, its threads are set before anything starts any, and one
engine's caches and clocks are not another's. Only one of these processes computes at a time.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stillwave.errors import StillwaveError
from stillwave.inference.backend import Backend, OnnxBackend, Spectra, State
from stillwave.inference.stream import Stream

BOOT = """
import pathlib, re, sys
try:
    status = pathlib.Path("/proc/self/status").read_text()
    found = re.search(r"VmHWM:\\s+(\\d+) kB", status)
except OSError:
    found = None
before = 1024 * int(found[1]) if found else None
from stillwave.profiling.latency_worker import main
main(before)
"""
"""What the process runs: its memory is read before anything but the interpreter is there."""
SECONDS_OF_NOISE = 1
GEMM = 512


class Timed:
    """An engine that notes how long each of its steps takes."""

    def __init__(self, backend: Backend) -> None:
        self.backend = backend
        self.sample_rate, self.microphones = backend.sample_rate, backend.microphones
        self.n_fft, self.hop, self.fingerprint = backend.n_fft, backend.hop, backend.fingerprint
        self.taken = 0.0

    def begin(self, streams: int) -> State:
        """As the engine's."""
        return self.backend.begin(streams)

    def step(self, spectrum: Spectra, state: State) -> tuple[Spectra, State]:
        """As the engine's."""
        start = time.perf_counter()
        given = self.backend.step(spectrum, state)
        self.taken = time.perf_counter() - start
        return given


class LatencyWorker:
    """What a request can ask of one engine."""

    def __init__(self, spec: dict[str, Any], before: int | None) -> None:
        self.before = before
        self.pinned = pin(spec.get("core"))
        self.backend = Timed(open_engine(spec)) if spec["engine"] != "peak" else None
        self.streams: dict[int, Stream] = {}

    def facts(self) -> dict[str, Any]:
        """What does not change."""
        facts: dict[str, Any] = {"pinned": self.pinned}
        if self.backend:
            rate, hop, n_fft = self.backend.sample_rate, self.backend.hop, self.backend.n_fft
            state = sum(value.nbytes for value in self.backend.begin(1).values())
            facts |= {"sample_rate": rate, "hop": hop, "n_fft": n_fft, "state_bytes": state}
        return facts

    def frames(self, count: int, warmup: int, streams: int) -> dict[str, Any]:
        """Seconds of `count` frames after `warmup` others: the whole of a hop, and the network's part of it.

        `dry_mix` is how much of that time this process had the core: below 1 where others wanted it too.
        """
        assert self.backend
        if streams not in self.streams:
            self.streams = {
                streams: Stream(self.backend, streams=streams)
            }  # one at a time: their states are large
        stream, noise = self.streams[streams], blocks(self.backend, streams)
        whole, network = np.empty(warmup + count), np.empty(warmup + count)
        began, had = time.perf_counter(), time.process_time()
        for k in range(warmup + count):
            block = noise[k % len(noise)]
            start = time.perf_counter()
            stream.process(block)
            whole[k] = time.perf_counter() - start
            network[k] = self.backend.taken
        dry_mix = min(1.0, (time.process_time() - had) / (time.perf_counter() - began))
        return {"frame": whole[warmup:].tolist(), "network": network[warmup:].tolist(), "share": dry_mix}

    def memory(self) -> int | None:
        """Peak bytes of this process above those of the bare interpreter; None where the system does not say."""
        after = peak_memory()
        return None if after is None or self.before is None else after - self.before

    def gemm(self, repeats: int = 8) -> float:
        """MAC/s of a float32 matrix product that fits the core's caches: what this core can do."""
        rng = np.random.default_rng(0)
        a, b = (rng.standard_normal((GEMM, GEMM), dtype=np.float32) for _ in range(2))
        best = np.inf
        for _ in range(repeats):
            start = time.perf_counter()
            a @ b
            best = min(best, time.perf_counter() - start)
        return float(GEMM**3 / best)


def open_engine(spec: dict[str, Any]) -> Backend:
    """The engine of `{"engine": "torch" or "onnx", "path": checkpoint or file}`, on one thread."""
    if spec["engine"] == "onnx":
        return OnnxBackend(Path(spec["path"]))
    import torch

    from stillwave import checkpoint
    from stillwave.inference.torch_backend import TorchBackend

    torch.set_num_threads(1)
    return TorchBackend(checkpoint.load(spec["path"])[0])


def blocks(backend: Backend, streams: int) -> list[NDArray[np.float32]]:
    """Hops of noise whose level rises and falls, `[streams, hop]` or `[streams, microphones, hop]`, to go round."""
    count = round(SECONDS_OF_NOISE * backend.sample_rate / backend.hop)
    rng = np.random.default_rng(0)
    shape = (
        (streams, backend.hop) if backend.microphones == 1 else (streams, backend.microphones, backend.hop)
    )
    levels = 0.1 * (1.05 + np.sin(np.arange(count)))
    return [np.float32(level) * rng.standard_normal(shape, dtype=np.float32) for level in levels]


def peak_memory() -> int | None:
    """The most bytes of memory that this process has held, as Linux tells; None elsewhere.

    `getrusage` is of no use here: what it tells begins with the peak of the process that started this one.
    """
    try:
        lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    return next((1024 * int(line.split()[1]) for line in lines if line.startswith("VmHWM:")), None)


def pin(core: int | None) -> bool:
    """Keep this process on one core, where the system can."""
    if core is None or not hasattr(os, "sched_setaffinity"):
        return False
    with contextlib.suppress(OSError):
        os.sched_setaffinity(0, {core})
        return True
    return False


def answer(worker: LatencyWorker, request: dict[str, Any]) -> Any:
    """One request's answer."""
    wanted: dict[str, Callable[..., Any]] = {
        "frames": worker.frames,
        "memory": worker.memory,
        "gemm": worker.gemm,
    }
    return wanted[request.pop("do")](**request)


def main(before: int | None) -> None:
    """Answer requests until stdin ends. The first line says which engine; a fault is an answer too."""
    worker: LatencyWorker | None = None
    for line in sys.stdin:
        request = json.loads(line)
        try:
            if worker is None:
                worker = LatencyWorker(request, before)
                reply: dict[str, Any] = {"answer": worker.facts()}
            else:
                reply = {"answer": answer(worker, request)}
        except StillwaveError as error:
            reply = {"error": str(error)}
        sys.stdout.write(json.dumps(reply) + "\n")
        sys.stdout.flush()
