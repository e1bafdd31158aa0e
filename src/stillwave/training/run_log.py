"""The log of a run: `log.jsonl` and, optionally, TensorBoard events."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np

from stillwave.audio import Samples
from stillwave.data.dataset import Signals
from stillwave.errors import MissingExtraError, StillwaveError
from stillwave.files import atomic_file
from stillwave.schema import SAMPLE_RATE


class RunLog:
    """Writes one JSON line for each event, with its `step`.

    Opened at a step, it removes later events, and a validation at this step unless it is `validated`.
    """

    def __init__(
        self,
        folder: Path,
        *,
        step: int,
        tensorboard: bool,
        validated: bool = True,
        sample_rate: int = SAMPLE_RATE,
    ) -> None:
        file = folder / "log.jsonl"
        _truncate(file, step, validated)
        self._rate = sample_rate
        self._lines = file.open("a", encoding="utf-8")
        self._board = _open_board(folder / "tensorboard", step) if tensorboard else None
        self._logged: set[int] = set()
        self._broken = ""

    def write(self, kind: str, step: int, **values: Any) -> None:
        """Write a line to the log, and each number in it to TensorBoard."""
        line = json.dumps({"kind": kind, "step": step, **values}, allow_nan=False, ensure_ascii=False)
        with self._writable():
            self._lines.write(line + "\n")
            self._lines.flush()  # so that a killed process loses nothing
        if self._board is not None:
            for name, value in _numbers(values, kind):
                self._board.add_scalar(name, value, step)

    def examples(self, step: int, items: Sequence[Signals], estimates: Mapping[int, Samples]) -> None:
        """Write audio and spectrograms of items of the development set to TensorBoard."""
        if self._board is None:
            return
        for number, estimate in estimates.items():
            noisy, clean = np.atleast_2d(items[number].noisy)[0], items[number].clean
            self._board.add_audio(f"{number}/estimate", estimate.clip(-1, 1), step, sample_rate=self._rate)
            if number not in self._logged:
                self._logged.add(number)
                self._board.add_audio(f"{number}/noisy", noisy.clip(-1, 1), step, sample_rate=self._rate)
                self._board.add_audio(f"{number}/clean", clean.clip(-1, 1), step, sample_rate=self._rate)
            figure = spectrograms({"noisy": noisy, "estimate": estimate, "clean": clean}, self._rate)
            self._board.add_figure(f"{number}/spectrograms", figure, step)

    def sync(self) -> None:
        """Flush the log to disk: a checkpoint must not be newer than the log."""
        if self._broken:
            raise StillwaveError(self._broken)
        with self._writable():
            os.fsync(self._lines.fileno())

    @contextmanager
    def _writable(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self._broken = (
                f"{self._lines.name}: cannot be written ({error.strerror or error}); free some space and give "
                "the same command to continue from the last checkpoint"
            )
            raise StillwaveError(self._broken) from error

    def close(self) -> None:
        """Close log and TensorBoard."""
        with suppress(OSError):  # a full disk has been reported
            self._lines.close()
        if self._board is not None:
            self._board.close()


def read(folder: Path) -> list[dict[str, Any]]:
    """Return the events of a run's log without damaged lines."""
    file = folder / "log.jsonl"
    return [event for _, event in _events(file)] if file.exists() else []


def spectrograms(signals: Mapping[str, Samples], sample_rate: int = SAMPLE_RATE) -> Any:
    """Return a figure with the spectrogram in dB of each signal, on a common scale."""
    from matplotlib.figure import Figure  # not pyplot: no global state, no display

    figure = Figure(figsize=(4 * len(signals), 3), layout="constrained")
    for axis, (name, signal) in zip(
        figure.subplots(1, len(signals), sharey=True), signals.items(), strict=True
    ):
        # Faint noise, because log 0 has no colour.
        padded = 1e-5 * np.random.default_rng(0).standard_normal(max(1024, len(signal)))
        padded[: len(signal)] += signal
        axis.specgram(padded, NFFT=512, noverlap=256, Fs=sample_rate, vmin=-120, vmax=-30, cmap="magma")
        axis.set(title=name, xlabel="seconds")
    return figure


def _truncate(file: Path, step: int, validated: bool) -> None:
    if not file.exists():
        return
    kept = [
        line
        for line, event in _events(file)
        if event["step"] < step or (event["step"] == step and (validated or event["kind"] != "validation"))
    ]
    with atomic_file(file) as temporary:
        temporary.write_bytes(b"".join(kept))


def _events(file: Path) -> list[tuple[bytes, dict[str, Any]]]:
    events = []
    for line in file.read_bytes().splitlines(keepends=True):
        try:
            event = json.loads(line)
            if isinstance(event["step"], int) and event["kind"]:
                events.append((line, event))
        except (ValueError, KeyError, TypeError):
            continue  # incomplete or damaged
    return events


def _numbers(values: Mapping[str, Any], prefix: str) -> list[tuple[str, float]]:
    found: list[tuple[str, float]] = []
    for name, value in values.items():
        if isinstance(value, Mapping):
            found += _numbers(value, f"{prefix}/{name}")
        elif isinstance(value, int | float):
            found.append((f"{prefix}/{name}", float(value)))
    return found


def _open_board(folder: Path, step: int) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise MissingExtraError("TensorBoard (or set train.tensorboard=false)", "train") from None
    return SummaryWriter(str(folder), purge_step=step + 1)
