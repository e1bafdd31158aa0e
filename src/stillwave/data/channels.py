"""Check the order and normalisation of ambisonic channels (W, Y, Z, X in SN3D).

In AmbiX the velocity channels together have the energy of the pressure channel, for a plane wave from anywhere and for
diffuse sound alike: |Y|² + |Z|² + |X|² = |W|². So

- W is the strongest channel. A dipole in its place is weaker, unless all sound comes from the axis of that dipole:
  **a swapped W is found**;
- classic FuMa has |W|² at half of the sum: **the wrong normalisation is found**, over several recordings;
- exchanged or inverted dipoles are the channels of a rotated or mirrored scene: **one microphone cannot tell**.

In a room a single recording deviates from the equality, most at low frequencies, so first differences (+6 dB per
octave) are used. How often the check is right in simulated rooms: docs/benchmarks.md, "Simulated scenes".
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from stillwave.audio import Samples
from stillwave.data.scenes.ambisonics import CHANNELS

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
