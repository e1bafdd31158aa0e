"""Speed of files: the network's layout for export, where its time goes, one core on a recording, and folders by jobs.

    python benchmarks/files.py CHECKPOINT [--seconds 120] [--files 8] [--jobs 2]

CHECKPOINT is a causal band-split network, such as weights/bsrnn-m. Everything that is compared is timed in turns in one
run. The first two tables count processor seconds of one thread, which other programs change less than the clock. The
ratio of jobs is by the clock: it is valid only if as many cores are idle.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

import stillwave
from stillwave import audio, checkpoint
from stillwave.cores import cores
from stillwave.exporting import graphs
from stillwave.exporting.export import describe
from stillwave.exporting.signals import speechlike
from stillwave.inference import plan, run
from stillwave.models.bsrnn import BSRNN
from stillwave.models.denoiser import Denoiser
from stillwave.provenance import machine, versions

NOTES = """\
"As trained" is the network as its layers compute it in training, "bands first" is `models/band_major.py`, which
`stillwave export` writes. Outputs for blocks of frames are equal bit for bit. Most of the time that is left belongs
to the GRUs, one operator of ONNX Runtime each, which larger blocks do not make faster: more than 64 frames leave the
cache of the core. Spectra and overlap-add are a few per cent of a recording at 16 kHz, so one call for all of them
would gain nothing."""
FRAMES = (1, 16, 64, 256)
RATE = 16_000
Session = Any
"""An `onnxruntime.InferenceSession`."""


def main() -> None:
    options = _options()
    facts = machine()
    print(
        f"{options.checkpoint.name}; {facts['processor']}, {facts['cores']} cores, "
        f"onnxruntime {versions()['onnxruntime']}\n"
    )
    model, card = checkpoint.load(options.checkpoint)
    with mock.patch.object(BSRNN, "fold", Denoiser.fold):
        before = graphs.stream_graph(model)
    meta = describe(model, card, offline=False)
    data = {"as trained": graphs.serialise(before, meta)}
    data["bands first"] = graphs.serialise(graphs.stream_graph(model), meta)
    with tempfile.TemporaryDirectory() as folder:
        sections = (
            layouts(data, options.repeats),
            operators(data["bands first"], Path(folder), options.repeats),
            one_core(data, Path(folder), options),
            folders(data["bands first"], Path(folder), options),
        )
        for section in sections:
            print("\n".join(section) + "\n")
    print(NOTES)


def layouts(data: dict[str, bytes], repeats: int) -> Iterator[str]:
    """Processor time of a frame by layout and number of frames in a call."""
    import onnxruntime

    yield "| frames in a call | as trained, µs a frame | bands first, µs a frame | ratio | difference |"
    yield "| --- | --- | --- | --- | --- |"
    sessions = [onnxruntime.InferenceSession(file, _one_thread()) for file in data.values()]
    for frames in FRAMES:
        feed = _feed(sessions[0], frames)
        outputs = [session.run(None, feed)[0] for session in sessions]
        taken = [[_seconds(session, feed) for session in sessions] for _ in range(repeats)]
        first, second = (1e6 / frames * statistics.median(row[i] for row in taken) for i in (0, 1))
        ratio = statistics.median(row[0] / row[1] for row in taken)
        apart = float(np.abs(outputs[0] - outputs[1]).max())
        yield f"| {frames} | {first:.0f} | {second:.0f} | {ratio:.2f} | {apart:.1g} |"


def _one_thread() -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return options


def _feed(session: Session, frames: int) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    shapes = {value.name: [size if isinstance(size, int) else 1 for size in value.shape]
              for value in session.get_inputs()}  # fmt: skip
    feed = {name: np.zeros(shape, np.float32) for name, shape in shapes.items() if name != "spectrum"}
    shape = [*shapes["spectrum"][:2], frames, shapes["spectrum"][3]]
    return {**feed, "spectrum": rng.standard_normal(shape, np.float32)}


def _seconds(session: Session, feed: dict[str, Any]) -> float:
    start = time.process_time()
    session.run(None, feed)
    return time.process_time() - start


def operators(data: bytes, folder: Path, repeats: int) -> Iterator[str]:
    """Share of the time by kind of operator, from ONNX Runtime's profile."""
    import onnxruntime

    options = _one_thread()
    options.enable_profiling, options.profile_file_prefix = True, str(folder / "profile")
    session = onnxruntime.InferenceSession(data, options)
    feed = _feed(session, 64)
    for _ in range(repeats):
        session.run(None, feed)
    events = json.loads(Path(session.end_profiling()).read_text(encoding="utf-8"))
    taken = Counter[str]()
    for event in events:
        if event.get("cat") == "Node" and event["name"].endswith("_kernel_time"):
            taken[event["args"]["op_name"]] += event["dur"]
    yield "| operator (64 frames in a call) | share of the time |\n| --- | --- |"
    for name, duration in taken.most_common(8):
        yield f"| {name} | {duration / taken.total():.0%} |"


