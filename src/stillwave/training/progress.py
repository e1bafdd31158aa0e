"""Progress of a run: a bar on a terminal, otherwise a line from time to time."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from stillwave.console import progress_bar

Advance = Callable[[int, dict[str, Any]], None]
"""(step, values of the update)"""


@contextmanager
def shown(name: str, step: int, steps: int, *, quiet: bool) -> Iterator[Advance]:
    """Yield a function that shows each update, or nothing if `quiet`."""
    if quiet:
        yield lambda *_: None
        return
    share = CpuShare()
    with progress_bar() as bar:
        task = bar.add_task(name, total=steps, completed=step, note="")

        def advance(step: int, values: dict[str, Any]) -> None:
            loss = values.get("loss", {}).get("total", math.nan)
            parts = [
                f"loss {loss:.4f}",
                f"{values.get('audio_per_second', 0):.0f} s audio/s",
                share.summary(),
            ]
            bar.update(task, completed=step, note=" · ".join(part for part in parts if part))

        yield advance


class CpuShare:
    """The fraction of time that a thread computes; it is low if other programs use the cores."""

    LITTLE = 0.7
    WINDOW_S = 10.0

    def __init__(self) -> None:
        self._remark = ""
        self._wall, self._cpu = time.perf_counter(), time.thread_time()

    def summary(self) -> str:
        """Return a remark on the last `WINDOW_S` seconds; empty if the calling thread computed most of the time."""
        wall, cpu = time.perf_counter(), time.thread_time()
        if wall - self._wall >= self.WINDOW_S:
            self._remark = self.remark(wall - self._wall, cpu - self._cpu)
            self._wall, self._cpu = wall, cpu
        return self._remark

    @classmethod
    def remark(cls, wall: float, cpu: float) -> str:
        """Return the remark for `cpu` seconds of computing in `wall` seconds.

        Examples:
            >>> CpuShare.remark(20.0, 8.0)
            'computing 40 % of the time, otherwise waiting for other programs or for data'
            >>> CpuShare.remark(20.0, 19.0)
            ''

        """
        if cpu >= cls.LITTLE * wall:
            return ""
        return f"computing {100 * cpu / wall:.0f} % of the time, otherwise waiting for other programs or for data"
