"""What a frame costs on this machine: each engine in a process of its own, on one core, in turns.

The *frame's time* is all that one hop of input costs: analysis, network, synthesis. It has to stay below the hop.
The *algorithmic delay* is what the signal waits whatever the machine: an output sample needs input up to a window
later. They are told apart, because a faster machine shortens the one and never the other.
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

from stillwave.errors import StillwaveError
from stillwave.profiling.latency_backends import ENGINES, Variant, variants
from stillwave.profiling.latency_worker import BOOT

THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
WARMUP = 20
"""Frames at the start of every turn that are not counted."""
STREAM_FRAMES = 15
Progress = Callable[[str, int, int], None]
"""What is being done, how many steps are done, of how many."""


@dataclass(frozen=True)
class Times:
    """Seconds of frames. `spread` is the least and the greatest median of a turn."""

    mean: float
    median: float
    p95: float
    p99: float
    max: float
    spread: tuple[float, float]

    @classmethod
    def of(cls, turns: Sequence[Sequence[float]]) -> Times:
        """From the frames of every turn."""
        every = np.concatenate([np.asarray(turn) for turn in turns])
        medians = [float(np.median(turn)) for turn in turns]
        p50, p95, p99 = (float(np.percentile(every, q)) for q in (50, 95, 99))
        return cls(float(every.mean()), p50, p95, p99, float(every.max()), (min(medians), max(medians)))


@dataclass(frozen=True)
class LatencyRow:
    """One engine's figures. Bytes, seconds, MACs."""

    model: str
    backend: str
    frame: Times
    """The whole of a hop: analysis, network, synthesis."""
    network: Times
    core_share: float
    """How much of its time the engine had the core. Clearly below 1: others ran there, and the times hold theirs."""
    over_hop: float
    """Share of frames that took longer than the hop."""
    hop_seconds: float
    delay_seconds: float
    """Algorithmic: one window."""
    memory_bytes: int | None
    """Peak above the bare interpreter, one stream; None where the system does not tell."""
    state_bytes: int
    file_bytes: int
    frame_macs: int | None
    """Of one frame as it is streamed; None without PyTorch or a card."""
    streams: dict[int, float]
    """Real-time factor by the number of streams in one batch."""

    @property
    def real_time_factor(self) -> float:
        """Mean share of the core that one stream takes."""
        return self.frame.mean / self.hop_seconds

    @property
    def macs_per_second(self) -> float | None:
        """MACs for each second of audio."""
        return self.frame_macs / self.hop_seconds if self.frame_macs else None

    @property
    def achieved(self) -> float | None:
        """MACs a second that the network reached while it computed."""
        return self.frame_macs / self.network.median if self.frame_macs else None

    @property
    def full_at(self) -> int | None:
        """The most streams tried that still ran in real time; None if none were tried, or not even one did."""
        return max((count for count, factor in self.streams.items() if factor <= 1), default=None)


@dataclass(frozen=True)
class Latency:
    """All figures of one run."""

    rows: list[LatencyRow]
    skipped: list[tuple[str, str, str]]
    """Model, engine and why it was left out."""
    peak: float
    """MAC/s of a float32 matrix product on one thread of the same core, in the same run."""
    peak_spread: tuple[float, float]
    frames: int
    rounds: int
    pinned: bool

    def as_dict(self) -> dict[str, Any]:
        """Plain figures for JSON."""
        extra = ("real_time_factor", "macs_per_second", "achieved", "full_at")
        rows = [dataclasses.asdict(row) | {name: getattr(row, name) for name in extra} for row in self.rows]
        return dataclasses.asdict(self) | {"rows": rows, "warmup": WARMUP, "machine": machine()}


