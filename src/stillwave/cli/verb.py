"""The command classes of the command line: plain help pages, and the option names of earlier releases."""

from __future__ import annotations

from collections import Counter
from typing import Any

from typer.core import TyperCommand, TyperGroup

OLD_OPTIONS = {
    "evaluate": {"--out": "--output"},
    "submission": {"--out": "--output"},
    "compare": {"--engine": "--executor"},
    "latency": {"--engines": "--backends"},
    "mix": {"--force": "--overwrite"},
    "cp": {"--force": "--overwrite"},
    "simulate": {"--set": "--subset"},
}
"""Options by their former names, which still work and are not shown."""
FEW = 8
"""A verb with fewer options shows them in one panel."""
_TYPES = {
    "bool": "",
    "int": "N",
    "int range": "N",
    "float": "X",
    "float range": "X",
    "str": "TEXT",
    "path": "PATH",
    "float,float": "LOW HIGH",
}


class Verb(TyperCommand):
    """A command whose help names values (N, PATH) instead of Python types."""

    def get_params(self, ctx: Any) -> Any:
        """Return the parameters; options of short commands, and single options, go to the first panel."""
        found = super().get_params(ctx)
        panels = Counter(
            getattr(p, "rich_help_panel", None) for p in found if not getattr(p, "hidden", False)
        )
        parameter: Any
        for parameter in found:
            _show_plainly(parameter, ctx)
            panel = getattr(parameter, "rich_help_panel", None)
            if panel and (panels.total() < FEW or panels[panel] == 1):
                parameter.rich_help_panel = None
        return found

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse `args` after replacing the former names of options."""
        old = OLD_OPTIONS.get(str(self.name), {})
        end = args.index("--") if "--" in args else len(args)
        for index, word in enumerate(args[:end]):
            name, equals, value = word.partition("=")
            if name in old:
                args[index] = f"{old[name]}{equals}{value}"
        return super().parse_args(ctx, args)

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """Return the parts of the usage line; a required argument without braces."""
        return [piece.replace("{", "").replace("}", "") for piece in super().collect_usage_pieces(ctx)]


class VerbGroup(TyperGroup):
    """A group of commands, likewise."""

    def get_params(self, ctx: Any) -> Any:
        """Return the parameters."""
        found = super().get_params(ctx)
        for parameter in found:
            _show_plainly(parameter, ctx)
        return found


def _show_plainly(parameter: Any, ctx: Any) -> None:
    """Let the help page show a word for a value and nothing for a flag."""
    if not hasattr(parameter, "display_type"):  # typer before 0.24 shows no Python types
        return
    if getattr(parameter, "param_type_name", "") == "argument":
        parameter.display_type_rich = lambda **_: ""
    elif parameter.metavar is None:
        shown = parameter.display_type(ctx).strip("<>")
        parameter.metavar = _TYPES.get(shown, shown.removeprefix("list[str").strip("[]") or "TEXT")
