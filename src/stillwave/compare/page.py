"""The comparison as one HTML file that holds its pictures and needs nothing else."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from pathlib import Path

import stillwave
from stillwave.compare import formatting, text_report
from stillwave.compare.results import Results
from stillwave.errors import MissingExtraError
from stillwave.evaluation import METRICS
from stillwave.evaluation.tables import heading, number


def render(results: Results, pictures: Mapping[str, Path]) -> str:
    """HTML; `pictures` are SVG files by caption."""
    try:
        from jinja2 import Environment, PackageLoader, StrictUndefined
    except ImportError:
        raise MissingExtraError("the comparison's page", "train") from None
    environment = Environment(
        loader=PackageLoader("stillwave.compare"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("page.html").render(
        results=results,
        metrics=results.grid.metrics,
        names={metric: METRICS[metric].name for metric in results.grid.metrics},
        heading=heading,
        number=number,
        t=formatting,
        about=text_report.about(results),
        verdicts=list(text_report.verdicts(results)),
        notes=list(text_report.all_notes(results)),
        how_to_read=text_report.how_to_read(results),
        pictures={caption: _inline(file) for caption, file in pictures.items()},
        version=stillwave.__version__,
    )


def _inline(file: Path) -> str:
    return "data:image/svg+xml;base64," + b64encode(file.read_bytes()).decode("ascii")
