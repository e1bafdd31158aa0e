"""First-order ambisonics: encoding of directions in four coincident channels, and conventions.

Directions are vectors in the frame of the microphone: x ahead, y to the left, z up. A plane wave of amplitude a from
the unit direction (x, y, z) gives, in the convention of AmbiX, which is used throughout (ACN order, SN3D
normalisation; Nachbar et al., Ambisonics Symposium 2011),

    W = a, Y = a·y, Z = a·z, X = a·x        with x = cos θ · cos φ, y = sin θ · cos φ, z = sin φ

for the azimuth θ (anticlockwise) and the elevation φ. Classic B-format (*FuMa*) has the order W, X, Y, Z and
W = a / √2.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import numpy.typing as npt

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


def convert(channels: Floats, given: Convention, wanted: Convention) -> Floats:
    """Convert samples `[4 or 8, N]` (one or two microphones) from one convention to another."""
    if given == wanted:
        return channels
    order, gain = (_FUMA_ORDER, 2**-0.5) if wanted == "fuma" else (np.argsort(_FUMA_ORDER), 2**0.5)
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
