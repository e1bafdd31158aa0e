"""A fixed seed for packages that use NumPy's global generator."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np


@contextmanager
def fixed_seed() -> Iterator[None]:
    """Seed NumPy's global generator and restore it afterwards: the extended STOI of pystoi adds a little noise."""
    before = np.random.get_state()
    np.random.seed(0)
    try:
        yield
    finally:
        np.random.set_state(before)
