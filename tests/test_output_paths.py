"""Outputs that cannot be written are refused in one sentence, before any work, and nothing is created for them."""

from __future__ import annotations

from pathlib import Path

import pytest

from stillwave import output_paths
from stillwave.errors import StillwaveError
from stillwave.output_paths import check_output_file, make_folder


@pytest.mark.parametrize("below", ["", "x", "x/y"])
def test_a_file_in_the_way_of_a_folder_is_named(tmp_path: Path, below: str):
    file = tmp_path / "a.wav"
    file.touch()
    with pytest.raises(StillwaveError) as caught:
        make_folder(file / below)
    assert str(caught.value) == f"{file}: is a file; expected a folder"


def test_a_broken_link_in_the_way_is_named(tmp_path: Path):
    (tmp_path / "link").symlink_to("nothing")
    with pytest.raises(StillwaveError, match="link: is a broken link; expected a folder"):
        make_folder(tmp_path / "link")


def test_a_folder_is_made_with_those_above_it(tmp_path: Path):
    for _ in range(2):
        make_folder(tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b").is_dir()


def test_a_folder_that_cannot_be_created(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def refuse(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(
        StillwaveError, match=r"x: cannot be created \(No space left on device\); give a folder"
    ):
        make_folder(tmp_path / "x")


def test_a_folder_without_permission_to_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(output_paths.os, "access", lambda *_: False)  # root may write everywhere
    for check, path in ((make_folder, tmp_path), (check_output_file, tmp_path / "new" / "m.jsonl")):
        with pytest.raises(StillwaveError, match="cannot be written; give another folder, or change"):
            check(path)


def test_the_place_of_a_file_is_checked_and_not_created(tmp_path: Path):
    check_output_file(tmp_path / "new" / "folder" / "m.jsonl")
    assert not list(tmp_path.iterdir())
    with pytest.raises(StillwaveError, match="is a folder; give the name of a file"):
        check_output_file(tmp_path)
    (tmp_path / "file").touch()
    check_output_file(tmp_path / "file")
    with pytest.raises(StillwaveError, match="file: is a file; expected a folder"):
        check_output_file(tmp_path / "file" / "m.jsonl")
