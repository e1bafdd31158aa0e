"""The files of the page: what they name exists, and nothing is inline or from outside."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

import stillwave

STATIC = Path(stillwave.__file__).parent / "web" / "static"
PACKAGE = Path(__file__).parents[2] / "packages" / "stillwave-web"
SCRIPTS = sorted(path for path in STATIC.rglob("*.js") if "vendor" not in path.parts)
PAGE = (STATIC / "index.html").read_text(encoding="utf-8")


def test_the_page_refers_to_files_that_exist() -> None:
    found = re.findall(r'(?:src|href)="(?!#)([^"]+)"', PAGE)
    assert len(found) >= 5
    assert [name for name in found if not (STATIC.parent / name).is_file()] == []


def test_the_page_has_no_inline_script_or_style() -> None:
    assert re.findall(r"<script(?![^>]*\ssrc=)|<style|\sstyle=|\son\w+=", PAGE) == []


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: str(path.relative_to(STATIC)))
def test_scripts_import_and_start_files_that_exist(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    names = re.findall(r'(?:from|import\() ?"([^"]+)"', text)
    names += [name for name in re.findall(r'new URL\("([^"]+)"', text) if name.endswith(".js")]
    assert [name for name in names if not (path.parent / name).resolve().is_file()] == []
    assert all(name.startswith(".") for name in names)


@pytest.mark.parametrize("path", [*SCRIPTS, *sorted(STATIC.glob("css/*.css"))], ids=lambda path: path.name)
def test_nothing_is_loaded_from_outside(path: Path) -> None:
    assert re.findall(r"https?://(?!localhost)|@import|@font-face", path.read_text(encoding="utf-8")) == []


@pytest.mark.skipif(not PACKAGE.is_dir(), reason="not in a checkout")
def test_the_lock_file_pins_by_hash_what_is_vendored() -> None:
    lock = json.loads((PACKAGE / "package-lock.json").read_text(encoding="utf-8"))["packages"]
    assets = json.loads((PACKAGE / "tools" / "assets.json").read_text(encoding="utf-8"))
    assert lock["node_modules/onnxruntime-web"]["version"] == assets["onnxruntime-web"]
    assert [name for name, entry in lock.items() if name and not entry.get("integrity")] == []
    assert all(re.fullmatch("[0-9a-f]{64}", digest) for digest in assets["sha256"].values())
    manifest = json.loads((PACKAGE / "package.json").read_text(encoding="utf-8"))
    assert manifest["dependencies"]["onnxruntime-web"] == assets["onnxruntime-web"]
    assert manifest["version"] == stillwave.__version__
