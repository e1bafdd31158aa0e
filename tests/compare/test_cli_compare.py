"""`stillwave compare` and `stillwave methods` as their users meet them."""

import json

import pytest
import typer
from small_grid import here
from typer.testing import CliRunner

from stillwave.cli import VERBS, guard
from stillwave.cli.compare import compare
from stillwave.cli.methods import methods
from stillwave.compare import executors
from stillwave.compare.executors import JobResult
from stillwave.compare.grid import read
from stillwave.compare.results import collect
from stillwave.compare.tables import terminal
from stillwave.distill import METHODS
from stillwave.schema.methods import VARIANTS


def call(verb, *arguments):
    app = typer.Typer()
    app.command()(guard(verb))
    return CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=False)


@pytest.fixture(autouse=True)
def without_processes(monkeypatch):
    monkeypatch.setitem(executors.EXECUTORS, "joblib", here)


@pytest.fixture
def command(world, tmp_path):
    def run(*arguments, grid="grid"):
        start = [world / "recipe.yaml", "--on", world / "test", "-o", tmp_path / grid, "--quiet"]
        return call(compare, *start, "--seeds", "0", "--methods", "at", "--metrics", "si_sdr", *arguments)

    return run


def test_a_comparison_prints_a_table_and_can_be_reported_again(command, tmp_path):
    first = command()
    assert first.exit_code == 0, first.stderr
    assert first.stdout.startswith("# Comparison of distillation methods")
    assert "| AT |" in first.stdout
    assert str(tmp_path / "grid/report") in first.stderr.replace("\n", "")
    again = call(compare, "--report-only", "-o", tmp_path / "grid", "--json")
    assert again.exit_code == 0, again.stderr
    plain = json.loads(again.stdout)
    assert [row["name"] for row in plain["students"]["8x1"]] == ["noisy", "teacher", "none", "at"]


def test_the_teacher_option_overrides_the_recipe(command, world, tmp_path):
    result = command("--teacher", world / "other-teacher")
    assert result.exit_code == 0, result.stderr
    refused = command()
    assert refused.exit_code == 2
    assert "a grid with a different teacher" in refused.stderr


def test_failed_cells_are_reported_with_exit_code_1(command):
    taps = {"encoder": {"student": ["nowhere"], "teacher": ["encoder.0"]}}
    result = command("--set", f"distill.taps={json.dumps(taps)}")
    assert result.exit_code == 1
    assert "8x1 at seed 0: " in result.stderr
    assert "nowhere" in result.stderr
    assert "student alone" in result.stdout, "what was done is reported"


def test_if_every_cell_fails_the_reasons_are_printed(command, monkeypatch):
    def full(jobs, at_once, stop):
        yield from (JobResult(job.folder, "failed", "no space left") for job in jobs)

    monkeypatch.setitem(executors.EXECUTORS, "joblib", full)
    result = command()
    assert result.exit_code == 1
    assert "8x1 at seed 0: no space left" in result.stderr
    assert "no cell is finished" in result.stderr


def test_an_interruption_says_how_to_resume(command, monkeypatch):
    monkeypatch.setitem(
        executors.EXECUTORS,
        "joblib",
        lambda jobs, *_: iter([JobResult(job.folder, "stopped") for job in jobs]),
    )
    result = command()
    assert result.exit_code == 130
    assert "stopped, 4 cells remain; the same command resumes" in " ".join(result.stderr.split())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--executor", "rey"], "--executor rey: did you mean 'ray'?"),
        (["--methods", "att"], "there is no method 'att'"),
        (["--metrics", "pesq"], "pesq"),
        (["--seeds", "x"], "--seeds x"),
        (["--teacher", "absent"], "absent: no such folder"),
        (["--set", "distill=null"], "no methods to compare"),
        (["--on", "absent"], "absent: there is no such folder"),
    ],
)
def test_invalid_options_are_refused_before_anything_is_written(command, tmp_path, arguments, message):
    result = command(*arguments)
    assert result.exit_code == 2
    assert message in " ".join(result.stderr.split())
    assert "Traceback" not in result.stderr
    assert not (tmp_path / "grid").exists()


def test_a_report_needs_a_grid_and_a_grid_needs_a_recipe(tmp_path):
    result = call(compare, "--report-only", "-o", tmp_path)
    assert result.exit_code == 2
    assert "is not the folder of a grid" in result.stderr
    assert "give RECIPE and --on" in " ".join(call(compare, "-o", tmp_path / "grid").stderr.split())


def test_a_terminal_gets_a_table(command, tmp_path, capsys):
    assert command().exit_code == 0
    terminal(collect(read(tmp_path / "grid")))
    shown = capsys.readouterr().out
    assert "student 8x1" in shown
    assert "student alone" in shown
    assert "SI-SDR: " in shown


def test_methods_are_listed_with_one_line_each():
    result = call(methods)
    assert result.exit_code == 0
    names = [line.split()[0] for line in result.stdout.splitlines()]
    assert set(names) == {*METHODS, *VARIANTS}
    assert names[0] == "none"
    assert all(len(line.split(maxsplit=1)) == 2 for line in result.stdout.splitlines())


def test_methods_as_json_have_their_options():
    found = {entry["name"]: entry for entry in json.loads(call(methods, "--json").stdout)}
    assert found["at"]["options"]["power"] == 2.0
    assert found["i2srf_tfckd-uniform"]["variant_of"] == "i2srf_tfckd"
    assert found["i2srf_tfckd-uniform"]["options"] == {"calibration": False}
    assert found["dfkd"]["display"] == "DFKD-style"


def test_compare_and_methods_are_commands():
    assert {"compare", "methods"} <= set(VERBS)
