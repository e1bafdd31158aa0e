"""First-order ambisonics: encoding of directions in four coincident channels, and conventions.

Directions are vectors in the frame of the microphone: x ahead, y to the left, z up. A plane wave of amplitude a from
the unit direction (x, y, z) gives, in the convention of AmbiX, which is used throughout (ACN order, SN3D
normalisation; Nachbar et al., Ambisonics Symposium 2011),

    W = a, Y = a·y, Z = a·z, X = a·x        with x = cos θ · cos φ, y = sin θ · cos φ, z = sin φ

for the azimuth θ (anticlockwise) and the elevation φ. Classic B-format (*FuMa*) has the order W, X, Y, Z and
W = a / √2.

`order_fault` and `normalisation_fault` check recordings. In AmbiX |Y|² + |Z|² + |X|² = |W|², for a plane wave from
any direction and for diffuse sound. So W is the strongest channel unless all sound comes from the axis of one dipole,
and a swapped W is found; FuMa has |W|² at half of the sum, which is found over several recordings. Exchanged or
inverted dipoles are the channels of a rotated or mirrored scene and cannot be found. In a room a recording deviates
from the equality, most at low frequencies, so first differences (+6 dB per octave) are used (docs/benchmarks.md,
"Simulated scenes").
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from stillwave.audio import Samples

Floats = npt.NDArray[Any]
Convention = Literal["acn_sn3d", "fuma"]

CHANNELS = ("W", "Y", "Z", "X")
_AXES = [1, 2, 0]
"""Indices of y, z and x in a vector (x, y, z)."""
_FUMA_ORDER = [0, 3, 1, 2]
"""Indices of W, X, Y, Z in W, Y, Z, X."""


def encode(directions: Floats) -> Floats:
    """Return gains of W, Y, Z, X `[..., 4]` for unit vectors `[..., 3]`.

    Examples:
        >>> encode(np.array([0.0, 1.0, 0.0]))
        array([1., 1., 0., 0.])

    """
    return np.concatenate([np.ones_like(directions[..., :1]), directions[..., _AXES]], axis=-1)


def direction(azimuth: float, elevation: float = 0.0) -> Floats:
    """Return the unit vector of an azimuth (anticlockwise from straight ahead) and an elevation, in radians."""
    level = np.cos(elevation)
    return np.array([level * np.cos(azimuth), level * np.sin(azimuth), np.sin(elevation)])


def about_z(angle: float) -> Floats:
    """Return the matrix `[3, 3]` that rotates vectors anticlockwise by `angle`, in radians, seen from above."""
    cos, sin = np.cos(angle), np.sin(angle)
    return np.array([[cos, -sin, 0.0], [sin, cos, 0.0], [0.0, 0.0, 1.0]])


def rotate(channels: Floats, matrix: Floats) -> Floats:
    """Rotate the scene of W, Y, Z, X `[..., 4, N]` about the microphone by `matrix`."""
    back = np.argsort(_AXES)
    vectors = channels[..., 1:, :][..., back, :]
    turned = np.einsum("ij,...jn->...in", matrix, vectors)[..., _AXES, :]
    return np.concatenate([channels[..., :1, :], turned], axis=-2).astype(channels.dtype, copy=False)


def convert(channels: Floats, source: Convention, target: Convention) -> Floats:
    """Convert samples `[4 or 8, N]` (one or two microphones) from one convention to another."""
    if source == target:
        return channels
    order, gain = (_FUMA_ORDER, 2**-0.5) if target == "fuma" else (np.argsort(_FUMA_ORDER), 2**0.5)
    out = channels.reshape(-1, 4, channels.shape[-1])[:, order].copy()
    out[:, 0] *= gain
    return out.reshape(channels.shape)


def intensity(channels: Floats) -> Floats:
    """Return the intensity vector (x, y, z): products of W with X, Y and Z over the energy of W.

    `channels`: W, Y, Z, X `[4, N]`, SN3D. The length is 1 for one plane wave and 0 for a diffuse field.
    """
    energy = float(np.dot(channels[0], channels[0]))
    vector: Floats = channels[[3, 1, 2]] @ channels[0] / max(energy, 1e-20)
    return vector


WEAKER = 0.9
"""Least energy of W relative to any other channel."""

LEAST_RATIO = 0.7
"""Least median `energy_ratio` of a corpus: between 1 (SN3D) and ½ (FuMa)."""


def energy_ratio(channels: Samples) -> float:
    """Return the energy of W over that of the dipoles, of `[4, N]`: 1 in SN3D, ½ in FuMa, ⅓ in N3D."""
    power = _energies(channels)
    return float(power[0] / power[1:].sum()) if power[1:].any() else float("inf")


def order_fault(channels: Samples) -> str:
    """Return a message if channels `[4, N]` are not in the order W, Y, Z, X; empty if no fault is found."""
    power = _energies(channels)
    loudest = int(np.argmax(power))
    if power[0] >= WEAKER * power[loudest]:
        return ""
    below = 10 * np.log10(power[loudest] / max(power[0], 1e-20))
    return f"the first channel is {below:.1f} dB below channel {loudest} (expected {CHANNELS[loudest]}), so it is not W"


def normalisation_fault(ratio: float) -> str:
    """Return a message if the median `energy_ratio` of a corpus contradicts SN3D; empty otherwise."""
    if ratio < LEAST_RATIO:
        return (
            f"W has {ratio:.2f} times the energy of the dipoles (expected 1): not SN3D; FuMa has 0.5 "
            "(--convention fuma), N3D 0.33"
        )
    return (
        f"W has {ratio:.2f} times the energy of the dipoles (expected 1)" if ratio > 1 / LEAST_RATIO else ""
    )


def _energies(channels: Samples) -> npt.NDArray[np.float64]:
    steps = np.diff(channels)
    return np.asarray(np.einsum("ij,ij->i", steps, steps, dtype=np.float64))
