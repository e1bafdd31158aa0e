"""Many requests: random ones that must do no harm, and uploads at once that must be those of the command."""

from __future__ import annotations

import random
import subprocess
import sys
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from web_client import MODEL, noise, running, wav

import stillwave

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "web_fuzz.py"


@pytest.mark.slow
def test_ten_thousand_random_requests():
    ended = subprocess.run([sys.executable, SCRIPT], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr


@pytest.mark.slow
def test_a_thousand_uploads_sixteen_at_once_have_the_bytes_of_the_command(tmp_path):
    rng, enhancer, cases = random.Random(0), stillwave.load(MODEL), []
    for number in range(20):
        rate, channels = rng.choice((8_000, 16_000, 44_100, 48_000)), rng.choice((1, 2))
        subtype, form = rng.choice(
            (("PCM_16", "WAV"), ("PCM_24", "WAV"), ("FLOAT", "WAV"), ("PCM_16", "FLAC"))
        )
        content = wav(noise(channels, rng.randint(1_000, 20_000), number), rate, subtype, form)
        source, target = tmp_path / f"{number}.{form.lower()}", tmp_path / f"{number}-out.wav"
        source.write_bytes(content)
        enhancer.enhance_file(source, target)
        cases.append((content, target.read_bytes()))
    with running(tmp_path, "--max-streams", "1") as server:

        def same(number: int) -> bool:
            content, expected = cases[number % len(cases)]
            with urllib.request.urlopen(f"{server.address}v1/enhance", content) as answer:
                return answer.read() == expected

        with ThreadPoolExecutor(16) as pool:
            assert all(pool.map(same, range(1_000)))
        end = time.monotonic() + 10
        while server.temporary() and time.monotonic() < end:
            time.sleep(0.1)
        assert not server.temporary()
