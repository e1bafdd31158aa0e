"""Read recipes: YAML to a frozen `schema.Recipe`; errors name file and dotted key.

    recipe = load("distill-student.yaml", ["train.steps=200", "model=dpdcrn-student"])

The text is parsed (without YAML objects and duplicate keys), overrides are set, and the result is checked against the
schema. Relative paths in a recipe are relative to the working directory.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from stillwave.errors import RecipeError, nearest
from stillwave.files import as_path
from stillwave.recipe_faults import check_key, explain, unknown_keys
from stillwave.schema import MODEL_KEYS, PRESETS, Recipe
from stillwave.schema.base import renamed
from stillwave.schema.data import MIXING_KEYS
from stillwave.schema.methods import METHOD_CONFIGS, VARIANTS, method_section

FREE_KEYS = (
    *("data.workers", "data.cache", "train.device", "train.threads", "train.tensorboard"),
    *(
        "distill.cache",
        "distill.cache_gb",
        "distill.teacher_timeout",
        "train.max_bad_batches",
        "train.max_bad_files",
    ),
)
"""Keys that may differ between sessions of a run, because they do not change its result."""

_RENAMED = {"model": MODEL_KEYS, "data.mixing": MIXING_KEYS}
"""Sections with keys of earlier versions, and the names of these now."""


def load(
    path: Path | str,
    overrides: Sequence[str] = (),
    *,
    teacher: str | None = None,
    teacher_command: str | None = None,
) -> Recipe:
    """Read a recipe.

    `path`: a YAML file, or the name of a shipped recipe. `teacher`: the value of `distill.teacher`; refused if the
    recipe has no `distill` section; likewise `teacher_command`, which replaces it.
    Raises RecipeError if a file, key or value is wrong.
    """
    file = locate(path)
    try:
        text = file.read_text(encoding="utf-8")
    except OSError as error:
        raise RecipeError(f"{file}: cannot be read ({error.strerror or error})") from None
    except UnicodeDecodeError:
        raise RecipeError(f"{file}: is not UTF-8 text; a recipe is a YAML file") from None
    return loads(text, overrides, teacher=teacher, teacher_command=teacher_command, name=file.name)


def loads(
    text: str,
    overrides: Sequence[str] = (),
    *,
    teacher: str | None = None,
    teacher_command: str | None = None,
    name: str = "recipe",
) -> Recipe:
    """Read a recipe from YAML text, as `load`; `name` replaces the file name in messages."""
    data = _parse(text, name)
    _expand(data, name)
    for override in overrides:
        _override(data, override)
        _expand(data, name)  # each time, because the next override may change an option of this one's method
    if teacher is not None and teacher_command is not None:
        raise RecipeError("--teacher and --teacher-command are both given; give one")
    if teacher is not None or teacher_command is not None:
        if not isinstance(data.get("distill"), dict):
            raise RecipeError(
                f"{name}: has no 'distill' section, so it takes no teacher: use `stillwave train`"
            )
        data["distill"] |= {"teacher": teacher or "", "teacher_command": teacher_command, "teachers": []}
    data = _expand_home(data)
    faults = [f"{name}: {fault}" for fault in unknown_keys(data, Recipe)]
    if faults:
        raise RecipeError("\n".join(faults))
    try:
        return Recipe.model_validate(data)
    except ValidationError as error:
        raise RecipeError("\n".join(f"{name}: {line}" for line in explain(error, data))) from None


def _expand_home(value: Any) -> Any:
    """Replace a leading `~/` in strings by the home folder."""
    if isinstance(value, dict):
        return {key: _expand_home(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_expand_home(item) for item in value]
    return str(as_path(value)) if isinstance(value, str) and value.startswith("~/") else value


def dump(recipe: Recipe) -> str:
    """Return the complete recipe as YAML; `loads(dump(r)) == r`."""
    return yaml.safe_dump(recipe.model_dump(mode="json"), sort_keys=False, allow_unicode=True, width=100)


def differences(one: Recipe, other: Recipe) -> list[str]:
    """Return the dotted keys in which two recipes differ, except `FREE_KEYS`."""
    a, b = dict(_leaves(one.model_dump(mode="json"))), dict(_leaves(other.model_dump(mode="json")))
    missing = object()
    keys = [key for key in {**a, **b} if a.get(key, missing) != b.get(key, missing)]
    return [key for key in keys if key not in FREE_KEYS]


@cache
def shipped() -> dict[str, Path]:
    """Return the recipes of the package, by name."""
    folder = Path(__file__).parent / "recipes"
    return dict(sorted((file.stem, file) for file in folder.glob("*.yaml")))


def locate(name: Path | str) -> Path:
    """Return the file of a recipe, given its path or the name of a shipped recipe. Raise RecipeError."""
    path = Path(name)
    if path.is_dir():
        raise RecipeError(f"{path}: is a folder; a recipe is a YAML file")
    if path.exists():
        return path
    known = shipped()
    if str(name) in known:
        return known[str(name)]
    raise RecipeError(f"{name}: no such file, nor a shipped recipe; {nearest(path.stem, known)}")


def summary(path: Path) -> str:
    """Return the first paragraph of a recipe's comments, as one line."""
    found = []
    for line in path.read_text(encoding="utf-8").splitlines():
        text = line.removeprefix("#").strip()
        if not (line.startswith("#") and text):
            break
        found.append(text)
    return " ".join(found)


