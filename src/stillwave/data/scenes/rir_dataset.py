"""Write impulse responses of simulated rooms as files, for `data.train.rooms`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from stillwave.audio import write
from stillwave.console import track
from stillwave.data.manifest import Recording, write_manifest
from stillwave.data.scenes import rooms
from stillwave.data.scenes.geometry import RoomError, SceneConfig, draw, draw_geometry
from stillwave.schema import SAMPLE_RATE

LICENCE = "simulated (stillwave)"
_TRIES = 20


def write_rooms(out: Path, count: int, *, config: SceneConfig | None = None, seed: int = 0) -> Path:
    """Write `out/room_000000.wav` … (one microphone, 16 kHz, peak 0.5) and `out/rooms.jsonl`, whose path is given.

    Room i depends on (seed, i) and the settings alone. Raises RoomError where no room can have such a reverberation.
    """
    config = config or SceneConfig()
    recordings = [_write(out, index, config, seed) for index in track(range(count), "rooms")]
    write_manifest(out / "rooms.jsonl", recordings, "rooms")
    return out / "rooms.jsonl"


def _write(out: Path, index: int, config: SceneConfig, seed: int) -> Recording:
    path = out / f"room_{index:06d}.wav"
    response, rt60 = impulse(config, seed, index)
    write(path, 0.5 * response[None] / np.abs(response).max(), SAMPLE_RATE, subtype="FLOAT")
    return Recording(
        path=path.absolute(),
        sample_rate=SAMPLE_RATE,
        channels=1,
        seconds=len(response) / SAMPLE_RATE,
        licence=LICENCE,
        label=f"RT60 {rt60:.2f} s",
    )


def impulse(
    config: SceneConfig, seed: int, index: int
) -> tuple[np.ndarray[tuple[int], np.dtype[np.float32]], float]:
    """Return the response `[samples]` of room `index` to an omnidirectional microphone, and its RT60 in s."""
    for layout_rng in _draws(seed, index):
        try:
            layout = draw_geometry(layout_rng, config)
            rt60 = draw(layout_rng, config.rt60)
            found = rooms.arrivals(layout, layout.speech, rt60, layout_rng)
            beta = rooms.reflectivity(found, layout, rt60)
        except RoomError as error:
            last = error
            continue
        return rooms.responses(found, layout, beta, rooms.LEAD + round(1.1 * rt60 * SAMPLE_RATE))[0], rt60
    raise RoomError(f"{last}; none of {_TRIES} rooms is possible: change --rt60 or --distance")


def _draws(seed: int, index: int) -> Iterator[np.random.Generator]:
    yield from (np.random.default_rng([seed, index, turn]) for turn in range(_TRIES))
