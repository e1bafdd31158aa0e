"""A folder with mixtures and a module of systems, in which the tests run."""

from __future__ import annotations

from pathlib import Path

import arena_systems
import pytest


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("arena")
    arena_systems.module(folder)
    arena_systems.mixtures(folder / "mixtures")
    return folder


@pytest.fixture(autouse=True)
def _here(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place)