# --- text → plain data ------------------------------------------------------------------------------------


class _Loader(yaml.SafeLoader):
    """YAML's safe subset, with `1e-3` as a number (as in YAML 1.2) and without duplicate keys."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if key.value in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"'{key.value}' is given twice", key.start_mark
                )
            if isinstance(key, yaml.ScalarNode):
                seen.add(key.value)
        return super().construct_mapping(node, deep)


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?[0-9]+(\.[0-9]*)?[eE][-+]?[0-9]+$"), list("-+0123456789")
)


def _parse(text: str, name: str) -> dict[str, Any]:
    try:
        data = yaml.load(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f", line {mark.line + 1}" if mark else ""
        raise RecipeError(f"{name}{where}: {error.problem or 'is not YAML'}") from None
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise RecipeError(f"{name}: is not YAML ({str(error).splitlines()[0]})") from None
    if not isinstance(data, dict):
        raise RecipeError(f"{name}: is {_kind(data)}; a recipe is a mapping with a 'data' section")
    return data


def _expand(data: dict[str, Any], name: str) -> None:
    """Replace names of presets, methods and variants by their sections, and former keys by their new names."""
    model = data.get("model")
    if isinstance(model, str):
        if model not in PRESETS:
            raise RecipeError(f"{name}: model: '{model}' is not a preset; {nearest(model, PRESETS)}")
        data["model"] = PRESETS[model].model_dump(
            exclude_unset=True
        )  # overrides may change the other defaults
    _rename(data)
    distill = data.get("distill")
    if isinstance(distill, dict) and distill.get("method") is not None:
        method = distill["method"] = method_section(distill["method"])
        if isinstance(method, dict) and method["name"] not in METHOD_CONFIGS:
            known = nearest(str(method["name"]), [*METHOD_CONFIGS, *VARIANTS])
            raise RecipeError(f"{name}: distill.method: '{method['name']}' is not a method; {known}")


def _rename(data: dict[str, Any]) -> None:
    """Rename keys of earlier versions, in place."""
    for parent, name, names in ((data, "model", MODEL_KEYS), (data.get("data"), "mixing", MIXING_KEYS)):
        if isinstance(parent, dict) and isinstance(parent.get(name), dict):
            parent[name] = renamed(parent[name], names)


def _override(data: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    key = key.strip()
    if not equals or not key:
        raise RecipeError(f"--set {override}: write KEY=VALUE, as in --set train.steps=200")
    dotted, dot, name = key.rpartition(".")
    key = f"{dotted}{dot}{_RENAMED.get(dotted, {}).get(name, name)}"
    check_key(key)
    try:
        value = yaml.load(text, Loader=_Loader)
    except yaml.YAMLError:
        raise RecipeError(f"--set {override}: the value is not YAML; put it in quotes") from None
    *parents, last = key.split(".")
    section = data
    for parent in parents:
        if not isinstance(section.get(parent), dict):
            section[parent] = {}
        section = section[parent]
    section[last] = value


def _kind(value: Any) -> str:
    return "empty" if value is None else "a list" if isinstance(value, list) else "plain text"


def _leaves(data: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(data, dict) and data:
        for key, value in data.items():
            yield from _leaves(value, f"{prefix}.{key}" if prefix else str(key))
    else:
        yield prefix, data
