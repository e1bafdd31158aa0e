"""A service for tests: in this process, or as `stillwave web` in a process of its own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from starlette.testclient import TestClient

from stillwave.web.app import create
from stillwave.web.settings import checked

MODEL = "bsrnn-xs"


@contextmanager
def served(**settings: Any) -> Iterator[TestClient]:
    """A client of a service in this process, which admits four streams."""
    given = {"model": MODEL, "jobs": 1, "max_streams": 4, **settings}
    with TestClient(
        create(checked(given)), base_url="http://localhost:8000", raise_server_exceptions=False
    ) as client:
        yield client


@dataclass
class Running:
    """A running `stillwave web`."""

    process: subprocess.Popen[str]
    address: str
    folder: Path

    @property
    def port(self) -> int:
        return int(re.search(r":(\d+)/", self.address)[1])

    def temporary(self) -> list[Path]:
        """The folders of requests."""
        return sorted(self.folder.glob("stillwave-web-*/process-*/request-*"))


@contextmanager
def running(folder: Path, *options: str) -> Iterator[Running]:
    """`stillwave web` on a free port, with `folder` for its temporary files."""
    command = [sys.executable, "-m", "stillwave", "web", "--no-open", "--port", "0", "-m", MODEL, *options]
    environment = {**os.environ, "TMPDIR": str(folder), "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment)
    try:
        line = process.stderr.readline()
        found = re.search(r"http://\S+", line)
        assert found, line + process.stderr.read()
        address = found[0]
        _wait_until_ready(process, address.partition("?")[0])
        yield Running(process, address, folder)
    finally:
        process.kill()
        process.wait()
        process.stderr.close()


def _wait_until_ready(process: subprocess.Popen[str], address: str) -> None:
    for _ in range(600):
        assert process.poll() is None, process.stderr.read()
        try:
            with urllib.request.urlopen(address + "readyz", timeout=5):
                return
        except OSError:
            time.sleep(0.1)
    raise AssertionError("not ready within a minute")


def noise(channels: int, samples: int, seed: int = 0) -> np.ndarray:
    """Noise `[channels, samples]`."""
    return 0.1 * np.random.default_rng(seed).standard_normal((channels, samples)).astype(np.float32)


def wav(samples: np.ndarray, rate: int = 16_000, subtype: str = "PCM_16", format: str = "WAV") -> bytes:
    """A file with samples `[channels, n]`."""
    file = BytesIO()
    soundfile.write(file, samples.T, rate, subtype, format=format)
    return file.getvalue()


def samples_of(content: bytes) -> np.ndarray:
    """The samples `[channels, n]` of a file."""
    return soundfile.read(BytesIO(content), dtype="float32", always_2d=True)[0].T


def problem_of(response: Any) -> tuple[int, str]:
    """Status and type of a problem; its other members must be there too."""
    assert response.headers["content-type"] == "application/problem+json"
    content = response.json()
    assert content["status"] == response.status_code
    assert content["title"]
    assert content["detail"]
    assert "Traceback" not in response.text
    return response.status_code, content["type"].removeprefix("urn:stillwave:problem:")
