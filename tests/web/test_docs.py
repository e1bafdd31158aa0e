"""The commands and the client that docs/how-to/web.md shows run as they are shown, against a service."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from web_client import MODEL, noise, running, samples_of, wav

import stillwave

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "how-to" / "web.md").read_text(encoding="utf-8")
SHELL = re.findall(r"^```sh\n(.*?)^```", PAGE, flags=re.DOTALL | re.MULTILINE)
SAMPLES = noise(1, 24_000)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with running(tmp_path_factory.mktemp("tmp"), "--max-streams", "4") as found:
        yield found


def run(script: str, server, folder: Path) -> None:
    """Run a block of the page in a folder with a recording, on the port of the test."""
    (folder / "noisy.wav").write_bytes(wav(SAMPLES))
    (folder / "noisy.pcm").write_bytes(wav(SAMPLES)[44:])
    script = script.replace("127.0.0.1:8000", f"127.0.0.1:{server.port}")
    ended = subprocess.run(["bash", "-ec", script], cwd=folder, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr


@pytest.mark.skipif(not shutil.which("curl"), reason="needs curl")
def test_curl(server, tmp_path):
    (block,) = [text for text in SHELL if text.startswith("curl")]
    run(block, server, tmp_path)
    (tmp_path / "expected").mkdir()
    enhancer = stillwave.load(MODEL)
    for name, options in (
        ("clean.wav", {}),
        ("clean.flac", {"limit_db": 12}),
        ("clean16.wav", {"rate": 16_000}),
    ):
        expected = tmp_path / "expected" / name
        enhancer.enhance_file(tmp_path / "noisy.wav", expected, **options)
        assert (tmp_path / name).read_bytes() == expected.read_bytes()


@pytest.mark.skipif(not shutil.which("websocat"), reason="needs websocat")
def test_websocat(server, tmp_path):
    (block,) = [text for text in SHELL if "websocat" in text]
    run(block, server, tmp_path)
    found = np.fromfile(tmp_path / "clean.pcm", "<i2")
    expected = stillwave.load(MODEL).enhance(samples_of(wav(SAMPLES)), 16_000)[0]
    assert np.abs(found / 32_768 - expected).max() < 1.1 / 32_768


def test_the_client_of_the_page_is_the_example() -> None:
    (block,) = re.findall(r"^```py\n(.*?)^```", PAGE, flags=re.DOTALL | re.MULTILINE)
    assert block == (ROOT / "examples" / "service_client.py").read_text(encoding="utf-8")


def test_the_client_enhances_files_and_streams(server, tmp_path):
    client = (ROOT / "examples" / "service_client.py").read_text(encoding="utf-8")
    (tmp_path / "client.py").write_text(client.replace("127.0.0.1:8000", f"127.0.0.1:{server.port}"))
    (tmp_path / "noisy.wav").write_bytes(wav(SAMPLES))
    subprocess.run([sys.executable, "client.py", "noisy.wav", "clean.wav"], cwd=tmp_path, check=True)
    stillwave.load(MODEL).enhance_file(tmp_path / "noisy.wav", tmp_path / "expected.wav")
    assert (tmp_path / "clean.wav").read_bytes() == (tmp_path / "expected.wav").read_bytes()
    pcm = wav(SAMPLES)[44:]
    found = subprocess.run(
        [sys.executable, "client.py"], cwd=tmp_path, input=pcm, capture_output=True, check=True
    )
    assert len(found.stdout) == len(pcm)
    difference = np.frombuffer(found.stdout, "<i2").astype(int) - np.frombuffer(
        (tmp_path / "expected.wav").read_bytes()[44:], "<i2"
    )
    assert np.abs(difference).max() <= 1
