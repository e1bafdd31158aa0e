"""A small world: six speakers, four noises, two rooms, all different, at 16 kHz."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from stillwave.audio import write
from stillwave.data.decoded_cache import DecodedAudioCache
from stillwave.data.manifest import Recording

RATE = 16_000


def speech(seed: int, seconds: float) -> np.ndarray:
    """Syllables of coloured noise with pauses between them."""
    rng = np.random.default_rng(seed)
    n = int(seconds * RATE)
    envelope = np.sin(np.pi * 3 * np.arange(n) / RATE) ** 2
    return (0.3 * envelope * rng.standard_normal(n).clip(-3, 3) / 3).astype(np.float32)


def entry(path: Path, samples: np.ndarray, **fields: str) -> Recording:
    write(path, samples, RATE)
    rows = np.atleast_2d(samples)
    return Recording(path=path, sample_rate=RATE, channels=len(rows), seconds=rows.shape[1] / RATE, **fields)


@pytest.fixture(autouse=True)
def _cache_elsewhere(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home-cache"))


@pytest.fixture(scope="session")
def world(tmp_path_factory):
    folder = tmp_path_factory.mktemp("world")
    rng = np.random.default_rng(5)
    utterances = [
        entry(
            folder / f"speech/s{s}/u{u}.flac",
            speech(10 * s + u, 0.6 + 0.5 * u),
            speaker=f"s{s}",
            text=f"T{s}{u}",
        )
        for s in range(6)
        for u in range(4)
    ]
    noises = [
        entry(folder / f"noise/n{i}.wav", 0.1 * rng.uniform(-1, 1, int(RATE * (0.5 + i))).astype(np.float32))
        for i in range(4)
    ]
    rooms = []
    for i in range(2):
        decay = rng.standard_normal((i + 1, 8000)) * np.exp(-np.arange(8000) / 1200) * 0.1
        decay[:, :40] = 0
        decay[:, 40] = 0.8
        rooms.append(entry(folder / f"rooms/r{i}.flac", decay.astype(np.float32).clip(-1, 1)))
    return {"folder": folder, "speech": utterances, "noise": noises, "rooms": rooms}


@pytest.fixture
def store(tmp_path):
    return DecodedAudioCache(tmp_path / "cache")


@pytest.fixture
def run_verb():
    """A verb of `stillwave data`: its output, after its exit code was looked at."""
    import typer
    from typer.testing import CliRunner

    from stillwave.cli import data, guard

    app = typer.Typer()
    for command in data.app.registered_commands:
        app.command(command.name)(guard(command.callback))

    def invoke(*arguments, code=0):
        result = CliRunner().invoke(app, [str(argument) for argument in arguments])
        assert result.exit_code == code, result.output + str(result.exception)
        return result.output if code else result.stdout

    return invoke
