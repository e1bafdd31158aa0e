"""Estimates of an earlier run are kept if system, recording and file are the same."""

from __future__ import annotations

from pathlib import Path

from stillwave.arena.estimates import FILE, enhance_all
from stillwave.arena.recordings import recordings
from stillwave.arena.systems import SystemCost
from stillwave.audio import read, write
from stillwave.errors import StillwaveError


class Process:
    """A system that halves; it has no process."""

    def __init__(self, identity: str = "one", fails: str = "") -> None:
        self.cost, self.identity, self.fails, self.asked = SystemCost(), identity, fails, []

    def enhance(self, source: Path, target: Path):
        self.asked.append(source.stem)
        if source.stem == self.fails:
            raise StillwaveError("failed")
        samples, rate = read(source)
        write(target, samples / 2, rate, subtype="FLOAT")
        return {"cpu": 0.25, "seconds": 0.5}


def ran(process: Process, folder: Path):
    return enhance_all(process, recordings(Path("mixtures")), folder, lambda: None)


def test_a_second_run_enhances_only_what_is_missing(tmp_path):
    first = Process(fails="1")
    found, cost = ran(first, tmp_path)
    assert first.asked == ["0", "1", "2"]
    assert found["1"] == "not enhanced: failed"
    (tmp_path / "2.wav").unlink()
    second = Process()
    again, same = ran(second, tmp_path)
    assert second.asked == ["1", "2"]
    assert all(isinstance(file, Path) for file in again.values())
    assert cost.cpu_ratio == same.cpu_ratio == 0.5


def test_another_system_enhances_all(tmp_path):
    ran(Process(), tmp_path)
    other = Process("two")
    ran(other, tmp_path)
    assert other.asked == ["0", "1", "2"]


def test_a_torn_line_is_enhanced_again(tmp_path):
    ran(Process(), tmp_path)
    file = tmp_path / FILE
    file.write_text(file.read_text()[:-20])
    process, third = Process(), Process()
    ran(process, tmp_path)
    ran(third, tmp_path)
    assert (process.asked, third.asked) == (["2"], [])


def test_a_changed_recording_is_enhanced_again(tmp_path, monkeypatch):
    ran(Process(), tmp_path)
    monkeypatch.setattr(
        "stillwave.arena.estimates._hash", lambda file: file.stem if file.stem == "0" else "same"
    )
    process = Process()
    ran(process, tmp_path)
    assert process.asked == ["0", "1", "2"]
