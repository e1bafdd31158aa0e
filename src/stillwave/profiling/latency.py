"""Measure the time per frame on this machine: each backend in a separate process on one core, in turns.

The time per frame covers analysis, network and synthesis of one hop, and must stay below the hop. The algorithmic
delay, one window, does not depend on the machine.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stillwave.errors import StillwaveError
from stillwave.profiling.latency_backends import BACKENDS, Variant, variants
from stillwave.profiling.latency_worker import BOOT

THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
WARMUP = 20
"""Frames at the start of every turn that are excluded."""
STREAM_FRAMES = 15
Progress = Callable[[str, int, int], None]
"""Called with the current step, the number of finished steps and their total."""


@dataclass(frozen=True)
class Times:
    """Statistics of the time per frame, in seconds."""

    mean: float
    median: float
    p95: float
    p99: float
    max: float

    @classmethod
    def of(cls, frames: Sequence[float] | NDArray[np.float64]) -> Times:
        """Summarise the times of frames."""
        p50, p95, p99 = (float(np.percentile(frames, q)) for q in (50, 95, 99))
        return cls(float(np.mean(frames)), p50, p95, p99, float(np.max(frames)))


@dataclass(frozen=True)
class LatencyRow:
    """Results of one backend, in bytes, seconds and MACs."""

    model: str
    backend: str
    frame: Times
    core_share: float
    """Share of the core during the measurement. Below 1, other programs ran there and the times include theirs."""
    over_hop: float
    """Share of frames that took longer than the hop."""
    hop_seconds: float
    delay_seconds: float
    """Algorithmic delay: one window."""
    memory_bytes: int | None
    """Peak memory above the bare interpreter with one stream; None if the system does not report it."""
    state_bytes: int
    file_bytes: int
    frame_macs: int | None
    """MACs of one frame; None without PyTorch or a card."""
    streams: dict[int, float]
    """Real-time factor by number of streams in one batch."""

    @property
    def real_time_factor(self) -> float:
        """Mean time per frame over the hop."""
        return self.frame.mean / self.hop_seconds

    @property
    def macs_per_second(self) -> float | None:
        """MACs per second of audio."""
        return self.frame_macs / self.hop_seconds if self.frame_macs else None

    @property
    def full_at(self) -> int | None:
        """Greatest tried number of streams in real time; None if there is none."""
        return max((count for count, factor in self.streams.items() if factor <= 1), default=None)


@dataclass(frozen=True)
class Latency:
    """Results of one measurement."""

    rows: list[LatencyRow]
    skipped: list[tuple[str, str, str]]
    """Model, backend and the reason."""
    frames: int
    rounds: int
    pinned: bool
    processor_time: bool = False
    """Whether times are processor time."""

    def as_dict(self) -> dict[str, Any]:
        """Return the results for JSON."""
        extra = ("real_time_factor", "macs_per_second", "full_at")
        rows = [dataclasses.asdict(row) | {name: getattr(row, name) for name in extra} for row in self.rows]
        return dataclasses.asdict(self) | {"rows": rows, "warmup": WARMUP, "machine": machine()}


def measure(
    targets: Sequence[str],
    *,
    backends: Sequence[str] = BACKENDS,
    frames: int = 1000,
    rounds: int = 5,
    streams: int = 256,
    core: int | None = None,
    processor_time: bool = False,
    progress: Progress | None = None,
) -> Latency:
    """Measure models on every backend that supports them.

    Args:
        targets: Shipped models, checkpoints or run folders, `.onnx` files and presets (with random weights).
        backends: Backends to measure: torch, onnx, int8.
        frames: Number of frames for each backend.
        rounds: Number of turns that these frames are divided into; backends take turns.
        streams: Greatest number of streams in one batch to try; 0 for none.
        core: Core to run on; by default the last one that this process may use.
        processor_time: Time frames by processor time, which does not include that of other programs on the core.
        progress: Called before each step.

    Raises:
        StillwaveError: There is nothing to measure, a network is not causal, or a backend fails.

    """
    report = progress or (lambda *_: None)
    with tempfile.TemporaryDirectory() as folder:
        found, skipped = variants(targets, backends, Path(folder), report)
        if not found:
            raise StillwaveError(f"nothing to measure: {'; '.join(': '.join(why) for why in skipped)}")
        with contextlib.ExitStack() as stack:
            chosen = core if core is not None else _last_core()
            clock = {"processor_time": processor_time}
            starts = [stack.enter_context(_process({**v.spec, **clock}, chosen, v.title)) for v in found]
            turns = _take_turns(starts, max(1, frames // rounds), rounds, report)
            memory = [process.ask(do="memory") for process in starts]
            loads = [_streams(process, streams, report) for process in starts]
            rows = [_row(*parts) for parts in zip(found, starts, turns, memory, loads, strict=True)]
            pinned = all(process.facts["pinned"] for process in starts)
    return Latency(rows, skipped, max(1, frames // rounds) * rounds, rounds, pinned, processor_time)


@dataclass
class LatencyProcess:
    """A worker process, which answers requests in order."""

    title: str
    popen: subprocess.Popen[str]
    facts: dict[str, Any] = dataclasses.field(default_factory=dict)

    def ask(self, **request: Any) -> Any:
        """Return the answer to a request. Raises StillwaveError if it fails."""
        assert self.popen.stdin
        assert self.popen.stdout
        with contextlib.suppress(BrokenPipeError):  # the process has ended; handled below
            self.popen.stdin.write(json.dumps(request) + "\n")
            self.popen.stdin.flush()
        line = self.popen.stdout.readline()
        if not line:
            code = self.popen.wait()
            raise StillwaveError(
                f"{self.title}: the process ended with code {code} during the measurement; see above"
            )
        reply = json.loads(line)
        if "error" in reply:
            raise StillwaveError(f"{self.title}: {reply['error']}")
        return reply["answer"]


@contextlib.contextmanager
def _process(spec: dict[str, Any], core: int | None, title: str) -> Iterator[LatencyProcess]:
    popen = subprocess.Popen(
        [sys.executable, "-c", BOOT],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, **dict.fromkeys(THREADS, "1")},
    )
    process = LatencyProcess(title, popen)
    try:
        process.facts = process.ask(**spec, core=core)
        yield process
    finally:
        popen.kill()
        popen.communicate()


def _take_turns(
    processes: Sequence[LatencyProcess], frames: int, rounds: int, report: Progress
) -> list[list[dict[str, Any]]]:
    """Return the answers of every process by turn."""
    turns: list[list[dict[str, Any]]] = [[] for _ in processes]
    for turn in range(rounds):
        for k, process in enumerate(processes):
            report(process.title, turn * len(processes) + k, rounds * len(processes))
            turns[k].append(process.ask(do="frames", count=frames, warmup=WARMUP, streams=1))
    return turns


def _streams(process: LatencyProcess, most: int, report: Progress) -> dict[int, float]:
    """Return real-time factors of 1, 2, 4, … streams in one batch, up to the first above 1."""
    hop, count = process.facts["hop"] / process.facts["sample_rate"], 1
    factors: dict[int, float] = {}
    while count <= most:
        report(f"{process.title}, {count} streams", len(factors), most.bit_length())
        seconds = process.ask(do="frames", count=STREAM_FRAMES, warmup=3, streams=count)["frame"]
        factors[count] = float(np.median(seconds)) / hop
        if factors[count] > 1:
            break
        count *= 2
    return factors


def _row(
    variant: Variant,
    process: LatencyProcess,
    turns: list[dict[str, Any]],
    memory: int | None,
    streams: dict[int, float],
) -> LatencyRow:
    facts = process.facts
    hop = facts["hop"] / facts["sample_rate"]
    frames = np.concatenate([turn["frame"] for turn in turns])
    return LatencyRow(
        model=variant.model,
        backend=variant.backend,
        frame=Times.of(frames),
        core_share=float(np.mean([turn["share"] for turn in turns])),
        over_hop=float(np.mean(frames > hop)),
        hop_seconds=hop,
        delay_seconds=facts["n_fft"] / facts["sample_rate"],
        memory_bytes=memory,
        state_bytes=facts["state_bytes"],
        file_bytes=variant.file_bytes,
        frame_macs=variant.frame_macs,
        streams=streams,
    )


def _last_core() -> int | None:
    return max(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None


def machine() -> dict[str, Any]:
    """Return processor, cores, load and versions."""
    from stillwave import provenance

    facts, versions = provenance.machine(), provenance.versions()
    with contextlib.suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
        facts["processor"] = names[0] if names else facts["processor"]
    if hasattr(os, "getloadavg"):
        facts["load"] = round(os.getloadavg()[0], 1)
    wanted = ("python", "numpy", "onnxruntime", "torch")
    return {name: facts[name] for name in ("system", "processor", "cores", "load") if name in facts} | {
        "versions": {name: versions[name] for name in wanted if name in versions}
    }
