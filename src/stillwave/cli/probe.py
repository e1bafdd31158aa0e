"""`stillwave probe`: measure look-ahead and receptive field."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from stillwave.cli.complete import complete_network
from stillwave.cli.defaults import MODEL
from stillwave.cli.options import AsJson, Quiet
from stillwave.cli.pipes import print_json

if TYPE_CHECKING:
    from stillwave.profiling.probe import Probe

KINDS = {
    "noise": "all beyond: other noise",
    "loud": "all beyond: 80 dB louder",
    "silence": "all beyond: silence",
    "sample": "one sample",
    "cut": "end of signal",
}


def probe(
    model: Annotated[
        str | None,
        typer.Argument(
            metavar="MODEL",
            envvar=MODEL,
            autocompletion=complete_network,
            help="A checkpoint, run folder, .onnx file, shipped model or preset, or module:attribute of a torch "
            "callable that takes [1, samples]; default: the default model.",
        ),
    ] = None,
    seconds: Annotated[
        float,
        typer.Option(
            help="Length of the test signal in seconds, which limits the range that is measured.",
            min=0.2,
            max=60,
        ),
    ] = 4.0,
    rate: Annotated[
        int,
        typer.Option(help="Sampling rate in Hz of a callable without the attribute 'sample_rate'.", min=1000),
    ] = 16_000,
    expect_ms: Annotated[
        float | None,
        typer.Option(
            "--expect-ms",
            help="Exit with code 1 if the look-ahead is longer than this many milliseconds.",
            min=0,
        ),
    ] = None,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Measure the look-ahead and receptive field of a model by perturbing its input.

    Example:
        stillwave probe runs/distilled
        stillwave probe student.onnx --expect-ms 32
        stillwave probe my_package.models:denoiser --rate 48000 --json

    """
    from stillwave.console import err, no_display, progress_bar
    from stillwave.profiling import probe as prober
    from stillwave.profiling.targets import find

    target = find(model, rate)
    with no_display(quiet), progress_bar() as bar:
        task = bar.add_task("perturbing the input", total=None, note="")
        found = prober.probe(
            target, seconds, progress=lambda done, total: bar.update(task, completed=done, total=total)
        )
        bar.update(task, total=1, completed=1)
    if as_json:
        print_json(found.as_dict())
    else:
        _show(found)
    ahead = found.milliseconds(found.future)
    if expect_ms is not None and (ahead is None or ahead > expect_ms):
        err.print(
            f"{target.name}: look-ahead is {_reach(found, found.future)}, more than --expect-ms {expect_ms:g}"
        )
        raise typer.Exit(1)


def _show(found: Probe) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    table = Table(title=Text(found.model), title_justify="left")
    for column in ("perturbation", "look-ahead", "past context"):
        table.add_column(column, justify="left" if column == "perturbation" else "right")
    for kind, words in KINDS.items():
        if any(kind in reaches for reaches in found.by_kind.values()):
            sides = (found.by_kind[side] for side in ("future", "past"))
            table.add_row(words, *(_reach(found, s[kind]) if kind in s else "–" for s in sides))
    table.add_section()
    table.add_row("largest", _reach(found, found.future), _reach(found, found.past), style="bold")
    console.print(table)
    for line in _notes(found):
        console.print(line, highlight=False)


def _notes(found: Probe) -> list[str]:
    exact = "if it differs" if not found.threshold else f"beyond {found.threshold:g} of the largest change"
    lines = [
        f"{found.seconds:g} s of noise at {found.sample_rate} Hz, {found.how}, in {found.precision}; an output counts "
        f"as changed {exact}."
    ]
    if found.frames_ahead is not None:
        lines.append(f"Beyond its analysis window the network uses {found.frames_ahead} later frames.")
    if found.keeps_state:
        lines.append("State leaks between calls: the output for an input depends on the previous call.")
    if not found.repeatable:
        lines.append("Outputs are not repeatable; changes smaller than their spread are not detected.")
    return lines


def _reach(found: Probe, samples: int | None) -> str:
    if samples is None:
        return f"all {found.seconds:g} s"
    return f"{samples:,} samples, {1000 * samples / found.sample_rate:.1f} ms"
