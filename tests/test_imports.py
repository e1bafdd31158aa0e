"""The import contract of docs/design.md: a package imports only those before it, within functions too."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import stillwave

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "stillwave"


def order() -> list[str]:
    """Return the packages of the table in docs/design.md, row by row and from left to right."""
    text = (ROOT / "docs" / "design.md").read_text(encoding="utf-8")
    table = text.partition("## Packages")[2].partition("\n## ")[0]
    rows = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]
    return [name for row in rows for name in re.findall(r"`(\w+)`", row)]


def part(path: Path) -> str:
    """Return the package, or top-level module, of a file."""
    return path.relative_to(SOURCE).with_suffix("").parts[0]


def imports(text: str) -> Iterator[tuple[str, int]]:
    """Yield the packages of stillwave that a source imports, wherever in it, with their lines."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ImportFrom):
            module = "." * node.level + (node.module or "")
            names = [f"{module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            continue
        for name in names:
            assert not name.startswith("."), f"line {node.lineno}: relative import"
            package, *rest = name.split(".")
            if package == "stillwave" and rest:
                yield rest[0], node.lineno


def faults(packages: list[str], sources: dict[str, list[tuple[str, str]]]) -> list[str]:
    """Return the imports that go against the order; `sources`: file name and text by package."""
    found = []
    for package, files in sources.items():
        before = {package, *packages[: packages.index(package)]}
        for file, text in files:
            found += [
                f"{file}:{line}: {package} imports {other}"
                for other, line in imports(text)
                if other in packages and other not in before
            ]
    return found


def test_packages_import_only_those_before_them():
    sources: dict[str, list[tuple[str, str]]] = {}
    for path in sorted(SOURCE.rglob("*.py")):
        if path.parent != SOURCE or path.stem not in ("__init__", "__main__"):
            sources.setdefault(part(path), []).append((str(path), path.read_text(encoding="utf-8")))
    assert sorted(order()) == sorted(sources), "docs/design.md lists every package once"
    assert faults(order(), sources) == []


def test_an_import_within_a_function_is_found():
    upward = "def f():\n    from stillwave.cli import main\n    import stillwave.files\n"
    sources = {"errors": [("errors.py", upward)], "files": [("files.py", "from stillwave import errors")]}
    assert faults(["errors", "files", "cli"], sources) == [
        "errors.py:2: errors imports cli",
        "errors.py:3: errors imports files",
    ]


def test_the_public_module_imports_nothing_at_run_time():
    tree = ast.parse(Path(stillwave.__file__).read_text(encoding="utf-8"))
    direct = [node for node in tree.body if isinstance(node, ast.ImportFrom | ast.Import)]
    assert {alias.name for node in direct for alias in node.names} == {
        "annotations",
        *("importlib", "os", "TYPE_CHECKING", "Any"),
    }
