"""Impulse responses of a box-shaped room at two ambisonic microphones, 16 kHz, by image sources.

**Early**: the image sources of pyroomacoustics (Allen & Berkley, 1979), each a plane wave from its direction with
amplitude β^k / d after k reflections and d metres. Their number grows with the cube of the time: a response of
half a second has half a million.

**Late**: the mirrored rooms tile space, and each holds one image. Where more than `DENSITY` of them arrive in a sample,
that many points drawn at random stand in for them: k is known from the mirrored room that a point lies in, its energy
stands for the images that it replaces, and its sign is random, since the phases of a dense field are. So level, decay,
directions and the coherence between the microphones stay those of the image sources, at a fraction of the cost.

**Reverberation time**: all walls absorb alike, and β is solved for such that T30 of the energies of all reflections
(the line through −5 and −35 dB of their backward integral; the direct sound is left out) is the RT60 asked for.

**Lowest frequencies**: images of rigid walls are all in phase, and would pile up where the room is smaller than the
wave. The reflections pass a high-pass filter at 60 Hz; Allen & Berkley used one for the same reason.

Time 0 is the direct sound at microphone A. Left out: frequency-dependent absorption, air, scattering, directivity and
size of sources, curved wavefronts, and the microphones' own capsules.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from stillwave.data.effects import fast_length
from stillwave.data.scenes.ambisonics import about_z, encode
from stillwave.data.scenes.geometry import RoomError, SceneGeometry, Vector, format_size
from stillwave.schema import SAMPLE_RATE

SPEED = 343.0
"""Speed of sound in metres per second."""
DENSITY = 8.0
"""Arrivals per sample above which random points replace image sources."""
LEAD = 64
"""Samples of a response before time 0: sound may reach microphone B 9.3 samples before A, and filters ring."""

_FINE = 8
"""Grid points per sample; an arrival is distributed over the two nearest."""
_MARGIN = 256
"""Margin in samples for the response of the low-pass filter."""
_EDGE = 0.975
"""Share of the band that the low-pass filter leaves unchanged."""
_LOWEST = 60.0
"""Lowest frequency of reflections in Hz."""
_BIN = 0.001
_STEPS = 30

Floats = npt.NDArray[Any]


@dataclass(frozen=True)
class Arrivals:
    """All arrivals at the microphones from one source; the direct sound is the first."""

    positions: Floats
    """Of image sources, `[n, 3]`, metres from the room's corner."""
    reflections: npt.NDArray[np.int64]
    """Number of reflections, `[n]`."""
    gains: Floats
    """1 for an image source; for a random point the amplitude of the images that it replaces, with its sign."""


def arrivals(layout: SceneGeometry, source: Vector, rt60: float, rng: np.random.Generator) -> Arrivals:
    """Return image sources and, late, random points in their place, until the sound has decayed by 60 dB."""
    longest = SPEED * rt60 + float(np.linalg.norm(source - layout.microphone_a))
    border = min(longest, np.sqrt(DENSITY * layout.volume * SAMPLE_RATE / (4 * np.pi * SPEED)))
    early, reflections = _images(layout, source, border)
    late, further, gains = _stand_ins(layout, border, longest, rng)
    return Arrivals(
        np.concatenate([early, late]),
        np.concatenate([reflections, further]),
        np.concatenate([np.ones(len(early)), gains]),
    )


def _images(layout: SceneGeometry, source: Vector, radius: float) -> tuple[Floats, npt.NDArray[np.int64]]:
    """Image sources within `radius` of microphone A, the source itself first."""
    import pyroomacoustics as pra

    order = int(np.ceil(radius * np.sqrt(np.sum(layout.room**-2.0)))) + 3
    room = pra.ShoeBox(layout.room, fs=SAMPLE_RATE, max_order=order)
    room.add_source(source)
    room.add_microphone(layout.microphone_a)
    room.image_source_model()
    positions = np.asarray(room.sources[0].images, np.float64).T
    reflections = np.asarray(room.sources[0].orders, np.int64)
    near = np.linalg.norm(positions - layout.microphone_a, axis=1) <= radius
    near |= reflections == 0
    first = np.argsort(reflections[near] > 0, kind="stable")
    return positions[near][first], reflections[near][first]


def _stand_ins(
    layout: SceneGeometry, border: float, longest: float, rng: np.random.Generator
) -> tuple[Floats, npt.NDArray[np.int64], Floats]:
    """Random points between two distances from microphone A, `DENSITY` a sample, with reflections and gains."""
    count = round(DENSITY * (longest - border) / SPEED * SAMPLE_RATE)
    distance = rng.uniform(border, longest, count)
    towards = rng.standard_normal((count, 3))
    towards /= np.linalg.norm(towards, axis=1, keepdims=True)
    positions = layout.microphone_a + distance[:, None] * towards
    reflections = np.abs(np.floor(positions / layout.room)).astype(np.int64).sum(axis=1)
    images = 4 * np.pi * distance**2 / layout.volume * SPEED / SAMPLE_RATE  # in one sample
    return positions, reflections, np.sqrt(images / DENSITY) * rng.choice([-1.0, 1.0], count)


