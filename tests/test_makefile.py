"""The Makefile's variables: where PyTorch comes from, and how many processes run tests."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="needs make")


def commands(target: str, *variables: str) -> list[str]:
    """What `make` would run, from nothing."""
    run = subprocess.run(
        ["make", "--dry-run", "--always-make", "--no-print-directory", target, "VENV=absent", *variables],
        cwd=ROOT, capture_output=True, text=True, check=True, env={"PATH": "/usr/bin:/bin"},
    )  # fmt: skip
    return run.stdout.splitlines()


def installs(lines: list[str]) -> list[str]:
    return [line for line in lines if "pip install" in line]


@pytest.mark.parametrize("target", ["quickstart", "test"])
def test_torch_comes_first_and_from_the_index_that_is_given(target) -> None:
    first, *others = installs(commands(target, "TORCH_INDEX=https://index.example/cpu"))
    assert first.endswith("--no-deps --index-url 'https://index.example/cpu' torch")
    assert "-c requirements/dev.lock" in first
    assert others == installs(commands(target))
    assert not [line for line in others if "--index-url" in line]


def test_tests_run_in_as_many_processes_as_there_are_cores_or_as_asked() -> None:
    assert any("-m pytest -n auto --maxprocesses" in line for line in commands("test"))
    assert any("-m pytest -n 0 " in line for line in commands("test", "JOBS=0"))


def test_only_coverage_is_slowed_by_measuring_it() -> None:
    assert not [line for line in commands("test") if "--cov" in line]
    assert [line for line in commands("coverage") if "--cov-fail-under=90" in line]


def test_help_names_the_variables() -> None:
    text = "\n".join(commands("help"))
    assert "TORCH_INDEX=URL" in text
    assert "JOBS=N" in text
