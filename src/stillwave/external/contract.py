"""The interface of external denoisers, and the check of what they return."""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from typing import Any

import numpy as np

from stillwave.audio import Samples, check_rate
from stillwave.errors import StillwaveError, fault_text


class ExternalError(StillwaveError):
    """An external denoiser cannot be opened, fails, or returns something else than an estimate of its input."""


class ExternalDenoiser(ABC):
    """A denoiser for one microphone; it returns as many samples as it takes.

    A subclass defines `run`, or `run_batch` if it can process several examples at once.

    Args:
        name: Name in messages: a file, a command line or the name of a peer.
        rate: Sampling rate that it expects, in Hz.
        facts: What identifies it, such as the SHA-256 of its file; JSON values.

    Attributes:
        identity: SHA-256 of `facts` and `rate`, in hexadecimal.

    """

    def __init__(self, name: str, rate: int, facts: list[Any]) -> None:
        self.name, self.rate = name, check_rate(rate)
        self.identity = hashlib.sha256(json.dumps([*facts, self.rate]).encode()).hexdigest()

    @abstractmethod
    def run(self, samples: Samples) -> Any:
        """Return the estimate for one example `[n]`; it is checked by `enhance`."""

    def run_batch(self, samples: Samples) -> Any:
        """Return the estimates for `[B, n]`; by default one call of `run` for each example."""
        return np.stack([one_channel(self.name, self.run(example)) for example in samples])

    def enhance(self, samples: Samples) -> Samples:
        """Return the estimates `[B, n]` for examples `[B, n]` at `rate`.

        Raises:
            ExternalError: The denoiser fails, or returns another length, several channels, NaN or infinity.

        """
        try:
            output = self.run_batch(samples)
        except ExternalError:
            raise
        except Exception as error:  # of code that is not ours
            raise ExternalError(f"{self.name}: failed with {fault_text(error)}") from error
        return checked(self.name, samples, output)


def one_channel(name: str, output: Any) -> Samples:
    """Return an output `[n]` or `[1, n]` as `[n]`. Raise ExternalError for several channels or another type."""
    rows = _as_array(name, output)
    if rows.ndim == 2 and len(rows) == 1:
        rows = rows[0]
    if rows.ndim != 1:
        raise ExternalError(
            f"{name}: returned the shape {[*rows.shape]} for one channel; it must return one channel"
        )
    return rows


def checked(name: str, samples: Samples, output: Any) -> Samples:
    """Return the output for a batch `[B, n]` as float32 `[B, n]`. Raise ExternalError unless it is one."""
    rows = _as_array(name, output)
    count, length = samples.shape
    if rows.ndim == 3 and rows.shape[1] == 1:
        rows = rows[:, 0]
    if rows.ndim == 1 and count == 1:
        rows = rows[None]
    if rows.ndim != 2 or len(rows) != count:
        raise ExternalError(
            f"{name}: returned the shape {[*rows.shape]} for {count} examples of one channel, {[count, length]}; "
            "it must return one channel for each"
        )
    if rows.shape[1] != length:
        raise ExternalError(
            f"{name}: returned {rows.shape[1]} samples for {length}; it must return as many as it takes"
        )
    bad = int(np.count_nonzero(~np.isfinite(rows)))
    if bad:
        raise ExternalError(
            f"{name}: returned {bad} values that are NaN or infinite; they must be finite samples, full scale ±1"
        )
    return rows


def _as_array(name: str, output: Any) -> Samples:
    try:
        rows = np.asarray(output)
    except Exception as error:  # an array type of another library, on a device
        raise ExternalError(f"{name}: returned no array ({fault_text(error)})") from None
    if rows.dtype.kind != "f":
        raise ExternalError(
            f"{name}: returned {type(output).__name__} of {rows.dtype}; it must return floats, full scale ±1"
        )
    return rows.astype(np.float32, copy=False)