def reflectivity(found: Arrivals, layout: SceneGeometry, rt60: float) -> float:
    """Return β, the amplitude factor of a reflection, for the wanted RT60, by bisection.

    Raises RoomError if the walls would absorb more than 95 % or less than 0.02 % of the energy.
    """
    energies = _energies(found, layout)
    low, high = np.sqrt(0.05), 0.9999
    if not decay_time(energies, low) <= rt60 <= decay_time(energies, high):
        raise RoomError(f"a room of {format_size(layout.room)} m cannot have an RT60 of {rt60:.2f} s")
    for _ in range(_STEPS):
        middle = (low + high) / 2
        low, high = (middle, high) if decay_time(energies, middle) < rt60 else (low, middle)
    return float(low + high) / 2


def _energies(found: Arrivals, layout: SceneGeometry) -> Floats:
    """Return the energy by millisecond and number of reflections, for β = 1."""
    distance = np.linalg.norm(found.positions[1:] - layout.microphone_a, axis=1)
    times = (distance / SPEED / _BIN).astype(np.int64)
    orders = found.reflections[1:]
    columns = int(orders.max()) + 1
    flat = np.bincount(times * columns + orders, (found.gains[1:] / distance) ** 2)
    rows = -(-len(flat) // columns)
    return np.pad(flat, (0, rows * columns - len(flat))).reshape(rows, columns)


def decay_time(energies: Floats, beta: float) -> float:
    """Return T30 in seconds of `energies` [milliseconds, reflections] for a β; 0 for too steep a decay."""
    decay = energies @ beta ** (2.0 * np.arange(energies.shape[1]))
    return t30(decay, _BIN)


def t30(energy: Floats, step: float) -> float:
    """Return the reverberation time of energies in steps of `step` seconds: Schroeder integral from −5 to −35 dB.

    ISO 3382-1. 0 if fewer than two steps lie between.
    """
    left = np.cumsum(energy[::-1])[::-1]
    level = 10 * np.log10(np.maximum(left, 1e-30) / max(left[0], 1e-30))
    inside = np.flatnonzero((level <= -5) & (level >= -35))
    if len(inside) < 2:
        return 0.0
    slope = np.polyfit(inside * step, level[inside], 1)[0]
    return float(-60 / slope) if slope < 0 else 0.0


def responses(found: Arrivals, layout: SceneGeometry, beta: float, samples: int) -> npt.NDArray[np.float32]:
    """Return the impulse responses `[8, samples]` (W, Y, Z, X of A, then of B), relative to the direct sound at A.

    Sample `LEAD` is time 0, where W of A is 1. A's direct sound is one exact sample; all else is band-limited.
    """
    from scipy.signal import butter, sosfilt

    distance = float(np.linalg.norm(found.positions[0] - layout.microphone_a))
    amplitudes = found.gains * beta**found.reflections * distance
    turn = about_z(-layout.yaw)

    def at_microphones(part: slice, length: int, *microphones: Vector) -> Floats:
        grids = [
            _on_grid(found.positions[part], amplitudes[part], m, turn, distance, length) for m in microphones
        ]
        return _decimate(np.concatenate(grids), length)

    response = at_microphones(slice(1, None), samples, layout.microphone_a, layout.microphone_b)
    response = sosfilt(butter(2, _LOWEST, "high", fs=SAMPLE_RATE, output="sos"), response)
    response[:4, LEAD] += encode(layout.seen_from_a(found.positions[0]))
    start = min(samples, 2 * LEAD + _MARGIN)
    response[4:, :start] += at_microphones(slice(0, 1), start, layout.microphone_b)
    return np.asarray(response, np.float32)


def _on_grid(
    positions: Floats, amplitudes: Floats, microphone: Vector, turn: Floats, direct: float, samples: int
) -> Floats:
    """Return arrivals on the fine grid, `[4, (samples + 2 margins) · fine]`; later ones are left out."""
    away = (positions - microphone) @ turn.T
    distance = np.linalg.norm(away, axis=1)
    place = ((distance - direct) * (SAMPLE_RATE / SPEED) + LEAD + _MARGIN) * _FINE
    size = _points(samples) * _FINE
    inside = place < (samples + _MARGIN) * _FINE
    place, distance, away = place[inside], distance[inside], away[inside]
    gains = encode(away / distance[:, None]).T * (amplitudes[inside] / distance)
    whole = place.astype(np.int64)
    part = place - whole
    grid = np.empty((4, size))
    for channel, gain in enumerate(gains):
        grid[channel] = np.bincount(whole, gain * (1 - part), size)
        grid[channel] += np.bincount(whole + 1, gain * part, size)
    return grid


def _points(samples: int) -> int:
    """Return an even length with the margins, for fast FFTs."""
    return 2 * fast_length((samples + 2 * _MARGIN + 1) // 2)


def _decimate(fine: Floats, samples: int) -> Floats:
    """Resample the fine grid to 16 kHz, `[8, samples]`."""
    spectrum = np.fft.rfft(fine, axis=-1)
    kept = _points(samples) // 2 + 1
    frequency = np.linspace(0, 1, kept)
    lowpass = np.cos(np.pi / 2 * np.clip((frequency - _EDGE) / (1 - _EDGE), 0, 1)) ** 2
    coarse = np.fft.irfft(spectrum[..., :kept] * lowpass, _points(samples), axis=-1)
    return coarse[..., _MARGIN : _MARGIN + samples]
