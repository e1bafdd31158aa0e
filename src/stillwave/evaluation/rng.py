"""NumPy's global generator, for packages that draw from it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np


@contextmanager
def fixed_seed() -> Iterator[None]:
    """Seed NumPy's global generator, and put it back: pystoi's extended STOI adds a trace of noise from there."""
    before = np.random.get_state()
    np.random.seed(0)
    try:
        yield
    finally:
        np.random.set_state(before)
