"""`stillwave models`: list the shipped models, or describe one network."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from stillwave.cli.complete import complete_network
from stillwave.cli.options import AsJson
from stillwave.cli.pipes import print_json

if TYPE_CHECKING:
    from rich.console import Console

    from stillwave.card import ModelCard

METRICS = ("pesq_wb", "stoi", "si_sdr")
"""Scores in the list."""
Network = Annotated[
    str | None,
    typer.Argument(
        metavar="MODEL",
        autocompletion=complete_network,
        help="A shipped model, a checkpoint or run folder, or a preset; default: list the shipped models.",
    ),
]
Seconds = Annotated[
    float,
    typer.Option(
        min=0.1,
        max=60,
        help="Length in seconds of the signal that the complexity is measured on, of a path or preset.",
    ),
]


def models(name: Network = None, seconds: Seconds = 1.0, as_json: AsJson = False) -> None:
    """List the shipped models, or print the model card and complexity of one network.

    A name from the list can be given wherever a model is expected. NAME-int8 is
    the same network with 8-bit weights: a smaller file, the same time per frame.

    Example:
        stillwave models
        stillwave models bsrnn-s
        stillwave models runs/student
        stillwave enhance noisy.wav -m bsrnn-s-int8

    """
    from stillwave import pretrained

    if name is None:
        cards = [pretrained.card(known) for known in pretrained.names()]
        if as_json:
            print_json([_entry(card) for card in cards])
        else:
            _list(cards)
        return
    card = None if Path(name).exists() else pretrained.SHIPPED.known(name)
    if card is None:
        from stillwave.cli.model_facts import as_dict, facts_of, show

        facts = facts_of(name, seconds)
        if as_json:
            print_json(as_dict(facts))
        else:
            show(name, facts)
    elif as_json:
        print_json(_entry(card))
    else:
        _show(card)


def info(name: Network = None, seconds: Seconds = 1.0, as_json: AsJson = False) -> None:
    """Former name of `stillwave models NAME`."""
    from stillwave import pretrained

    models(name or pretrained.default(), seconds, as_json)


def _entry(card: ModelCard) -> dict[str, Any]:
    from stillwave import pretrained

    derived = {"default": card.name == pretrained.default(), "macs_per_second": round(card.cost.total_macs)}
    return {"name": card.name, **derived, **card.model_dump(mode="json")}


def _list(cards: list[ModelCard]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    from stillwave import pretrained
    from stillwave.evaluation.metrics import METRICS as KNOWN

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("model", no_wrap=True)
    scores = ["\n".join(part for part in (KNOWN[m].name, KNOWN[m].unit) if part) for m in METRICS]
    for head in ("parameters", "MMAC/s", "delay", *scores, "float\nkB", "int8\nkB"):
        table.add_column(head, justify="right", no_wrap=True)
    for card in cards:
        star = " *" if card.name == pretrained.default() else ""
        table.add_row(
            card.name + star,
            f"{card.cost.parameters / 1e3:.1f} k",
            f"{card.cost.total_macs / 1e6:.0f}",
            f"{card.delay_ms:.0f} ms",
            *(_score(card, metric) for metric in METRICS),
            *(_kilobytes(card, precision) for precision in ("float", "int8")),
        )
    console = Console(highlight=False)
    console.print(table)
    sets = dict.fromkeys(card.tests[0].test_set for card in cards if card.tests)
    if len(sets) == 1:
        console.print(f"Scores: {next(iter(sets))}; other sets are in the card.")
    console.print("* default. For a model card: stillwave models NAME; for 8-bit weights: NAME-int8.")


def _score(card: ModelCard, metric: str) -> str:
    from stillwave.reports.formatting import number

    found = card.score(metric)
    return number(found.mean, metric) if found else "–"


def _kilobytes(card: ModelCard, precision: Any) -> str:
    return f"{card.files[precision].bytes / 1e3:,.0f}" if precision in card.files else "–"


def _show(card: ModelCard) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from stillwave.cli.model_facts import cost_rows
    from stillwave.reports.card_tables import scores, sections

    console = Console(highlight=False)
    console.print(Text(f"{card.name}: {card.title}", style="bold"))
    for heading, rows in sections(card).items():
        _print_rows(console, heading, rows)
        if heading == "network":
            _print_rows(console, "complexity", cost_rows(card.cost, card.sample_rate, card.delay_ms))
    for tested in card.tests:
        console.print(Text(f"\nscores on {tested.test_set}", style="bold"))
        heads, *lines = scores(tested)
        table = Table(*heads)
        for line in lines:
            table.add_row(*map(Text, line))
        console.print(table)


def _print_rows(console: Console, heading: str, rows: list[tuple[str, str]]) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for left, right in rows:
        table.add_row(left, Text(right))
    console.print(Text(f"\n{heading}", style="bold"))
    console.print(table)
