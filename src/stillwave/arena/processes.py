"""The other side of `worker.py`: a process for each system, restarted after a crash and ended after a time limit."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from stillwave.arena.systems import ArenaSystem, SystemCost
from stillwave.errors import StillwaveError

START_SECONDS, GRACE_SECONDS = 600.0, 10.0


@dataclass(frozen=True)
class ProcessLimits:
    """Settings of all processes: rate of `{in}` and of graphs in Hz, seconds for a recording, and device."""

    rate: int = 16_000
    timeout: float = 300.0
    device: str = "cpu"


class CrashError(StillwaveError):
    """A process ended, or exceeded its time limit."""


class SystemProcess:
    """A process that runs one system on one core; a context manager, which ends it.

    Attributes:
        cost: What is known about the system.
        identity: What identifies it, from the hashes of its files.

    Raises:
        StillwaveError: The system cannot be opened.

    """

    def __init__(self, system: ArenaSystem, limits: ProcessLimits) -> None:
        self.system, self._limits = system, limits
        self._process: subprocess.Popen[str] | None = None
        self.cost, self.identity = self._start()

    def enhance(self, source: Path, target: Path) -> dict[str, Any]:
        """Return the answer for a recording. Raises CrashError; the next call starts another process."""
        if self._process is None:
            self._start()
        request = json.dumps({"source": str(source.absolute()), "target": str(target.absolute())})
        assert self._process is not None
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):  # a process that has ended is found by the missing answer
            self._process.stdin.write(request + "\n")
            self._process.stdin.flush()
        # A program has the same limit, and is ended by its own process.
        return self._reply(self._limits.timeout + (GRACE_SECONDS if self.system.kind == "command" else 0))

    def __enter__(self) -> SystemProcess:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: object, trace: TracebackType | None) -> None:
        self._end()

    def _start(self) -> tuple[SystemCost, str]:
        limits, system = self._limits, self.system
        settings = {"kind": system.kind, "place": system.place, "rate": limits.rate}
        settings |= {"timeout": limits.timeout, "device": limits.device}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "stillwave.arena.worker", json.dumps(settings)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            encoding="utf-8",
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            start_new_session=True,
        )
        assert self._process.stdout is not None
        self._replies: queue.SimpleQueue[str] = queue.SimpleQueue()
        threading.Thread(target=_forward, args=(self._process.stdout, self._replies), daemon=True).start()
        answer = self._reply(START_SECONDS)
        if "error" in answer:
            self._end()
            raise StillwaveError(_with_name(system, answer["error"]))
        return SystemCost(**answer["cost"]), str(answer["identity"])

    def _reply(self, timeout: float) -> dict[str, Any]:
        try:
            line = self._replies.get(timeout=timeout)
        except queue.Empty:
            self._end()
            raise CrashError(
                f"exceeded {timeout:g} s for a recording; raise --timeout if it is slow"
            ) from None
        if line:
            answer: dict[str, Any] = json.loads(line)
            return answer
        code = self._end()
        how = f"signal {-code}" if code < 0 else f"exit code {code}"
        raise CrashError(f"its process ended with {how}")

    def _end(self) -> int:
        """End the process, and a program that it runs; return its exit code."""
        process, self._process = self._process, None
        if process is None:
            return 0
        with contextlib.suppress(OSError):
            if process.stdin:
                process.stdin.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            return process.wait(0.5)
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            return process.wait(0.5)
        process.kill()
        return process.wait()


def _forward(lines: IO[str], replies: queue.SimpleQueue[str]) -> None:
    """Pass lines on as they come, and an empty text at the end."""
    with contextlib.suppress(OSError, ValueError):
        for line in lines:
            replies.put(line)
    replies.put("")


def _with_name(system: ArenaSystem, message: str) -> str:
    return message if message.startswith((system.place, "command ")) else f"{system.name}: {message}"
