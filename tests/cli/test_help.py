"""Help pages: every argument and option is explained in a sentence, and one with a unit states it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import typer

from stillwave.cli import build

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


def test_options_whose_default_is_elsewhere_name_it() -> None:
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
