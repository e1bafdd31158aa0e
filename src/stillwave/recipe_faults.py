"""Describe errors in a recipe: what was given and what would be right."""

from __future__ import annotations

import json
import types
import typing
from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel, ValidationError

from stillwave.errors import RecipeError, nearest
from stillwave.schema import Recipe

_WANTED = {
    "int_parsing": "a whole number",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_parsing": "a number",
    "float_type": "a number",
    "finite_number": "a finite number",
    "bool_parsing": "true or false",
    "bool_type": "true or false",
    "string_type": "text",
    "model_type": "a section",
    "dict_type": "a section",
    "tuple_type": "a list",
}


def _models(annotation: Any) -> list[type[BaseModel]]:
    """Return the models of a field, through unions and Annotated."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    if typing.get_origin(annotation) in (typing.Union, types.UnionType, typing.Annotated):
        return [model for part in typing.get_args(annotation) for model in _models(part)]
    return []


def _mapped(annotation: Any) -> list[type[BaseModel]]:
    """Return the models of a `dict[str, model]` field."""
    if typing.get_origin(annotation) is dict:
        return _models(typing.get_args(annotation)[1])
    return [model for part in typing.get_args(annotation) for model in _mapped(part)]


def _listed(annotation: Any) -> list[type[BaseModel]]:
    """Return the models of a `tuple[model, ...]` field."""
    if typing.get_origin(annotation) is tuple:
        return _models(typing.get_args(annotation)[0])
    return [model for part in typing.get_args(annotation) for model in _listed(part)]


def check_key(key: str) -> None:
    """Raise RecipeError for an override of an unknown key."""
    models: list[type[BaseModel]] = [Recipe]
    done: list[str] = []
    for part in key.split("."):
        if not models:
            return  # within taps, or below a value: checked with the whole recipe
        known = {name: field for model in models for name, field in model.model_fields.items()}
        if part not in known:
            dotted = ".".join([*done, part])
            raise RecipeError(f"--set {key}: {dotted} is not a key; {nearest(part, known)}")
        models = _models(known[part].annotation)
        done.append(part)


def unknown_keys(data: dict[str, Any], model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    """Yield errors for unknown keys, and for true or false instead of a number (pydantic would read 1)."""
    for key, value in list(data.items()):
        dotted = f"{prefix}{key}"
        if key not in model.model_fields:
            yield f"{dotted} is not a key; {nearest(str(key), model.model_fields)}"
            continue
        annotation = model.model_fields[key].annotation
        inner = _models(annotation)
        if inner and value is None and type(None) not in typing.get_args(annotation):
            data[key] = {}  # a section whose lines are all commented out
        elif inner and isinstance(value, dict):
            yield from unknown_keys(value, _member(inner, value), f"{dotted}.")
        elif isinstance(value, dict):
            for name, entry in value.items():  # a mapping of sections, such as taps
                for member in _mapped(annotation) if isinstance(entry, dict) else ():
                    yield from unknown_keys(entry, member, f"{dotted}.{name}.")
        elif isinstance(value, list):
            for place, entry in enumerate(value):
                for member in _listed(annotation) if isinstance(entry, dict) else ():
                    yield from unknown_keys(entry, member, f"{dotted}.{place}.")
        elif isinstance(value, bool) and not _takes_bool(annotation):
            yield f"{dotted} is {json.dumps(value)}; it must be {_wanted_type(annotation)}"


def _member(models: list[type[BaseModel]], section: dict[str, Any]) -> type[BaseModel]:
    """Return the member of a union that a section is for: by its `name`, if they have one, else by its keys."""
    if all("name" in model.model_fields for model in models):
        named = [model for model in models if model.model_fields["name"].default == section.get("name")]
        return named[0] if named else models[0]
    return max(models, key=lambda model: len(model.model_fields.keys() & section.keys()))


def _takes_bool(annotation: Any) -> bool:
    return annotation is bool or any(_takes_bool(part) for part in typing.get_args(annotation))


def _wanted_type(annotation: Any) -> str:
    if typing.get_origin(annotation) is typing.Annotated:
        return _wanted_type(typing.get_args(annotation)[0])
    return {int: "a whole number", float: "a number", str: "text"}.get(annotation, "another kind of value")


def explain(error: ValidationError, data: dict[str, Any]) -> Iterator[str]:
    """Yield one sentence for each wrong key; the alternatives of a union are joined by "or"."""
    found: dict[str, tuple[Any, list[Any]]] = {}
    for fault in error.errors():
        dotted, value = _follow(fault, data)
        found.setdefault(dotted, (value, []))[1].append(fault)
    for dotted, (value, faults) in found.items():
        if any(other.startswith(f"{dotted}.") for other in found):
            continue  # a union's "must be text" for a section whose errors are reported
        kind = faults[0]["type"]
        if kind == "missing":
            yield f"{dotted} is missing"
        elif kind == "value_error":
            yield f"{dotted + ': ' if dotted else ''}{faults[0]['ctx']['error']}"
        else:
            yield f"{dotted} is {_show(value)}; it must be {' or '.join(dict.fromkeys(map(_should, faults)))}"


def _should(fault: Any) -> str:
    kind, context = fault["type"], fault.get("ctx", {})
    if kind in _WANTED:
        return _WANTED[kind]
    if kind in ("literal_error", "enum"):
        return str(context["expected"])
    if kind in ("too_long", "too_short"):
        if "max_length" not in context:
            return f"a list of {context['min_length']} or more"
        return f"a list of {context['max_length']}"
    return str(fault["msg"]).removeprefix("Input should be ")


def _follow(fault: Any, data: Any) -> tuple[str, Any]:
    """Return dotted key and value of an error, without the names of union members that pydantic adds."""
    keys: list[str] = []
    *path, last = fault["loc"] or ("",)
    for part in [*path, last]:
        if (isinstance(data, dict) and part in data) or (isinstance(data, list) and isinstance(part, int)):
            data = data[part]
        elif not (fault["type"] == "missing" and part is last):
            continue
        keys.append(str(part))
    return ".".join(keys), data


def _show(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 60 else text[:57] + "…"
