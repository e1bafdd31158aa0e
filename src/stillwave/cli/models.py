"""`stillwave models`: the trained networks that come with the package, and the card of each."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from stillwave.cli.recipes import AsJson

if TYPE_CHECKING:
    from stillwave.pretrained import Card

METRICS = ("pesq_wb", "stoi", "si_sdr")
"""What the list shows, of a card's scores."""


def models(
    name: Annotated[
        str | None, typer.Argument(help="Name of a model whose card is shown; default: list all.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List the trained networks that come with stillwave, or show what is known of one.

    A name from this list goes wherever a model is asked for. With -int8 behind
    it, it means the same network with its weights in 8 bits: a smaller file,
    as fast. Where no model is named, the default one is used.

    Example:
        stillwave models
        stillwave models bsrnn-s
        stillwave enhance noisy.wav -m bsrnn-s-int8

    """
    from stillwave import pretrained

    if name is not None:
        card = pretrained.card(name)
        if as_json:
            _print_json(_entry(card))
        else:
            _show(card)
        return
    cards = [pretrained.card(known) for known in pretrained.names()]
    if as_json:
        _print_json([_entry(card) for card in cards])
    else:
        _list(cards)


def _print_json(value: Any) -> None:
    typer.echo(json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False))


def _entry(card: Card) -> dict[str, Any]:
    from stillwave import pretrained

    derived = {"default": card.name == pretrained.default(), "macs_per_second": round(card.cost.total_macs)}
    return {"name": card.name, **derived, **card.model_dump(mode="json")}


def _list(cards: list[Card]) -> None:
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
    console.print("* the default. A model's card: stillwave models NAME; with 8-bit weights: NAME-int8.")


def _score(card: Card, metric: str) -> str:
    from stillwave.evaluation.tables import number

    found = card.score(metric)
    return number(found.mean, metric) if found else "–"


def _kilobytes(card: Card, precision: Any) -> str:
    return f"{card.files[precision].bytes / 1e3:,.0f}" if precision in card.files else "–"


def _show(card: Card) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from stillwave.reports.card_tables import scores, sections

    console = Console(highlight=False)
    console.print(Text(f"{card.name}: {card.title}", style="bold"))
    for heading, rows in sections(card).items():
        table = Table.grid(padding=(0, 2))
        table.add_column(no_wrap=True)
        table.add_column(overflow="fold")
        for left, right in rows:
            table.add_row(left, Text(right))
        console.print(Text(f"\n{heading}", style="bold"))
        console.print(table)
    if card.scores is not None:
        console.print(Text(f"\nscores on {card.scores.test_set}", style="bold"))
        heads, *lines = scores(card)
        table = Table(*heads)
        for line in lines:
            table.add_row(*map(Text, line))
        console.print(table)
