"""What simulated scenes cost, and how often a wrong order of channels is seen in them.

    python benchmarks/simulation.py SPEECH NOISE [--scenes 60] [--seed 0]

SPEECH and NOISE are manifests or folders. Times are of the processor, of one process without writing; the responses of
one room are timed in turn with those of pyroomacoustics' own microphones (omnidirectional and figure-of-eight).
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from stillwave.audio import Samples
from stillwave.console import track
from stillwave.data.corpora import folders
from stillwave.data.scan import load
from stillwave.data.scenes import rooms
from stillwave.data.scenes.ambisonics import order_fault
from stillwave.data.scenes.geometry import SceneGeometry
from stillwave.data.scenes.simulate import Simulator
from stillwave.schema import SAMPLE_RATE

RT60 = 0.33
LAYOUT = SceneGeometry(
    np.array([5.0, 4.0, 2.8]),
    np.array([2.0, 1.5, 1.4]),
    0.0,
    np.array([3.6, 2.7, 1.6]),
    (np.array([1.0, 3.0, 1.0]),),
)
DIPOLES = {"Y": (90, 90), "Z": (0, 0), "X": (0, 90)}
"""Azimuth and colatitude of figures of eight."""
TURNS = 7


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("speech", type=Path)
    parser.add_argument("noise", type=Path)
    parser.add_argument("--scenes", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    simulator = Simulator(
        load(options.speech), load(options.noise, folders.describe_noise), seed=options.seed
    )
    print(f"{options.scenes} scenes, seed {options.seed}.\n\n| | |\n| --- | --- |")
    clips = cost(simulator, options.scenes)
    ours, theirs = (
        statistics.median(took(make) for _ in range(TURNS)) for make in (responses, pyroomacoustics)
    )
    print(f"| the eight responses of one source, RT60 {RT60} s | {1e3 * ours:.0f} ms |")
    print(f"| the same with the microphones of pyroomacoustics | {1e3 * theirs:.0f} ms |")
    order(clips)


def cost(simulator: Simulator, count: int) -> list[Samples]:
    """Says how fast scenes are made; gives them, `[8, N]` each."""
    simulator(0)  # imports, and the first decoding
    start = time.process_time()
    clips = [simulator(index).noisy for index in track(range(count), "scenes")]
    took = time.process_time() - start
    sound = sum(clip.shape[1] for clip in clips) / SAMPLE_RATE
    print(f"| audio of {count} scenes | {sound:.0f} s |")
    print(
        f"| processor time, with decoded recordings | {took:.1f} s: {sound / took:.0f} times faster than real time |"
    )
    return clips


def responses() -> None:
    """Ours, with the reverberation solved for."""
    found = rooms.arrivals(LAYOUT, LAYOUT.speech, RT60, np.random.default_rng(0))
    beta = rooms.reflectivity(found, LAYOUT, RT60)
    rooms.responses(found, LAYOUT, beta, rooms.LEAD + round(RT60 * SAMPLE_RATE))


def pyroomacoustics() -> None:
    """Two omnidirectional and six figure-of-eight microphones in the same room."""
    import pyroomacoustics as pra
    from pyroomacoustics.directivities import DirectionVector, FigureEight

    absorption, images = pra.inverse_sabine(RT60, LAYOUT.room)
    room = pra.ShoeBox(LAYOUT.room, fs=SAMPLE_RATE, materials=pra.Material(absorption), max_order=images)
    room.add_source(LAYOUT.speech)
    for place in (LAYOUT.microphone_a, LAYOUT.microphone_b):
        room.add_microphone(place)
        for azimuth, colatitude in DIPOLES.values():
            eight = FigureEight(DirectionVector(azimuth=azimuth, colatitude=colatitude, degrees=True))
            room.add_microphone(place, directivity=eight)
    room.compute_rir()


def took(make: Callable[[], None]) -> float:
    """Seconds of the processor."""
    start = time.process_time()
    make()
    return time.process_time() - start


def order(clips: list[Samples]) -> None:
    """Says in how many microphones' channels W is missed, as they are and with each dipole in its place."""
    microphones = [part for clip in clips for part in (clip[:4], clip[4:])]
    energies = [np.square(np.diff(part).astype(np.float64)).sum(1) for part in microphones]
    least = min(float(energy[0] / energy[1:].max()) for energy in energies)
    intact = sum(bool(order_fault(part)) for part in microphones)
    exchanged = [
        part[[dipole, *(c for c in range(4) if c != dipole)]]
        for part, dipole in itertools.product(microphones, (1, 2, 3))
    ]
    found = sum(bool(order_fault(part)) for part in exchanged)
    print(
        f"| lowest ratio of the energies of W and of the strongest dipole, of first differences | {least:.2f} |"
    )
    print(f"| false detections: correct channel order | {intact} of {len(microphones)} |")
    print(f"| detections: a dipole in place of W | {found} of {len(exchanged)} |")


if __name__ == "__main__":
    main()