def one_core(data: dict[str, bytes], folder: Path, options: argparse.Namespace) -> Iterator[str]:
    """Seconds of a recording at 16 kHz that one core enhances in a second of processor time."""
    samples = np.resize(speechlike(1, 1)[0], (1, options.seconds * RATE))
    taken: dict[str, list[float]] = {name: [] for name in data}
    shares: dict[str, list[float]] = {name: [] for name in data}
    for _ in range(options.turns):
        for name, file in data.items():
            place = folder / f"{name.replace(' ', '-')}.onnx"
            place.write_bytes(file)
            enhancer = stillwave.load(place)
            network = _Timed(enhancer.backend)
            enhancer.backend = network
            start = time.process_time()
            enhancer.enhance(samples, RATE)
            seconds = time.process_time() - start
            taken[name].append(options.seconds / seconds)
            shares[name].append(network.seconds / seconds)
    yield "| a recording on one core | times real time: median (range) | share of the network |"
    yield "| --- | --- | --- |"
    for name, rates in taken.items():
        share = statistics.median(shares[name])
        yield f"| {name} | {statistics.median(rates):.0f} ({min(rates):.0f} – {max(rates):.0f}) | {share:.0%} |"


class _Timed:
    """A backend that counts the processor seconds of its network."""

    def __init__(self, backend: Any) -> None:
        self._backend, self.seconds = backend, 0.0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._backend, name)

    def step(self, spectrum: Any, state: Any) -> Any:
        start = time.process_time()
        try:
            return self._backend.step(spectrum, state)
        finally:
            self.seconds += time.process_time() - start


def folders(data: bytes, folder: Path, options: argparse.Namespace) -> Iterator[str]:
    """Time of a folder by the clock with one job, and with several."""
    if options.jobs < 2:
        yield "Folders: not measured; --jobs 2 or more compares with one job."
        return
    if options.jobs > cores():
        yield f"Folders: to be measured on a machine with {options.jobs} idle cores (here: {cores()})."
        return
    place, recordings = folder / "model.onnx", folder / "recordings"
    place.write_bytes(data)
    recordings.mkdir()
    samples = np.resize(speechlike(1, 1)[0], (1, options.seconds * RATE // 4))
    for i in range(options.files):
        audio.write(recordings / f"{i}.wav", samples, RATE)
    enhancer = stillwave.load(place)
    taken: dict[int, list[float]] = {1: [], options.jobs: []}
    for _ in range(options.turns):
        for jobs, times in taken.items():
            work = plan([recordings], folder / "enhanced")
            start = time.perf_counter()
            failed = [
                result.error for result in run(enhancer, work.jobs, jobs, overwrite=True) if result.error
            ]
            times.append(time.perf_counter() - start)
            assert not failed, failed
    ratio = statistics.median(a / b for a, b in zip(*taken.values(), strict=True))
    first, several = (statistics.median(times) for times in taken.values())
    yield (
        f"A folder of {options.files} recordings of {options.seconds / 4:.0f} s by the clock: 1 job {first:.2f} s, "
        f"{options.jobs} jobs {several:.2f} s, ratio {ratio:.2f}."
    )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--seconds", type=int, default=120)
    parser.add_argument("--files", type=int, default=8)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=30, help="calls of the network")
    parser.add_argument("--turns", type=int, default=5, help="recordings and folders")
    return parser.parse_args()


if __name__ == "__main__":
    main()
