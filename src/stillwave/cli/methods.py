"""`stillwave methods`: list the distillation methods and their variants."""

from __future__ import annotations

import json
from typing import Any

import typer

from stillwave.cli.options import AsJson
from stillwave.cli.pipes import print_json


def methods(as_json: AsJson = False) -> None:
    """List the distillation methods and their variants.

    Example:
        stillwave methods
        stillwave methods --json

    """
    found = _listed()
    if as_json:
        print_json(found)
        return
    width = max(len(entry["name"]) for entry in found)
    for entry in found:
        typer.echo(f"{entry['name']:{width}}  {entry['title']}")


def _listed() -> list[dict[str, Any]]:
    """Return the methods in the order of the documentation, plug-ins last, each followed by its variants."""
    from stillwave.compare.names import display
    from stillwave.distill import METHODS
    from stillwave.schema.methods import METHOD_CONFIGS, VARIANTS

    names = [name for name in METHOD_CONFIGS if name in METHODS] + [
        n for n in METHODS if n not in METHOD_CONFIGS
    ]
    listed: list[dict[str, Any]] = []
    for name in names:
        options = METHODS[name].Config.model_construct().model_dump(mode="json", exclude={"name"})
        entry = {"name": name, "display": display(name, {"name": name}), "title": METHODS[name].title}
        listed.append({**entry, "options": options})
        for variant, section in VARIANTS.items():
            if section["name"] == name:
                own = {key: value for key, value in section.items() if key != "name"}
                shown = ", ".join(f"{key}: {json.dumps(value)}" for key, value in own.items())
                entry = {
                    "name": variant,
                    "display": display(variant, section),
                    "title": f"{name} with {shown}",
                }
                listed.append({**entry, "variant_of": name, "options": own})
    return listed
