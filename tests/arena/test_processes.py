"""Processes of systems: what ends, hangs or prints concerns one recording, not the others."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from stillwave.arena.estimates import FAILURES, enhance_all
from stillwave.arena.processes import ProcessLimits, SystemProcess
from stillwave.arena.recordings import recordings
from stillwave.arena.systems import parse
from stillwave.audio import read, write
from stillwave.errors import StillwaveError


def ran(name: str, folder: Path, timeout: float = 60.0):
    (system,) = parse([f"python:systems:{name}"])
    with SystemProcess(system, ProcessLimits(timeout=timeout)) as worker:
        return enhance_all(worker, recordings(Path("mixtures")), folder, lambda: None)


def test_a_crash_concerns_one_recording(tmp_path):
    found, cost = ran("crash", tmp_path)
    assert found["1"] == "not enhanced: its process ended with exit code 3"
    for name in ("0", "2"):
        assert (read(found[name])[0] == read(Path("mixtures/noisy") / f"{name}.wav")[0]).all()
    assert cost.cpu_ratio is not None
    assert cost.delay_ms == 0


@pytest.mark.slow
def test_a_recording_that_takes_too_long_is_ended(tmp_path):
    found, _ = ran("hang", tmp_path, timeout=10.0)
    assert found["1"] == "not enhanced: exceeded 10 s for a recording; raise --timeout if it is slow"
    assert isinstance(found["2"], Path)


@pytest.mark.slow
def test_a_system_that_always_ends_is_not_started_again(tmp_path, monkeypatch):
    monkeypatch.setattr("stillwave.arena.estimates.FAILURES", 2)
    found, cost = ran("dead", tmp_path)
    assert found["1"] == "not enhanced: its process ended with exit code 3"
    assert (
        found["2"] == "not enhanced: not tried after 2 failures in a row: its process ended with exit code 3"
    )
    assert cost.cpu_ratio is None
    assert FAILURES == 3


@pytest.mark.slow
def test_level_and_delay_are_compensated_and_prints_ignored(tmp_path):
    noisy = read(Path("mixtures/noisy/0.wav"))[0]
    for name in ("half", "late", "prints"):
        found, cost = ran(name, tmp_path / name)
        assert read(found["0"])[0] == pytest.approx(noisy, abs=1e-4), name
        assert cost.delay_ms == (10 if name == "late" else 0)


TOOL = """
import os, shutil, sys, time
from pathlib import Path
if Path("hang").exists():
    Path("pid").write_text(str(os.getpid()))
    time.sleep(600)
shutil.copyfile(sys.argv[1], sys.argv[2])
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self").exists(), reason="looks for the process in /proc")
def test_an_arena_that_ends_early_ends_the_program_too(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tool.py").write_text(TOOL)
    (system,) = parse([f"tool=cmd: {sys.executable} {tmp_path / 'tool.py'} {{in}} {{out}}"])
    write(tmp_path / "a.wav", np.zeros((1, 1_000), np.float32), 16_000)
    with SystemProcess(system, ProcessLimits()) as process:
        (tmp_path / "hang").touch()
        request = threading.Thread(target=refused, args=(process,))
        request.start()
        assert eventually(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text() != "")
    request.join(30)
    assert eventually(lambda: not Path("/proc", (tmp_path / "pid").read_text()).exists())


def refused(process: SystemProcess) -> None:
    with pytest.raises(StillwaveError):
        process.enhance(Path("a.wav"), Path("b.wav"))


def eventually(condition: Callable[[], bool], seconds: float = 30) -> bool:
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.05)
    return condition()


def test_a_system_that_cannot_be_opened_is_one_sentence():
    (system,) = parse(["mine=python:systems:absent"])
    with pytest.raises(StillwaveError, match=r"python:systems:absent: cannot be imported") as caught:
        SystemProcess(system, ProcessLimits())
    assert "\n" not in str(caught.value)
