"""Measure the receptive field of a model by perturbing its input.

Output sample i depends on input sample j if changing j can change i. The *look-ahead* is the greatest j − i of all such
pairs, the *past* the greatest i − j. Both are measured, not derived from a description, so norms over time, missing
masks and padding are found.

The reach depends on the position within a frame. So a change is applied at several positions, and the position is then
moved to where the reach is greatest. This needs no hop: changing all samples from j on changes outputs from i(j) on,
i(j) is non-decreasing, and the last j with the same i(j) has the greatest reach.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stillwave.errors import StillwaveError

Signal = NDArray[np.float64]
Run = Callable[[Signal], Signal]
"""Returns the estimate `[N]` of `[M, N]`, both float64 whatever the model computes in."""

SIDED = ("noise", "loud", "silence")
"""Replacements for all samples on one side: other noise, noise 80 dB louder, or silence."""
KINDS = (*SIDED, "sample", "cut")
"""Also: one sample is changed, or the signal ends there (which reveals dependence on its length)."""
PLACES = (0.03, 0.35, 0.65, 0.97)
TOLERANCE = {"float64": 0.0, "float32": 1e-6}
"""An output counts as changed if it differs by more than this fraction of the greatest difference."""
ROUNDING = {"float64": 1e-9, "float32": 1e-4}
"""For `cut`, the threshold as a fraction of the peak: matrix products of other sizes round differently."""
_LEVEL, _LOUD = 0.1, 1e4


@dataclass(frozen=True)
class ReceptiveField:
    """Greatest distance in samples of an input sample that changes an output sample.

    None means the whole signal on that side. A model that only delays has a negative look-ahead.
    """

    past: int | None
    future: int | None


@dataclass(frozen=True)
class ProbeTarget:
    """A model to probe. `fresh` returns one in its initial state."""

    name: str
    fresh: Callable[[], Run]
    sample_rate: int = 16_000
    microphones: int = 1
    precision: str = "float64"
    n_fft: int | None = None
    """Length of the analysis window in samples, if known."""
    hop: int | None = None
    how: str = "whole signals"
    """Input of one call."""


@dataclass(frozen=True)
class Probe:
    """Results of one model."""

    model: str
    sample_rate: int
    seconds: float
    precision: str
    how: str
    past: int | None
    future: int | None
    threshold: float
    """An output counts as changed if it differs by more than this fraction of the greatest difference."""
    by_kind: dict[str, dict[str, int | None]]
    """`future` and `past`: reach by kind of change, up to the first None."""
    keeps_state: bool
    """The output of a call depends on the calls before it."""
    repeatable: bool
    """A fresh copy gives bit-identical output."""
    frames_ahead: int | None = None
    """Look-ahead beyond the analysis window, in hops; None if unknown or the whole signal."""

    def milliseconds(self, samples: int | None) -> float | None:
        """Convert samples to milliseconds."""
        return None if samples is None else 1000 * samples / self.sample_rate

    def as_dict(self) -> dict[str, Any]:
        """Return the results for JSON; `null` is the whole signal."""
        plain = dataclasses.asdict(self)
        del plain["past"], plain["future"]
        reach = {"lookahead": self.future, "past": self.past}
        return plain | {
            name: {"samples": value, "ms": self.milliseconds(value)} for name, value in reach.items()
        }


def probe(
    subject: ProbeTarget,
    seconds: float = 4.0,
    *,
    kinds: tuple[str, ...] = KINDS,
    progress: Callable[[int, int], None] | None = None,
) -> Probe:
    """Measure look-ahead and past of a model.

    Args:
        subject: The model.
        seconds: Duration of the noise signal, which limits the measurable reach.
        kinds: Kinds of change to apply.
        progress: Called with the number of finished trials and their approximate total.

    Raises:
        StillwaveError: The output has another length than the input, is not repeatable even in a fresh copy, or does
            not depend on the input.

    """
    samples = round(seconds * subject.sample_rate)
    bench = Bench(subject, samples, progress, total=_trials(kinds))
    by_kind = {side: _side(bench, side, kinds) for side in ("future", "past")}
    if not all(by_kind.values()):
        raise StillwaveError(f"{subject.name}: its estimate does not depend on its input; nothing to measure")
    past, future = (_greatest(by_kind[side]) for side in ("past", "future"))
    return Probe(
        model=subject.name,
        sample_rate=subject.sample_rate,
        seconds=seconds,
        precision=subject.precision,
        threshold=TOLERANCE[subject.precision],
        how=subject.how,
        past=past,
        future=future,
        by_kind=by_kind,
        keeps_state=bench.keeps_state,
        repeatable=bench.floor == 0,
        frames_ahead=_frames_ahead(subject, future),
    )


def _side(bench: Bench, side: str, kinds: tuple[str, ...]) -> dict[str, int | None]:
    """Return the greatest reach of each kind of change, up to the first that spans the whole signal."""
    places = [round(fraction * bench.samples) for fraction in PLACES]
    room = PLACES[-1] * bench.samples
    found: dict[str, int | None] = {}
    for kind in kinds:
        tried = [(at, bench.reach(side, kind, at)) for at in places]
        reached = [(at, reach) for at, reach in tried if reach is not None]
        if not reached:
            continue
        at, reach = max(reached, key=lambda pair: pair[1])
        if not found and bench.bounded(reach, room) is not None:  # also for the other kinds
            at, reach = bench.furthest(side, kind, at, reach)
            places.append(at)
        found[kind] = bench.bounded(reach, room)
        if found[kind] is None:
            break
    return found


def _greatest(found: dict[str, int | None]) -> int | None:
    reaches = [reach for reach in found.values() if reach is not None]
    return None if len(reaches) < len(found) else max(reaches)


def receptive_field(subject: ProbeTarget, samples: int) -> ReceptiveField:
    """Estimate the receptive field with one change on each side, positioned by the hop. `probe` is more thorough.

    The look-ahead is greatest at the end of a frame, the past at the start of the next one: at its second sample,
    since the window is zero at the first.
    """
    bench = Bench(subject, samples)
    hop = subject.hop or 1
    middle = samples // 2 // hop * hop
    first, last = min(samples - 1, middle + 1), min(samples - 1, middle + hop - 1)
    found: dict[str, int | None] = {}
    for side, at in (("past", first), ("future", last)):
        reach = bench.reach(side, "noise", at)
        room = samples - middle if side == "past" else middle
        found[side] = 0 if reach is None else bench.bounded(reach, room)
    return ReceptiveField(**found)


@dataclass
class Bench:
    """A model and the signals that it is probed with."""

    subject: ProbeTarget
    samples: int
    progress: Callable[[int, int], None] | None = None
    total: int = 0
    keeps_state: bool = field(init=False, default=False)
    floor: float = field(init=False, default=0.0)
    """Greatest difference between outputs of fresh copies for the same input."""
    done: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        rng = np.random.default_rng(0)
        shape = (self.subject.microphones, self.samples)
        self.noisy, self.other = (_LEVEL * rng.standard_normal(shape) for _ in range(2))
        self.run = self.subject.fresh()
        self.answer = self._run(self.noisy)
        self._run(self.other)
        if not np.array_equal(self._run(self.noisy), self.answer, equal_nan=True):
            self.run = self.subject.fresh()
            again = self._run(self.noisy)
            self.floor = float(np.abs(again - self.answer).max())
            self.keeps_state = self.floor == 0
            if not self.floor < 1e-3 * np.abs(self.answer).max():
                raise StillwaveError(
                    f"{self.subject.name}: the output for the same input differs each time; set "
                    "evaluation mode, or fix the random state"
                )

    def reach(self, side: str, kind: str, at: int) -> int | None:
        """Return the reach of a change at (and beyond) sample `at`; None if no output changed."""
        if kind == "cut" and side == "past":
            return None
        changed = np.flatnonzero(self._changed(side, kind, at))
        if not len(changed):
            return None
        return int(at - changed[0]) if side == "future" else int(changed[-1] - at)

    def furthest(self, side: str, kind: str, at: int, reach: int) -> tuple[int, int]:
        """Return the farthest position from `at` that changes the same output, and its reach."""
        sign = 1 if side == "future" else -1

        def same(steps: int) -> bool:
            place = at + sign * steps
            return 0 <= place < self.samples and self.reach(side, kind, place) == reach + steps

        low, high = 0, 64
        while same(high):
            low, high = high, 2 * high
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if same(middle) else (low, middle)
        return at + sign * low, reach + low

    def bounded(self, reach: int, room: float) -> int | None:
        """Return the reach, or None if it spans all `room` samples."""
        # samples at the edge may not change, since the window is zero there
        return None if reach >= room - (self.subject.hop or self.samples // 100) else reach

    def _changed(self, side: str, kind: str, at: int) -> NDArray[np.bool_]:
        noisy = self.noisy.copy()
        beyond = np.s_[:, at:] if side == "future" else np.s_[:, : at + 1]
        if kind == "cut":
            difference = np.abs(self._run_fresh(noisy[:, :at]) - self.answer[:at])
            limit = ROUNDING[self.subject.precision] * float(np.abs(self.answer).max())
            return ~(difference <= max(limit, 4 * self.floor))
        if kind == "sample":
            noisy[:, at] += 1
        else:
            noisy[beyond] = {"noise": 1.0, "loud": _LOUD, "silence": 0.0}[kind] * self.other[beyond]
        difference = np.abs(self._run_fresh(noisy) - self.answer)
        limit = TOLERANCE[self.subject.precision] * float(np.nanmax(difference, initial=0))
        return ~(difference <= max(limit, 4 * self.floor))  # NaN counts as changed

    def _run_fresh(self, noisy: Signal) -> Signal:
        if self.keeps_state or self.floor:
            self.run = self.subject.fresh()
        return self._run(noisy)

    def _run(self, noisy: Signal) -> Signal:
        answer = self.run(noisy)
        if answer.shape != (noisy.shape[1],):
            raise StillwaveError(
                f"{self.subject.name}: the output for {noisy.shape[1]} samples has the shape {list(answer.shape)}; "
                "expected as many samples"
            )
        self.done += 1
        if self.progress:
            self.progress(self.done, max(self.done, self.total))
        return answer


def _trials(kinds: tuple[str, ...]) -> int:
    """Return the approximate number of runs: every kind at every position on both sides, and the search."""
    return 3 + 2 * len(kinds) * (len(PLACES) + 1) + 2 * 11


def _frames_ahead(subject: ProbeTarget, future: int | None) -> int | None:
    if future is None or subject.n_fft is None or subject.hop is None:
        return None
    return max(0, -(-(future - (subject.n_fft - 1)) // subject.hop))
