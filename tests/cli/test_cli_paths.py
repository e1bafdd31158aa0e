"""Paths on the command line, as every verb gets them."""

from pathlib import Path

from stillwave.cli import guard


def test_a_tilde_that_the_shell_left_is_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    given = {}

    def verb(**options):
        given.update(options)

    guard(verb)(inputs=[Path("~/a.wav"), Path("-")], output=Path("~/b.wav"), model=None, tag="~/x")
    assert given == {
        "inputs": [tmp_path / "a.wav", Path("-")],
        "output": tmp_path / "b.wav",
        "model": None,
        "tag": "~/x",
    }
