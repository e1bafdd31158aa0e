"""Fixed listeners: samples `[M, N]` of ambisonic microphones (W, Y, Z, X of A first) to `[N]`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from stillwave.data.scenes.ambisonics import encode

Samples = npt.NDArray[Any]


def first_channel(noisy: Samples) -> Samples:
    """W of microphone A as it is."""
    return np.asarray(noisy[0])


def cardioid(noisy: Samples, direction: Sequence[float]) -> Samples:
    """Microphone A as a cardioid that looks at `direction` (x, y, z): (1 + cos γ) / 2 for sound from γ beside it.

    Sound from there passes as in W. Of diffuse noise a third of the power is left.

    Examples:
        >>> ahead = np.array([[1.0], [0.0], [0.0], [1.0]])
        >>> cardioid(ahead, (1, 0, 0)), cardioid(ahead, (-1, 0, 0)), cardioid(ahead, (0, 1, 0))
        (array([1.]), array([0.]), array([0.5]))

    """
    towards = np.asarray(direction, np.float64)
    weights = encode(towards / np.linalg.norm(towards)) / 2
    return np.asarray(weights @ noisy[:4], noisy.dtype)
