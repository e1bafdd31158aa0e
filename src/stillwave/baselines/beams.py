"""Fixed beams: samples `[M, N]` of ambisonic microphones (W, Y, Z, X of A first) to `[N]`."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from stillwave.audio import Samples
from stillwave.data.scenes.ambisonics import encode


def first_channel(noisy: Samples) -> Samples:
    """Return W of microphone A."""
    return np.asarray(noisy[0])


def cardioid(noisy: Samples, direction: Sequence[float]) -> Samples:
    """Return microphone A as a cardioid towards `direction` (x, y, z), with gain (1 + cos γ) / 2 at angle γ.

    Sound from `direction` has the gain of W. A third of the power of diffuse noise remains.

    Examples:
        >>> ahead = np.array([[1.0], [0.0], [0.0], [1.0]])
        >>> cardioid(ahead, (1, 0, 0)), cardioid(ahead, (-1, 0, 0)), cardioid(ahead, (0, 1, 0))
        (array([1.]), array([0.]), array([0.5]))

    """
    towards = np.asarray(direction, np.float64)
    weights = encode(towards / np.linalg.norm(towards)) / 2
    return np.asarray(weights @ noisy[:4], noisy.dtype)
