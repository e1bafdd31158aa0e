"""`stillwave info`: what a network is and what it costs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from stillwave.checkpoint import Card
    from stillwave.deploy.complexity import Complexity
    from stillwave.models import Denoiser


def info(
    target: Annotated[str, typer.Argument(help="A checkpoint or run folder, or a preset: dpdcrn-student, …")],
    seconds: Annotated[
        float, typer.Option(help="Length of the signal that the cost is measured on.", min=0.1, max=60)
    ] = 1.0,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
) -> None:
    """Show a network's card, parameters, size, receptive field and MACs per second by layer type.

    Example:
        stillwave info runs/distilled
        stillwave info dpdcrn-student --json

    """
    from stillwave.deploy.complexity import measure

    model, card = _find(target)
    complexity = measure(model, seconds)
    if as_json:
        typer.echo(
            json.dumps(_as_dict(model, card, complexity), indent=2, ensure_ascii=False, allow_nan=False)
        )
    else:
        _show(target, model, card, complexity)


def _find(target: str) -> tuple[Denoiser, Card | None]:
    """The network that `target` means, and its card if it is a checkpoint. Raises CheckpointError."""
    from pathlib import Path

    from stillwave import checkpoint
    from stillwave.errors import CheckpointError, nearest
    from stillwave.models import PRESETS, build

    if target in PRESETS:
        return build(PRESETS[target]), None
    if not Path(target).exists():
        raise CheckpointError(f"{target}: neither a folder nor a preset; {nearest(target, PRESETS)}")
    return checkpoint.load(target)


def _as_dict(model: Denoiser, card: Card | None, complexity: Complexity) -> dict[str, Any]:
    from dataclasses import asdict

    return {
        "model": model.config.model_dump(),
        "sample_rate": model.sample_rate,
        **asdict(complexity),
        "macs": {kind: round(macs) for kind, macs in complexity.macs.items()},
        "total_macs": round(complexity.total_macs),
        "card": card.model_dump(mode="json") if card else None,
    }


def _show(target: str, model: Denoiser, card: Card | None, complexity: Complexity) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(title=Text(target), show_header=False, title_justify="left")
    table.add_column(justify="left")
    table.add_column(justify="right")
    for left, right in [*_card_rows(card), *_cost_rows(model, complexity)]:
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


def _cost_rows(model: Denoiser, complexity: Complexity) -> list[tuple[str, str]]:
    config = model.config
    field = complexity.receptive_field
    return [
        ("network", f"{config.name}, {config.channels} channels, {config.blocks} block(s)"),
        ("input", f"{config.microphones} microphone(s), {model.sample_rate} Hz"),
        ("parameters", f"{complexity.parameters:,}"),
        ("size", f"{complexity.size_bytes / 1e6:.2f} MB"),
        *((f"{kind}, MMAC/s", f"{macs / 1e6:,.1f}") for kind, macs in complexity.macs.items()),
        (f"total, MMAC/s (over {complexity.seconds:g} s)", f"{complexity.total_macs / 1e6:,.1f}"),
        ("looks back", _reach(field.past, model.sample_rate)),
        ("looks ahead", _reach(field.future, model.sample_rate)),
        ("streams", _streams(model, complexity)),
    ]


def _streams(model: Denoiser, complexity: Complexity) -> str:
    if complexity.state_bytes is None:
        return "no: it needs the whole signal"
    delay = 1000 * model.stft.n_fft / model.sample_rate
    return f"yes: {delay:.0f} ms of delay, {complexity.state_bytes / 1024:.0f} KiB of state"


def _reach(samples: int | None, rate: int) -> str:
    return "whole signal" if samples is None else f"{1000 * samples / rate:.1f} ms"