def measure(
    targets: Sequence[str],
    *,
    backends: Sequence[str] = ENGINES,
    frames: int = 1000,
    rounds: int = 5,
    streams: int = 256,
    core: int | None = None,
    progress: Progress | None = None,
) -> Latency:
    """Measure presets (with random weights), checkpoints and `.onnx` files on every engine that fits them.

    `frames` in all for each engine, in `rounds` turns between which the others have theirs. Up to `streams` streams
    are tried in one batch (0: none). `core` is the one to run on; by default the last of those this process may use.

    Raises StillwaveError: nothing to measure, a network that cannot stream, an engine that fails.
    """
    tell = progress or (lambda *_: None)
    with tempfile.TemporaryDirectory() as folder:
        found, skipped = variants(targets, backends, Path(folder), tell)
        if not found:
            raise StillwaveError(f"nothing to measure: {'; '.join(': '.join(why) for why in skipped)}")
        with contextlib.ExitStack() as stack:
            chosen = core if core is not None else _last_core()
            starts = [stack.enter_context(_process(variant.spec, chosen, variant.title)) for variant in found]
            peak = stack.enter_context(_process({"engine": "peak"}, chosen, "the matrix product"))
            turns, products, memory = _take_turns(starts, peak, max(1, frames // rounds), rounds, tell)
            loads = [_streams(process, streams, tell) for process in starts]
            rows = [_row(*parts) for parts in zip(found, starts, turns, memory, loads, strict=True)]
            pinned = all(process.facts["pinned"] for process in starts)
    median = float(np.median(products))
    return Latency(
        rows,
        skipped,
        median,
        (min(products), max(products)),
        max(1, frames // rounds) * rounds,
        rounds,
        pinned,
    )


@dataclass
class LatencyProcess:
    """One worker. Requests are answered in order."""

    title: str
    popen: subprocess.Popen[str]
    facts: dict[str, Any] = dataclasses.field(default_factory=dict)

    def ask(self, **request: Any) -> Any:
        """The answer to a request. Raises StillwaveError for one that failed."""
        assert self.popen.stdin
        assert self.popen.stdout
        with contextlib.suppress(BrokenPipeError):  # it has died; what it said is read below
            self.popen.stdin.write(json.dumps(request) + "\n")
            self.popen.stdin.flush()
        line = self.popen.stdout.readline()
        if not line:
            code = self.popen.wait()
            raise StillwaveError(f"{self.title}: its process ended ({code}) while it was measured; see above")
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
    processes: Sequence[LatencyProcess], peak: LatencyProcess, frames: int, rounds: int, tell: Progress
) -> tuple[list[list[dict[str, Any]]], list[float], list[int | None]]:
    """Frames of every engine by turn, the core's peak by turn, and each engine's memory."""
    turns: list[list[dict[str, Any]]] = [[] for _ in processes]
    products: list[float] = []
    for turn in range(rounds):
        products.append(peak.ask(do="gemm"))
        for k, process in enumerate(processes):
            tell(process.title, turn * len(processes) + k, rounds * len(processes))
            turns[k].append(process.ask(do="frames", count=frames, warmup=WARMUP, streams=1))
    return turns, products, [process.ask(do="memory") for process in processes]


def _streams(process: LatencyProcess, most: int, tell: Progress) -> dict[int, float]:
    """Real-time factors of 1, 2, 4, … streams in one batch, to the first that the core cannot hold."""
    hop, count = process.facts["hop"] / process.facts["sample_rate"], 1
    factors: dict[int, float] = {}
    while count <= most:
        tell(f"{process.title}, {count} streams", len(factors), most.bit_length())
        taken = process.ask(do="frames", count=STREAM_FRAMES, warmup=3, streams=count)["frame"]
        factors[count] = float(np.median(taken)) / hop
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
    whole = [turn["frame"] for turn in turns]
    return LatencyRow(
        model=variant.model,
        backend=variant.backend,
        frame=Times.of(whole),
        network=Times.of([turn["network"] for turn in turns]),
        core_share=float(np.mean([turn["share"] for turn in turns])),
        over_hop=float(np.mean(np.concatenate(whole) > hop)),
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
    """Processor, cores, load and versions: what the figures hang on."""
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
