"""The page of benchmarks contains what `all.py` wrote, by commands that it runs again."""

from __future__ import annotations

import os
import re
import shutil
import sys
from pathlib import Path

import pytest

import all as benchmarks

COMMAND = re.compile(r"`(?:taskset -c \d+ )?python benchmarks/(\w+)\.py ?([^`]*)`, (\d{4}-\d{2}-\d{2})\b")
SECTIONS = {section.title: section for section in benchmarks.SECTIONS}
"""By heading; none is given twice."""


def test_the_page_has_the_sections_of_the_script_in_its_order() -> None:
    assert len(SECTIONS) == len(benchmarks.SECTIONS)
    assert list(benchmarks._read()) == [title for title in SECTIONS if title in benchmarks._read()]
    assert benchmarks.PAGE.read_text(encoding="utf-8").startswith(benchmarks.INTRO)


@pytest.mark.parametrize("title", list(benchmarks._read()))
def test_a_section_states_its_command_and_date(title: str) -> None:
    found = COMMAND.match(benchmarks._read()[title])
    assert found, f"{title}: the first line is not a command of a benchmark and a date"
    script, arguments, _ = found.groups()
    assert script == SECTIONS[title].script
    assert arguments.startswith(SECTIONS[title].arguments), "an option after -- may follow"


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with one benchmark of two sections, and a page that also has a section of another kind."""
    (tmp_path / "benchmarks").mkdir()
    (tmp_path / "benchmarks" / "echo.py").write_text("import sys\nprint('# Part\\n', *sys.argv[1:])\n")
    page = tmp_path / "page.md"
    page.write_text("# Old\n\n## By hand\n\ntext\n\n## Second\n\nkept\n")
    sections = (
        benchmarks.Section("First", "echo", "AUDIO/test AUDIOS"),
        benchmarks.Section("Second", "echo", several_cores=True),
    )
    for name, value in (("ROOT", tmp_path), ("PAGE", page), ("SECTIONS", sections)):
        monkeypatch.setattr(benchmarks, name, value)
    monkeypatch.chdir(tmp_path)
    return page


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> None:
    monkeypatch.setattr(sys, "argv", ["all.py", *arguments])
    benchmarks.main()


def test_one_section_is_written_and_others_are_kept(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(monkeypatch, "--only", "First", "--audio", "sounds", "--", "--turns", "3")
    shown, body = place.read_text().partition("## First\n\n")[2].split("\n\n", 1)
    assert COMMAND.match(shown), shown
    assert "`python benchmarks/echo.py AUDIO/test AUDIOS --turns 3`, " in shown
    assert body.startswith(f"### Part\n {place.parent}/sounds/test AUDIOS --turns 3\n\n## Second\n\nkept")
    assert "By hand" not in place.read_text()


@pytest.mark.skipif(not shutil.which("taskset"), reason="no taskset")
def test_the_core_is_shown_where_it_applies(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    core = str(min(os.sched_getaffinity(0)))
    run(monkeypatch, "--audio", "sounds", "--core", core)
    found = benchmarks._read()
    assert found["First"].startswith(f"`taskset -c {core} python benchmarks/echo.py AUDIO/test AUDIOS`")
    assert found["Second"].startswith("`python benchmarks/echo.py`")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--only", "none"], "--only none: no such section; one of First, Second, echo"),
        (["--only", "First"], "First: needs AUDIO; give --audio AUDIO"),
        (["--only", "echo", "--", "--turns"], "--turns: options after -- are for one section"),
    ],
)
def test_a_wrong_option_is_named(
    place: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    message: str,
) -> None:
    before = place.read_text()
    with pytest.raises(SystemExit) as error:
        run(monkeypatch, *arguments)
    assert message in f"{error.value.code}\n{capsys.readouterr().err}"
    assert place.read_text() == before


def test_a_failed_benchmark_leaves_the_page(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = place.read_text()
    (place.parent / "benchmarks" / "echo.py").write_text("raise SystemExit(3)\n")
    with pytest.raises(SystemExit, match=r"benchmarks/echo\.py: ended with status 3"):
        run(monkeypatch, "--only", "Second")
    assert place.read_text() == before
