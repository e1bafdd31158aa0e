"""ffmpeg for these tests: that of the `imageio-ffmpeg` wheel under its usual name, else the machine's."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from media_clips import MPEG4, PICTURE, RATE, sound

from stillwave import audio


@pytest.fixture(scope="session")
def program(tmp_path_factory) -> Path:
    """A folder that holds ffmpeg and nothing else."""
    try:
        import imageio_ffmpeg

        found = imageio_ffmpeg.get_ffmpeg_exe()
    except (ImportError, RuntimeError):
        found = shutil.which("ffmpeg")
    if not found:
        pytest.skip("needs ffmpeg: pip install imageio-ffmpeg")
    folder = tmp_path_factory.mktemp("bin")
    name = "ffmpeg.exe" if os.name == "nt" else "ffmpeg"
    if os.name == "nt":
        shutil.copy(found, folder / name)
    else:
        (folder / name).symlink_to(found)
    return folder


@pytest.fixture(autouse=True)
def on_the_path(program, monkeypatch):
    monkeypatch.setenv("PATH", str(program), prepend=os.pathsep)


@pytest.fixture(scope="session")
def make(program) -> Callable[..., Path]:
    """Run ffmpeg: options, and the file to write."""

    def run(target: Path, *options: object) -> Path:
        command = [program / "ffmpeg", "-v", "error", "-nostdin", "-y", *options, f"file:{target}"]
        done = subprocess.run([str(part) for part in command], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return target

    return run


@pytest.fixture(scope="session")
def wav(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("sound") / "a.wav"
    audio.write(path, np.stack([sound(), 0.5 * sound()]), RATE)
    return path


@pytest.fixture(scope="session")
def talk(tmp_path_factory, make, wav) -> Path:
    """A video with two audio tracks, a subtitle and a chapter; its sound begins half a second late."""
    folder = tmp_path_factory.mktemp("talk")
    (folder / "a.srt").write_text("1\n00:00:00,200 --> 00:00:01,000\nGood morning\n")
    (folder / "a.txt").write_text(
        ";FFMETADATA1\ntitle=A talk\n[CHAPTER]\nTIMEBASE=1/1000\nSTART=0\nEND=900\ntitle=Opening\n"
        "[CHAPTER]\nTIMEBASE=1/1000\nSTART=900\nEND=2500\ntitle=Rest\n"
    )
    return make(
        folder / "talk.mp4", *PICTURE, "-itsoffset", "0.5", "-i", wav, "-i", wav, "-i", folder / "a.srt",
        "-i", folder / "a.txt", "-map", "0:v", "-map", "1:a", "-map", "2:a", "-map", "3:s", "-map_metadata", "4",
        "-map_chapters", "4", *MPEG4, "-c:a", "aac", "-c:s", "mov_text", "-ac:a:1", "1",
        "-metadata:s:a:0", "language=eng", "-metadata:s:a:1", "language=deu",
    )  # fmt: skip
