"""HTML pages of reports: a Jinja2 template in, one file out.

A template `templates/page.html` of a package extends `base.html` of this one, which has the document, the colours of
the figures and the basic style.
"""

from __future__ import annotations

import base64
import mimetypes
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import stillwave
from stillwave.errors import MissingExtraError
from stillwave.files import write_text
from stillwave.reports.figures import SYSTEM_COLOURS


def write_page(
    file: Path,
    package: str,
    context: Mapping[str, Any],
    filters: Mapping[str, Callable[..., Any]] | None = None,
    template: str = "page.html",
) -> Path:
    """Render `templates/TEMPLATE` of a package and write it atomically. Texts are escaped.

    `context`: the variables of the template. An undefined variable is an error. Raises MissingExtraError if jinja2 is
    not installed.
    """
    try:
        from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
    except ImportError:
        raise MissingExtraError("the report", "train") from None
    environment = Environment(
        loader=ChoiceLoader([PackageLoader(package), PackageLoader("stillwave.reports")]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(filters or {})
    page = environment.get_template(template)
    write_text(file, page.render(colours=SYSTEM_COLOURS, version=stillwave.__version__, **context))
    return file


def data_url(file: Path) -> str:
    """Return a picture or audio file as a data URL."""
    kind = mimetypes.guess_type(file.name)[0] or "application/octet-stream"
    kind = "audio/wav" if kind == "audio/x-wav" else kind
    return f"data:{kind};base64,{base64.b64encode(file.read_bytes()).decode('ascii')}"
