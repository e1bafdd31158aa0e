"""Temporary files of killed processes, and the paths that users give."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from stillwave.errors import StillwaveError
from stillwave.files import as_path, atomic_file, remove_left_over

KILLED = """
import os, signal, sys
from stillwave.files import atomic_file
with atomic_file(sys.argv[1]) as temporary:
    temporary.write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.skipif(os.name != "posix", reason="only there processes can be asked whether they run")
def test_only_files_of_killed_processes_are_removed(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", KILLED, tmp_path / "a.wav"], check=False)
    assert done.returncode == -signal.SIGKILL
    (left,) = tmp_path.iterdir()
    elsewhere = left.with_name(left.name.replace(left.name[1:9], "0" * 8))  # a process of another machine
    others = {elsewhere, tmp_path / ".hidden.wav", tmp_path / ".0123456789ab.tmp.wav"}
    for path in others:
        path.write_text("x")
    with atomic_file(tmp_path / "b.wav") as running:
        running.write_text("half")
        remove_left_over(tmp_path)
        assert set(tmp_path.iterdir()) == {*others, running}
    assert set(tmp_path.iterdir()) == {*others, tmp_path / "b.wav"}


def test_a_missing_folder_has_no_left_over_files(tmp_path: Path) -> None:
    remove_left_over(tmp_path / "none")
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("given", ["~/a.wav", b"~/a.wav", Path("~/a.wav")])
def test_a_tilde_is_the_home_folder(tmp_path: Path, monkeypatch, given) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert as_path(given) == tmp_path / "a.wav"


@pytest.mark.parametrize("given", ["a~", "./~", "~of-nobody/a.wav"])
def test_any_other_tilde_is_part_of_a_name(given: str) -> None:
    assert as_path(given) == Path(given)


@pytest.mark.parametrize("given", [3, None, ["a.wav"]])
def test_invalid_paths_are_refused(given: object) -> None:
    with pytest.raises(StillwaveError, match=r"^source: .*path.*got "):
        as_path(given, "source")


@pytest.mark.skipif(os.name != "posix", reason="names are text there")
def test_bytes_that_are_not_utf_8_name_the_same_file(tmp_path: Path) -> None:
    name = os.fsencode(tmp_path) + b"/caf\xe9"
    as_path(name).write_text("x")
    assert [os.fsencode(path.name) for path in tmp_path.iterdir()] == [b"caf\xe9"]
