"""Copy the engine of the browser and two models into the site, for "Try it in your browser" on the page Listen.

ONNX Runtime Web is there only after `make web-assets`; without it nothing is copied, and the page says what is missing.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

PACKAGE = Path(__file__).parents[2] / "src" / "stillwave"
MODELS = ("bsrnn-m", "bsrnn-xs")


def on_post_build(config: dict[str, Any], **_: Any) -> None:
    """Copy the files to `engine/` of the finished site."""
    static = PACKAGE / "web" / "static"
    if not (static / "vendor").is_dir():
        return
    target = Path(config["site_dir"]) / "engine"
    shutil.copytree(static / "engine", target, dirs_exist_ok=True)
    shutil.copytree(static / "vendor", target / "vendor", dirs_exist_ok=True)
    (target / "models").mkdir(exist_ok=True)
    for name in MODELS:
        shutil.copy(PACKAGE / "pretrained" / "shipped" / f"{name}.onnx", target / "models")
