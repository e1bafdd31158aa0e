"""Atomic writes: what was there before an interrupted write is there after it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from stillwave.errors import StillwaveError
from stillwave.files import atomic_file, atomic_folder, walk, write_json, write_text


def test_a_failed_write_keeps_the_old_file_and_no_temporary_file(tmp_path: Path) -> None:
    target = tmp_path / "card.json"
    write_text(target, "old")
    with pytest.raises(RuntimeError), atomic_file(target) as temporary:
        temporary.write_text("half of the n")
        raise RuntimeError
    assert target.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["card.json"]


def test_ctrl_c_keeps_the_old_folder(tmp_path: Path) -> None:
    target = tmp_path / "checkpoint"
    with atomic_folder(target) as temporary:
        (temporary / "a").write_text("old")
    with pytest.raises(KeyboardInterrupt), atomic_folder(target) as temporary:
        (temporary / "a").write_text("new")
        raise KeyboardInterrupt
    assert (target / "a").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint"]


@pytest.mark.parametrize("writer", [atomic_file, atomic_folder])
def test_errors_name_the_target_and_not_the_temporary_file(tmp_path: Path, writer) -> None:
    target = tmp_path / "model.json"
    with pytest.raises(OSError) as raised, writer(target) as temporary:  # noqa: PT011 # which of them depends on the writer
        (temporary / "missing" / "part").write_text("")
    assert raised.value.filename == str(target / "missing" / "part")


@pytest.mark.parametrize("writer", [atomic_file, atomic_folder])
def test_a_full_disk_names_the_target(tmp_path: Path, writer) -> None:
    with pytest.raises(OSError, match="No space left") as caught, writer(tmp_path / "out"):
        raise OSError(28, "No space left on device")  # as write() raises it: without a name
    assert caught.value.filename == str(tmp_path / "out")


def test_a_sentence_from_within_a_folder_names_the_target(tmp_path: Path) -> None:
    with pytest.raises(StillwaveError) as caught, atomic_folder(tmp_path / "out") as temporary:
        raise StillwaveError(f"{temporary / 'a.flac'}: cannot be written")
    assert str(caught.value) == f"{tmp_path / 'out' / 'a.flac'}: cannot be written"


def test_a_folder_is_replaced_as_a_whole(tmp_path: Path) -> None:
    target = tmp_path / "run"
    for names in (("a", "b"), ("c",)):
        with atomic_folder(target) as temporary:
            for name in names:
                (temporary / name).write_text(name)
    assert [path.name for path in target.iterdir()] == ["c"]


def test_the_temporary_name_keeps_the_suffix(tmp_path: Path) -> None:
    with atomic_file(tmp_path / "x.flac") as temporary:
        assert temporary.suffix == ".flac"
        temporary.write_bytes(b"")


def test_nan_is_refused_in_json(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "x.json", {"score": float("nan")})
    assert not list(tmp_path.iterdir())


def test_a_killed_writer_leaves_no_partial_file(tmp_path: Path) -> None:
    target = tmp_path / "big.json"
    write_json(target, [0])
    code = (
        "import sys; from stillwave.files import write_json\n"
        "n = 0\n"
        "while True:\n    n += 1; write_json(sys.argv[1], [n] * 200_000)\n"
    )
    writer = subprocess.Popen([sys.executable, "-c", code, str(target)])
    deadline = time.monotonic() + 300
    while json.loads(target.read_text()) == [0] and time.monotonic() < deadline:
        time.sleep(0.01)
    os.kill(writer.pid, signal.SIGKILL)
    writer.wait()
    values = json.loads(target.read_text())
    assert len(values) == 200_000
    assert len(set(values)) == 1


def test_a_new_folder_has_default_permissions(tmp_path: Path) -> None:
    (tmp_path / "plain").mkdir()
    with atomic_folder(tmp_path / "atomic"):
        pass
    assert (tmp_path / "atomic").stat().st_mode == (tmp_path / "plain").stat().st_mode


@pytest.mark.parametrize("umask", [0o002, 0o027])
def test_files_follow_the_umask(tmp_path: Path, umask: int) -> None:
    """A library may write through a private temporary file of its own (safetensors does: mode 0600)."""

    def privately(path: Path) -> None:
        path.write_bytes(b"x")
        path.chmod(0o600)

    before = os.umask(umask)
    try:
        with atomic_file(tmp_path / "one" / "a.bin") as temporary:
            privately(temporary)
        with atomic_folder(tmp_path / "two") as folder:
            (folder / "sub").mkdir()
            privately(folder / "a.bin")
            privately(folder / "sub" / "b.bin")
    finally:
        os.umask(before)
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) == 3
    assert {path.stat().st_mode & 0o777 for path in files} == {0o666 & ~umask}


def test_threads_can_write_the_same_file(tmp_path: Path) -> None:
    target, first, second = tmp_path / "a.txt", threading.Event(), threading.Event()

    def slow() -> None:
        with atomic_file(target) as temporary:
            temporary.write_text("slow")
            first.set()
            second.wait(10)

    thread = threading.Thread(target=slow)
    thread.start()
    first.wait(10)
    write_text(target, "quick")
    second.set()
    thread.join()
    assert target.read_text() == "slow"
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]


@pytest.mark.parametrize("length", [246, 251, 255])
def test_names_as_long_as_the_file_system_allows(tmp_path: Path, length: int) -> None:
    for name in ("x" * (length - 4) + ".wav", "a." + "y" * (length - 2)):
        write_text(tmp_path / name, "text")
        assert (tmp_path / name).read_text() == "text"
        with atomic_folder(tmp_path / "deep" / name) as temporary:
            (temporary / "a").write_text("old")
        with atomic_folder(tmp_path / "deep" / name):
            pass
        assert list((tmp_path / "deep" / name).iterdir()) == []


def test_two_writers_of_one_name_do_not_collide(tmp_path: Path) -> None:
    target = tmp_path / "a.txt"
    with atomic_file(target) as one, atomic_file(target) as other:
        one.write_text("one")
        other.write_text("other")
    assert target.read_text() == "one"
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]


@pytest.mark.parametrize("links", [True, False])
def test_without_replace_the_first_writer_keeps_the_name(tmp_path: Path, monkeypatch, links: bool) -> None:
    def refuse(*_):
        raise PermissionError("this file system has no hard links")

    if not links:
        monkeypatch.setattr(os, "link", refuse)
    target = tmp_path / "a.txt"
    with pytest.raises(FileExistsError), atomic_file(target, replace=False) as temporary:
        temporary.write_text("late")
        write_text(target, "early")
    assert target.read_text() == "early"
    with atomic_file(tmp_path / "b.txt", replace=False) as temporary:
        temporary.write_text("b")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.txt", "b.txt"]


def test_a_walk_follows_links_and_reports_what_is_skipped(tmp_path: Path) -> None:
    folder, other = tmp_path / "in", tmp_path / "elsewhere"
    seen = (folder / "b" / "x.wav", folder / "a.wav", other / "deep" / "y.wav")
    for path in (*seen, folder / "._a.wav", folder / ".trash" / "z.wav"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    (folder / "linked").symlink_to(other)
    (folder / "b" / "up").symlink_to(folder)
    (other / "deep" / "self").symlink_to(other / "deep")
    (folder / "gone.wav").symlink_to(tmp_path / "nowhere")
    os.mkfifo(folder / "pipe.wav")
    found = walk(folder)
    assert [str(path.relative_to(folder)) for path in found.files] == [
        "a.wav", "b/x.wav", "linked/deep/y.wav",
    ]  # fmt: skip
    assert {str(path.relative_to(folder)): reason for path, reason in found.skipped} == {
        "b/up": "links to a folder that it lies in",
        "linked/deep/self": "links to a folder that it lies in",
        "._a.wav": "hidden file",
        ".trash": "hidden folder",
        "gone.wav": "broken link",
        "pipe.wav": "neither a file nor a folder",
    }


def test_a_folder_that_cannot_be_read_does_not_end_a_walk(tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "closed").mkdir()
    (tmp_path / "a.wav").touch()
    listed = Path.iterdir

    def refuse(path):
        if path.name == "closed":
            raise PermissionError(13, "Permission denied")
        return listed(path)

    monkeypatch.setattr(Path, "iterdir", refuse)
    found = walk(tmp_path)
    assert [path.name for path in found.files] == ["a.wav"]
    assert found.skipped == [(tmp_path / "closed", "cannot be read: Permission denied")]


def test_names_that_are_not_utf_8_can_be_written(tmp_path: Path) -> None:
    write_json(tmp_path / "x.json", {"path": os.fsdecode(b"caf\xe9.wav")})
    assert os.fsencode(json.loads((tmp_path / "x.json").read_text("utf-8"))["path"]) == b"caf\xe9.wav"
