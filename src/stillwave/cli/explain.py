"""`stillwave explain`: report on a run that was distilled with layers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from stillwave.cli.options import AsJson, Quiet


def explain(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Run folder of a distillation.")],
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Write an HTML report on a run: layer pairs, their calibration weights and similarities.

    The report is RUN/explain/index.html; its path is printed.

    Example:
        stillwave explain runs/student

    """
    from stillwave.explain.flow import explain as write_report

    page = write_report(run, quiet=quiet)
    typer.echo(json.dumps({"page": str(page)}) if as_json else str(page))
