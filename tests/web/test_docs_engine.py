"""The engine of the browser is part of the documentation's site where ONNX Runtime Web is installed."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HOOK = ROOT / "docs" / "hooks" / "engine.py"
if not HOOK.is_file():
    pytest.skip("not in a checkout", allow_module_level=True)


def build(tmp_path: Path, *, vendor: bool) -> Path:
    """Run the hook for a package with or without ONNX Runtime Web; return the folder in the site."""
    package = tmp_path / "stillwave"
    for name in ("web/static/engine", "pretrained/shipped", *(["web/static/vendor"] if vendor else [])):
        (package / name).mkdir(parents=True)
    (package / "web/static/engine/index.js").write_text("export {};")
    if vendor:
        (package / "web/static/vendor/ort.wasm.bundle.min.mjs").write_text("export {};")
    hook = runpy.run_path(str(HOOK))
    for name in hook["MODELS"]:
        (package / f"pretrained/shipped/{name}.onnx").write_bytes(b"\x08")
    hook["on_post_build"].__globals__["PACKAGE"] = package
    (tmp_path / "site").mkdir()
    hook["on_post_build"]({"site_dir": str(tmp_path / "site")})
    return tmp_path / "site" / "engine"


def test_engine_and_models_are_copied(tmp_path: Path) -> None:
    engine = build(tmp_path, vendor=True)
    files = {str(path.relative_to(engine)) for path in engine.rglob("*") if path.is_file()}
    assert files == {
        "index.js",
        str(Path("vendor/ort.wasm.bundle.min.mjs")),
        str(Path("models/bsrnn-m.onnx")),
        str(Path("models/bsrnn-xs.onnx")),
    }


def test_nothing_is_copied_without_onnx_runtime_web(tmp_path: Path) -> None:
    assert not build(tmp_path, vendor=False).exists()


def test_what_the_page_loads_is_there() -> None:
    script = (ROOT / "docs" / "script" / "try.js").read_text(encoding="utf-8")
    models = runpy.run_path(str(HOOK))["MODELS"]
    assert all(f'"{name}"' in script for name in models)
    assert all((ROOT / "src/stillwave/pretrained/shipped" / f"{name}.onnx").is_file() for name in models)
    assert 'id="try"' in (ROOT / "docs" / "gallery.md").read_text(encoding="utf-8")
