"""Are four channels W, Y, Z, X? What physics tells, and what it cannot.

In AmbiX the velocity channels together have the energy of the pressure channel, for a plane wave from anywhere and for
diffuse sound alike: |Y|² + |Z|² + |X|² = |W|². So

- W is the strongest channel. A dipole put in its place is weaker than the one that W took, unless all sound comes from
  that dipole's axis: **a swapped W is found**;
- classic FuMa has |W|² at half of the sum: **the wrong normalisation is found**, over several recordings;
- exchanged or inverted dipoles are the channels of a turned or mirrored scene: **one microphone cannot tell**.

In a room waves meet, and a single recording strays from the equality: hence the tolerances, measured on simulated
scenes (docs/how-to/multichannel.md).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from stillwave.data.scenes.ambisonics import CHANNELS

WEAKER = 0.8
"""A first channel whose energy is below this share of another's is not W."""

Samples = npt.NDArray[Any]


def energy_ratio(channels: Samples) -> float:
    """Energy of W over that of the dipoles together, of `[4, N]`: 1 in SN3D, ½ in FuMa, ⅓ in N3D."""
    power = np.einsum("ij,ij->i", channels, channels, dtype=np.float64)
    return float(power[0] / power[1:].sum()) if power[1:].any() else float("inf")


def order_fault(channels: Samples) -> str:
    """What is wrong with the order of channels `[4, N]`, which should be W, Y, Z, X in SN3D; empty: nothing seen."""
    power = np.einsum("ij,ij->i", channels, channels, dtype=np.float64)
    loudest = int(np.argmax(power))
    if power[0] >= WEAKER * power[loudest]:
        return ""
    below = 10 * np.log10(power[loudest] / max(power[0], 1e-20))
    return f"the first channel is {below:.1f} dB below channel {loudest} (expected {CHANNELS[loudest]}), so it is not W"
