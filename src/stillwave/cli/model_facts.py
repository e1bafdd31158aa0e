"""Card and complexity of a checkpoint, run folder or preset, as `stillwave models` prints them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from stillwave.card import Card, Cost
    from stillwave.profiling.complexity import Complexity
    from stillwave.schema import ModelConfig


@dataclass(frozen=True)
class ModelFacts:
    """Configuration, complexity and, of a checkpoint, card of a network."""

    config: ModelConfig
    sample_rate: int
    delay_ms: float
    cost: Complexity
    card: Card | None


def facts_of(target: str, seconds: float) -> ModelFacts:
    """Return the facts of a checkpoint, run folder or preset. Raises CheckpointError."""
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
    with waiting("measuring the complexity"):
        cost = measure(model, seconds)
    return ModelFacts(model.config, model.sample_rate, delay, cost, card)


def as_dict(facts: ModelFacts) -> dict[str, Any]:
    """Return the facts as plain data."""
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


def show(target: str, facts: ModelFacts) -> None:
    """Print the facts as a table."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from stillwave.reports.card_tables import room

    config = facts.config
    table = Table(title=Text(target), show_header=False, title_justify="left")
    table.add_column(justify="left")
    table.add_column(justify="right")
    network = [
        ("network", f"{config.name}, {config.channels} channels, {config.blocks} block(s)"),
        ("input", f"{config.microphones} microphone(s), {facts.sample_rate} Hz"),
        *([("room", room(facts.card))] if facts.card else []),
        ("parameters", f"{facts.cost.parameters:,}"),
    ]
    rows = [*_card_rows(facts.card), *network, *cost_rows(facts.cost, facts.sample_rate, facts.delay_ms)]
    for left, right in rows:
        table.add_row(left, Text(right))
    Console().print(table)


def _card_rows(card: Card | None) -> list[tuple[str, str]]:
    if card is None:
        return [("weights", "none: a preset, untrained")]
    scores = [(f"development {name}", f"{value:.3f}") for name, value in card.scores.items()]
    rows = [("step", f"{card.step:,}"), *scores]
    if card.teacher:
        rows.append(("distilled from", card.teacher[:12]))
    if card.data:
        rows.append(("trained on", card.data))
    return [*rows, ("weights (SHA-256)", card.sha256[:12])]


def cost_rows(cost: Complexity | Cost, rate: int, delay_ms: float) -> list[tuple[str, str]]:
    """Return size, MACs by layer type, receptive field and streaming state as rows of text."""
    field = cost.receptive_field
    streams = "no: needs the whole signal"
    if cost.state_bytes is not None:
        streams = f"yes: {delay_ms:.0f} ms of delay, {cost.state_bytes / 1024:.0f} KiB of state"
    return [
        ("size", f"{cost.size_bytes / 1e6:.2f} MB"),
        *((f"{kind}, MMAC/s", f"{macs / 1e6:,.1f}") for kind, macs in cost.macs.items()),
        (f"total, MMAC/s (over {cost.seconds:g} s)", f"{cost.total_macs / 1e6:,.1f}"),
        ("past context", _reach(field.past, rate)),
        ("look-ahead", _reach(field.future, rate)),
        ("streaming", streams),
    ]


def _reach(samples: int | None, rate: int) -> str:
    return "whole signal" if samples is None else f"{1000 * samples / rate:.1f} ms"
