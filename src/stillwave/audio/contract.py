"""The input contract: which samples are accepted, and the form that they are converted to."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from stillwave.errors import AudioError

Samples = NDArray[np.float32]

LOWEST_RATE, HIGHEST_RATE = 1_000, 768_000
LOUDEST = 2.0**32
"""Values beyond this are faults, as NaN is: even unscaled 32-bit integers are smaller."""
MANY_CHANNELS = 64
"""More channels than this, and more channels than samples: the array is transposed."""


def check(samples: Any, name: str = "samples") -> Samples:
    """Convert samples to contiguous float32 `[channels, samples]`, full scale ±1.

    Args:
        samples: `[samples]` or `[channels, samples]`; uint8 (offset 128), int16, int32, float16, float32 or float64.
            Full scale is that of the integer type, and ±1 for floats; floats beyond ±1 are kept.
        name: Name of the samples in error messages.

    Returns:
        The samples, which may share memory with a float32 input.

    Raises:
        AudioError: Another type or shape, no samples, NaN or infinity.

    Examples:
        >>> check(np.array([-32768, 16384], dtype=np.int16))
        array([[-1. ,  0.5]], dtype=float32)

    """
    samples = check_array(samples, name)
    if samples.ndim not in (1, 2):
        shape = list(samples.shape)
        raise AudioError(f"{name}: expected the shape [samples] or [channels, samples], got {shape}")
    rows = samples.reshape(1, -1) if samples.ndim == 1 else samples
    _check_shape(rows, name)
    scaled = np.ascontiguousarray(_to_float(rows, name))
    return check_finite(scaled, name)


def check_array(samples: Any, name: str) -> NDArray[Any]:
    """Return a plain NumPy array over the same memory. Raises `AudioError` for other types and masked values."""
    if not isinstance(samples, np.ndarray):
        raise AudioError(
            f"{name}: expected a NumPy array, got {type(samples).__name__}; convert it with numpy.asarray"
        )
    if np.ma.is_masked(samples):
        raise AudioError(f"{name}: has masked values; fill them first (samples.filled(0))")
    return np.asarray(samples)


def energy(values: Samples) -> float:
    """Return the sum of squares in one pass without a temporary array; infinity where it exceeds float32."""
    row = values.reshape(-1)
    with np.errstate(over="ignore", invalid="ignore"):
        return float(np.dot(row, row))


def silence_faults(rows: Samples) -> tuple[Samples, int]:
    """Replace NaN, infinity and values beyond ±`LOUDEST` by zeros; return the samples and the number of faults."""
    if energy(rows) < LOUDEST**2:  # false for NaN
        return rows, 0
    faulty = ~(np.abs(rows) <= LOUDEST)
    count = int(np.count_nonzero(faulty))
    return (np.where(faulty, np.float32(0), rows), count) if count else (rows, 0)


def _check_shape(rows: NDArray[Any], name: str) -> None:
    channels, length = rows.shape
    if channels > MANY_CHANNELS and channels > length:
        raise AudioError(
            f"{name}: the shape [{channels}, {length}] means {channels} channels of {length} samples; "
            "expected [channels, samples], so transpose it (samples.T)"
        )
    if rows.size == 0:
        raise AudioError(f"{name}: has no samples")


def _to_float(rows: NDArray[Any], name: str) -> Samples:
    # Kind and size instead of equality of types: big-endian arrays are accepted.
    kind = (rows.dtype.kind, rows.dtype.itemsize)
    if kind[0] == "f":
        return narrowed(rows)
    if kind == ("u", 1):
        return (rows.astype(np.float32) - np.float32(128)) / np.float32(128)
    if kind in (("i", 2), ("i", 4)):
        # Through float64: 32-bit integers are scaled first and rounded once.
        return (rows.astype(np.float64) / 2.0 ** (8 * rows.dtype.itemsize - 1)).astype(np.float32)
    raise AudioError(
        f"{name}: expected uint8, int16, int32, float16, float32 or float64 samples, got {rows.dtype}"
    )


def narrowed(rows: NDArray[Any]) -> Samples:
    """Convert floats to float32; finite values beyond its range become its largest value."""
    with np.errstate(over="ignore"):
        result = rows.astype(np.float32, copy=False)
    beyond = np.isinf(result) & ~np.isinf(rows) if rows.dtype.itemsize > 4 else np.False_
    return np.where(beyond, np.copysign(np.finfo(np.float32).max, result), result) if beyond.any() else result


def check_finite(samples: Samples, name: str, start: int = 0) -> Samples:
    """Return `[channels, samples]`, or raise `AudioError` for NaN and infinity; `start` is the position of sample 0."""
    # A finite sum has finite terms only: one pass without a temporary array. A sum of finite terms may overflow.
    with np.errstate(invalid="ignore", over="ignore"):
        if np.isfinite(samples.sum(dtype=np.float64)):
            return samples
    bad = ~np.isfinite(samples)
    count = int(bad.sum())
    if count == 0:
        return samples
    first = int(bad.any(axis=0).argmax())
    channel = int(bad[:, first].argmax())
    plural = "value is" if count == 1 else "values are"
    raise AudioError(
        f"{name}: {count} {plural} NaN or infinite, the first at sample {start + first} of channel {channel}"
    )


def check_channels(channels: Any, name: str) -> int:
    """Return a number of channels. Raises `AudioError` unless it is a whole number of at least 1."""
    if isinstance(channels, bool) or not isinstance(channels, (int, np.integer)) or channels < 1:
        raise AudioError(f"{name}: expected a whole number of channels, 1 or more, got {channels!r}")
    return int(channels)


def check_rate(rate: Any, name: str = "sample rate") -> int:
    """Return a sampling rate in Hz. Raises `AudioError` unless it is a whole number from 1 kHz to 768 kHz."""
    try:
        value = int(rate)
        exact = value == rate
    except (TypeError, ValueError, OverflowError):
        exact = False
    if isinstance(rate, bool) or not exact or not LOWEST_RATE <= value <= HIGHEST_RATE:
        raise AudioError(
            f"{name}: expected a whole number of Hz from {LOWEST_RATE} to {HIGHEST_RATE}, got {rate!r}"
        )
    return value
