"""What ffmpeg gets to see of a file: an open descriptor, no name, and no protocol but that one."""

from __future__ import annotations

import os
import subprocess

import pytest

from stillwave import audio
from stillwave.audio.ffmpeg import found


@pytest.fixture
def arguments(program, tmp_path, monkeypatch):
    """A function that returns the words that ffmpeg was started with."""
    listed = subprocess.run(
        [found(), "-hide_banner", "-protocols"], capture_output=True, text=True, check=True
    )
    if os.name != "posix" or "fd" not in listed.stdout.split():
        pytest.skip("ffmpeg is older than version 6")
    shim, log = tmp_path / "shim" / "ffmpeg", tmp_path / "log"
    shim.parent.mkdir()
    shim.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" >> {log}\nexec {found()} "$@"\n')
    shim.chmod(0o755)
    monkeypatch.setenv("PATH", str(shim.parent), prepend=os.pathsep)
    return lambda: log.read_text().splitlines()


def test_reading_passes_a_descriptor(arguments, make, wav, tmp_path):
    path = make(tmp_path / "private name.m4a", "-i", wav, "-c:a", "aac")
    samples, rate = audio.read(path)
    assert samples.shape[1] > rate
    words = arguments()
    assert words.count("-protocol_whitelist") == words.count("fd:") == words.count("-i") > 0
    assert words[words.index("-protocol_whitelist") + 1] == "fd"
    assert not [word for word in words if "private" in word or word.startswith("file:")]


def test_an_index_at_the_end_is_found(arguments, make, wav, tmp_path):
    path = make(tmp_path / "late.mp4", "-i", wav, "-c:a", "aac", "-movflags", "0")
    content = path.read_bytes()
    assert content.index(b"mdat") < content.index(b"moov")
    assert audio.probe(path).seconds > 1
    assert "fd:" in arguments()
