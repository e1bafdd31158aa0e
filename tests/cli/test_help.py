"""Help pages: every argument and option is explained in a sentence, and one with a unit states it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from stillwave.cli import PANELS, build
from stillwave.cli.complete import complete_model, complete_network, complete_recipe

UNITS = {
    "seconds": "second",
    "ms": "millisecond",
    "rate": "Hz",
    "db": "dB",
    "minutes": "minute",
    "rt60": "second",
}


def commands(command: Any, name: str) -> Iterator[tuple[str, Any]]:
    verbs = getattr(command, "commands", None)
    if verbs is None:
        yield name, command
    for verb, sub in (verbs or {}).items():
        yield from commands(sub, f"{name} {verb}")


COMMANDS = dict(commands(typer.main.get_command(build()), "stillwave"))


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_is_a_sentence_with_its_unit(name: str) -> None:
    for option in COMMANDS[name].params:
        if option.name == "help":
            continue
        text = option.help or ""
        assert text[:1].isupper(), (option.name, text)
        assert text.endswith("."), (option.name, text)
        assert len(text.split()) > 2, (option.name, text)
        for part, unit in UNITS.items():
            if f"_{option.name}".endswith(f"_{part}"):
                assert unit in text, (option.name, text)


def test_panels_list_every_command_in_order() -> None:
    listed = list(typer.main.get_command(build()).commands.values())
    assert listed[0].name == "enhance"
    shown = {command.name: command.rich_help_panel for command in listed if not command.hidden}
    assert shown == {verb: panel for panel, verbs in PANELS.items() for verb in verbs}


@pytest.mark.parametrize("name", COMMANDS)
def test_one_option_has_one_name_everywhere(name: str) -> None:
    spelled = {option.name: option.opts for option in COMMANDS[name].params}
    for option, opts in {
        "output": ["--output", "-o"],
        "jobs": ["--jobs", "-j"],
        "quiet": ["--quiet", "-q"],
        "as_json": ["--json"],
        "overwrite": ["--overwrite"],
        "overrides": ["--set"],
    }.items():
        assert spelled.get(option, opts) == opts
    known = {opt: option for option, opts in spelled.items() for opt in opts}
    assert not {"--out", "--force", "--engine", "--engines"} & known.keys()
    assert known.get("--set", "overrides") == "overrides"


def test_a_short_option_has_one_long_name() -> None:
    spelled: dict[str, set[str]] = {}
    for command in COMMANDS.values():
        for option in command.params:
            names = {name for name in option.opts if name.startswith("--")}
            for short in {name for name in option.opts if name.startswith("-")} - names:
                spelled.setdefault(short, set()).update(names)
    assert {"-o", "-n"} <= spelled.keys()
    assert {short: names for short, names in spelled.items() if len(names) != 1} == {}


def test_help_names_no_python_types() -> None:
    for name in ("enhance", "evaluate", "data simulate"):
        shown = CliRunner().invoke(build(), [*name.split(), "--help"]).output
        for word in ("<bool>", "<int", "<path>", "<str>", "<float"):
            assert word not in shown, (name, word)


@pytest.mark.parametrize(
    "line",
    [
        "evaluate --on test --out scores",
        "evaluate --on test --out=scores",
        "submission out --inputs data --team us --out there",
        "compare -o grid --engine ray --report-only",
        "latency --engines onnx",
        "data mix small-teacher -o there --force",
        "data simulate -o sim --speech s --noise n --set dev",
        "recipes cp small-teacher there --force",
        "distill small-student --check",
        "distill --explain run",
        "info bsrnn-s",
    ],
)
def test_former_names_are_understood(line: str) -> None:
    words, current = line.split(), typer.main.get_command(build())
    while getattr(current, "commands", None):
        current = current.commands[words.pop(0)]
    context = current.make_context(current.name, words)
    if "--set" in line:
        assert context.params["subset"] == "dev"


def test_names_complete_in_the_shell() -> None:
    assert complete_model("bsrnn-s") == ["bsrnn-s", "bsrnn-s-int8"]
    assert "dpdcrn-xs" in complete_network("dpdcrn")
    assert complete_recipe("small") == ["small-student", "small-teacher"]
    result = CliRunner().invoke(
        build(),
        [],
        prog_name="stillwave",
        env={
            "_STILLWAVE_COMPLETE": "complete_bash",
            "COMP_WORDS": "stillwave enhance -m bsrnn-s",
            "COMP_CWORD": "3",
        },
    )
    assert result.stdout.split() == ["bsrnn-s", "bsrnn-s-int8"]


def test_options_state_where_their_default_comes_from() -> None:
    for name, option in (
        ("data mix", "seed"),
        ("compare", "teacher"),
        ("compare", "students"),
        ("enhance", "jobs"),
        ("evaluate", "jobs"),
        ("live", "rate"),
    ):
        (found,) = (one for one in COMMANDS[f"stillwave {name}"].params if one.name == option)
        assert "default" in found.help, (name, option)
