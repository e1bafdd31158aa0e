"""The root command: the table of verbs, and how faults end."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

import stillwave
from stillwave.cli import GROUPS, VERBS, build, guard
from stillwave.errors import StillwaveError

RUNNER = CliRunner()


def end(error: BaseException) -> tuple[int, str]:
    """Exit code and stderr of a verb that raises."""
    app = typer.Typer()

    def verb() -> None:
        raise error

    app.command()(guard(verb))
    result = RUNNER.invoke(app)
    return result.exit_code, " ".join(result.stderr.split())


def test_the_version() -> None:
    result = RUNNER.invoke(build(), ["--version"])
    assert result.output.strip() == f"stillwave {stillwave.__version__}"


def test_help_lists_every_command_and_each_shows_an_example() -> None:
    listed = RUNNER.invoke(build(), ["--help"]).output
    for verb in (*VERBS, *GROUPS):
        assert verb in listed
    for verb in VERBS:
        shown = RUNNER.invoke(build(), [verb, "--help"]).output
        assert "Example:" in shown, verb
        assert f"stillwave {verb}" in shown, verb


@pytest.mark.parametrize("group", GROUPS)
def test_sub_commands_show_examples(group: str) -> None:
    for command in __import__(f"stillwave.cli.{group}", fromlist=["app"]).app.registered_commands:
        name = command.name or command.callback.__name__
        assert "Example:" in RUNNER.invoke(build(), [group, name, "--help"]).output, name


def test_errors_that_a_user_can_correct_are_single_sentences() -> None:
    assert end(StillwaveError("a.wav: is [empty]")) == (2, "error: a.wav: is [empty]")


def test_ctrl_c_while_the_command_starts_is_one_sentence() -> None:
    """As `python -m stillwave`, interrupted by the import of typer, which the command line begins with."""
    code = """
import importlib.abc, runpy, sys
class Interrupt(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name == "typer":
            raise KeyboardInterrupt
sys.meta_path.insert(0, Interrupt())
runpy.run_module("stillwave", run_name="__main__")
"""
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (130, "error: interrupted before any work\n")


def test_the_installed_command_is_that_of_the_module() -> None:
    text = Path(__file__).parents[2].joinpath("pyproject.toml").read_text(encoding="utf-8")
    assert 'stillwave = "stillwave.__main__:main"' in text


def test_a_full_disk_names_the_file() -> None:
    assert end(OSError(28, "No space left on device", "out.wav")) == (
        2,
        "error: out.wav: No space left on device",
    )


def test_a_missing_package_names_its_extra() -> None:
    code, message = end(ModuleNotFoundError("No module named 'pesq'", name="pesq"))
    assert (code, "stillwave[eval]" in message) == (2, True)


def test_an_unknown_missing_module_is_an_internal_error() -> None:
    app = typer.Typer()

    def verb() -> None:
        raise ModuleNotFoundError("No module named 'nowhere'", name="nowhere")

    app.command()(guard(verb))
    assert isinstance(RUNNER.invoke(app).exception, ModuleNotFoundError)


def test_ctrl_c_and_a_closed_pipe() -> None:
    assert end(KeyboardInterrupt())[0] == 130
    assert end(BrokenPipeError()) == (141, "")


def openmp(settings: dict[str, str]) -> str:
    """Return the settings that GNU OpenMP prints when a command loads PyTorch."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("OMP_", "GOMP_"))}
    command = [sys.executable, "-m", "stillwave", "methods"]
    environment = {**kept, "OMP_DISPLAY_ENV": "verbose", **settings}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stderr


def test_the_spin_count_of_openmp_is_limited() -> None:
    environment = openmp({})
    if "GOMP_SPINCOUNT" not in environment:
        pytest.skip("this PyTorch has another OpenMP")
    assert "GOMP_SPINCOUNT = '10000'" in environment


@pytest.mark.slow
@pytest.mark.parametrize("name", ["GOMP_SPINCOUNT", "OMP_WAIT_POLICY"])
def test_the_spin_count_of_openmp_can_be_set(name: str) -> None:
    environment = openmp({name: {"GOMP_SPINCOUNT": "77", "OMP_WAIT_POLICY": "active"}[name]})
    if "GOMP_SPINCOUNT" not in environment:
        pytest.skip("this PyTorch has another OpenMP")
    assert "GOMP_SPINCOUNT = '10000'" not in environment
