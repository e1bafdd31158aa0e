"""`stillwave info`: what a network is and what it costs."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from stillwave.checkpoint import Card
    from stillwave.pretrained import Card as Shipped
    from stillwave.pretrained.card import Cost
    from stillwave.profiling.complexity import Complexity
    from stillwave.schema import ModelConfig


def info(
    target: Annotated[
        str | None,
        typer.Argument(
            metavar="[MODEL]",
            help="A checkpoint or run folder, a model that ships, or a preset: dpdcrn-student, …; by default the "
            "default model.",
        ),
    ] = None,
    seconds: Annotated[
        float,
        typer.Option(help="Length in seconds of the signal that the cost is measured on.", min=0.1, max=60),
    ] = 1.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object to stdout.")] = False,
) -> None:
    """Show a network's card, parameters, size, receptive field and MACs per second by layer type.

    Figures of a model that ships were measured when it was packaged, on a second; `stillwave models NAME` shows the
    whole of its card.

    Example:
        stillwave info
        stillwave info runs/distilled
        stillwave info dpdcrn-student --json

    """
    from stillwave import pretrained

    name = target or pretrained.default()
    shipped = None if Path(name).exists() else pretrained.SHIPPED.known(name)
    facts = _of_shipped(shipped) if shipped else _of_network(name, seconds)
    if as_json:
        typer.echo(json.dumps(_as_dict(facts), indent=2, ensure_ascii=False, allow_nan=False))
    else:
        _show(name, facts)


@dataclass(frozen=True)
class ModelFacts:
    """What is shown of a network, whether it was measured now or when it was packaged."""

    config: ModelConfig
    sample_rate: int
    delay_ms: float
    cost: Complexity | Cost
    card: Card | Shipped | None


def _of_shipped(card: Shipped) -> ModelFacts:
    return ModelFacts(card.network, card.sample_rate, card.delay_ms, card.cost, card)


def _of_network(target: str, seconds: float) -> ModelFacts:
    """Of a checkpoint, or a preset's network. Raises CheckpointError."""
    from stillwave import checkpoint, pretrained
    from stillwave.console import waiting
    from stillwave.models import PRESETS, build
    from stillwave.profiling.complexity import measure

    card: Card | None = None
    if not Path(target).exists() and target in PRESETS:
        model = build(PRESETS[target])
    else:
        model, card = checkpoint.load(pretrained.SHIPPED.locate(target, PRESETS))
    delay = 1000 * model.stft.n_fft / model.sample_rate
    with waiting("measuring what it costs"):
        cost = measure(model, seconds)
    return ModelFacts(model.config, model.sample_rate, delay, cost, card)


def _as_dict(facts: ModelFacts) -> dict[str, Any]:
    cost, field = facts.cost, facts.cost.receptive_field
    return {
        "model": facts.config.model_dump(),
        "sample_rate": facts.sample_rate,
        "parameters": cost.parameters,
        "size_bytes": cost.size_bytes,
        "seconds": cost.seconds,
        "macs": {kind: round(macs) for kind, macs in cost.macs.items()},
        "receptive_field": {"past": field.past, "future": field.future},
        "state_bytes": cost.state_bytes,
        "total_macs": round(cost.total_macs),
        "card": facts.card.model_dump(mode="json") if facts.card else None,
    }


def _show(target: str, facts: ModelFacts) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(title=Text(target), show_header=False, title_justify="left")
    table.add_column(justify="left")
    table.add_column(justify="right")
    for left, right in [*_card_rows(facts.card), *_cost_rows(facts)]:
        table.add_row(left, Text(right))
    Console().print(table)


def _card_rows(card: Card | Shipped | None) -> list[tuple[str, str]]:
    from stillwave import pretrained

    if isinstance(card, pretrained.Card):
        return [("ships as", ", ".join(file.name for file in card.files.values())), ("what", card.title)]
    if card is None:
        return [("weights", "none: a preset, untrained")]
    scores = [(f"development {name}", f"{value:.3f}") for name, value in card.scores.items()]
    rows = [("step", f"{card.step:,}"), *scores]
    if card.teacher:
        rows.append(("distilled from", card.teacher[:12]))
    if card.data:
        rows.append(("trained on", card.data))
    return [*rows, ("weights (SHA-256)", card.sha256[:12])]


def _cost_rows(facts: ModelFacts) -> list[tuple[str, str]]:
    config, rate, cost = facts.config, facts.sample_rate, facts.cost
    field = cost.receptive_field
    return [
        ("network", f"{config.name}, {config.channels} channels, {config.blocks} block(s)"),
        ("input", f"{config.microphones} microphone(s), {rate} Hz"),
        ("parameters", f"{cost.parameters:,}"),
        ("size", f"{cost.size_bytes / 1e6:.2f} MB"),
        *((f"{kind}, MMAC/s", f"{macs / 1e6:,.1f}") for kind, macs in cost.macs.items()),
        (f"total, MMAC/s (over {cost.seconds:g} s)", f"{cost.total_macs / 1e6:,.1f}"),
        ("looks back", _reach(field.past, rate)),
        ("looks ahead", _reach(field.future, rate)),
        ("streams", _streams(facts)),
    ]


def _streams(facts: ModelFacts) -> str:
    if facts.cost.state_bytes is None:
        return "no: it needs the whole signal"
    return f"yes: {facts.delay_ms:.0f} ms of delay, {facts.cost.state_bytes / 1024:.0f} KiB of state"


def _reach(samples: int | None, rate: int) -> str:
    return "whole signal" if samples is None else f"{1000 * samples / rate:.1f} ms"
