import errno
import multiprocessing
import os
from pathlib import Path

import pytest

from stillwave.distill.file_cache import BoundedFileCache


def shelf(folder: Path, limit: int = 100) -> BoundedFileCache:
    return BoundedFileCache(folder, limit, ".bin")


def names(of: BoundedFileCache) -> set[str]:
    return {path.stem for path in of.folder.glob("??/*.bin")}


def age(of: BoundedFileCache, name: str, seconds: float = 3600) -> None:
    stat = of.path(name).stat()
    os.utime(of.path(name), (stat.st_atime - seconds, stat.st_mtime - seconds))


def test_stored_files_exist_and_are_counted(tmp_path):
    one = shelf(tmp_path)
    assert one.put("aa01", b"x" * 30)
    assert one.put("bb01", b"y" * 50)
    assert one.path("aa01").read_bytes() == b"x" * 30
    assert one.total() == 80


def test_the_limit_is_exact(tmp_path):
    one = shelf(tmp_path)
    assert one.put("aa01", b"x" * 60)
    assert not one.put("aa02", b"x" * 41)
    assert one.put("aa03", b"x" * 40)
    assert not one.put("aa04", b"x")
    assert one.total() == 100


def test_a_file_replaced_counts_once(tmp_path):
    one = shelf(tmp_path)
    assert one.put("aa01", b"x" * 60)
    assert one.put("aa01", b"x" * 90)
    assert one.put("aa01", b"x" * 20)
    assert one.put("aa02", b"x" * 80)


def test_a_file_above_the_limit_removes_no_other(tmp_path):
    one = shelf(tmp_path)
    one.put("aa01", b"x" * 60)
    age(one, "aa01")
    assert not shelf(tmp_path).put("aa02", b"x" * 101)
    assert names(one) == {"aa01"}


def test_the_least_recently_used_is_removed_but_none_in_use(tmp_path):
    before = shelf(tmp_path)
    for name in ("aa01", "aa02", "aa03"):
        before.put(name, b"x" * 30)
    age(before, "aa01", 10_000)
    age(before, "aa02", 20_000)
    age(before, "aa03", 5_000)
    now = shelf(tmp_path)
    now.touch("aa02")
    assert now.put("bb01", b"y" * 40)
    assert names(now) == {"aa02", "aa03", "bb01"}
    assert now.put("bb02", b"y" * 30)
    assert names(now) == {"aa02", "bb01", "bb02"}
    assert not now.put("bb03", b"y" * 30), "all that is left is in use"
    assert names(now) == {"aa02", "bb01", "bb02"}


def test_a_sequence_longer_than_the_limit_keeps_its_beginning(tmp_path):
    """With plain least-recently-used removal, no run would find a file."""
    found = []
    for _ in range(3):
        run = shelf(tmp_path)
        found.append(0)
        for number in range(8):
            name = f"aa{number:02}"
            if run.path(name).exists():
                found[-1] += 1
                run.touch(name)
            else:
                run.put(name, b"x" * 25)
        for name in names(run):
            age(run, name)
    assert found == [0, 4, 4]


def test_files_of_a_killed_process_are_removed(tmp_path):
    one = shelf(tmp_path)
    one.put("aa01", b"x" * 50)
    (tmp_path / "aa" / ".aa02.bin.tmp").write_bytes(b"x" * 1000)
    (tmp_path / ".total").write_text("99")  # counted, and killed before it was written
    again = shelf(tmp_path)
    assert again.put("aa03", b"x" * 50)
    assert not list(tmp_path.glob("??/.*"))
    assert again.total() == 100


@pytest.mark.parametrize("count", ["", "many"])
def test_a_damaged_total_is_recounted(tmp_path, count):
    one = shelf(tmp_path)
    one.put("aa01", b"x" * 50)
    (tmp_path / ".total").write_text(count)
    assert not one.put("aa02", b"x" * 51)
    assert one.put("aa02", b"x" * 50)


def test_a_full_disk_leaves_no_partial_file(tmp_path, monkeypatch):
    def full(path, content):
        with path.open("wb") as file:
            file.write(content[:3])
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    one = shelf(tmp_path)
    one.put("aa01", b"x" * 50)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", full)
        with pytest.raises(OSError, match="No space left"):
            one.put("aa02", b"x" * 50)
    assert names(one) == {"aa01"}
    assert not list(tmp_path.glob("??/.*"))
    assert one.put("aa02", b"x" * 50), "what was not written is not counted"


def test_a_lock_timeout_skips_the_file(tmp_path):
    from filelock import FileLock

    with FileLock(tmp_path / ".lock"):
        assert not BoundedFileCache(tmp_path, 1000, ".bin", lock_timeout=0.05).put("aa01", b"x")


def _fill(folder: str, process: int) -> None:
    one = BoundedFileCache(Path(folder), 1000, ".bin")
    for number in range(40):
        one.put(f"{number:02x}{process % 2}", bytes([process]) * 30)


def test_many_processes_respect_the_limit(tmp_path):
    context = multiprocessing.get_context(
        "fork" if "fork" in multiprocessing.get_all_start_methods() else "spawn"
    )
    workers = [context.Process(target=_fill, args=(str(tmp_path), n)) for n in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(600)
        assert worker.exitcode == 0
    files = list(tmp_path.glob("??/*.bin"))
    assert 0 < sum(file.stat().st_size for file in files) <= 1000
    assert len(files) == 33
    assert all(file.stat().st_size == 30 and len(set(file.read_bytes())) == 1 for file in files)
