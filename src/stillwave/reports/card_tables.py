"""A model card as tables of text."""

from __future__ import annotations

from stillwave.card import Card, ModelCard, TestScores, Training
from stillwave.schema.data import MixingConfig

Rows = list[tuple[str, str]]
SYSTEMS = {"noisy": "noisy", "float": "this model", "int8": "…in 8 bits"}


def sections(card: ModelCard) -> dict[str, Rows]:
    """Return all sections except the scores, by heading."""
    return {
        "network": _network(card),
        "training": _training(card),
        "data": [
            (source.part, _sentence(source.name, source.citation, source.licence)) for source in card.sources
        ],
        "known failures": [("–", sentence) for sentence in card.failures] or [("–", "none recorded")],
        "files": _files(card),
    }


def scores(tested: TestScores) -> list[list[str]]:
    """Return a header and a row for each metric, with intervals."""
    from stillwave.evaluation.metrics import METRICS
    from stillwave.reports.formatting import heading, with_interval

    systems = tested.systems
    known = [name for name in (*SYSTEMS, *systems) if name in systems]
    names = list(dict.fromkeys(known))
    metrics = dict.fromkeys(metric for name in names for metric in systems[name] if metric in METRICS)
    rows = [[f"{tested.recordings} recordings", *(SYSTEMS.get(name, name) for name in names)]]
    for metric in metrics:
        rows.append([heading(metric), *(with_interval(systems[name].get(metric), metric) for name in names)])
    return rows


def room(card: Card) -> str:
    """Return what the network was trained to do with the reverberation of a room."""
    data = (card.recipe or {}).get("data") or {}
    if "mixing" not in data or "pairs" in data.get("train", {}):
        return "not recorded"
    mixing = MixingConfig.model_validate(data["mixing"])
    if not mixing.reverberation:
        return "not trained with reverberation"
    return f"kept up to {mixing.early_ms:g} ms after the direct sound, later reflections are removed"


def _network(card: ModelCard) -> Rows:
    config, cost = card.model, card.cost
    name = f"{card.preset}: " if card.preset else ""
    frames = card.lookahead_frames
    return [
        ("kind", f"{name}{config.name}, {config.channels} channels, {config.blocks} block(s)"),
        ("input", f"{config.microphones} microphone(s), {card.sample_rate} Hz"),
        ("room", room(card)),
        ("parameters", f"{cost.parameters:,}"),
        ("MMAC/s", f"{cost.total_macs / 1e6:.1f}"),
        (
            "delay",
            f"{card.delay_ms:g} ms, no look-ahead"
            if not frames
            else f"{card.delay_ms:g} ms, {frames} frames ahead",
        ),
    ]


def _training(card: ModelCard) -> Rows:
    training = card.training
    unknown = "not recorded"
    development = ", ".join(f"{name} {value:.3f}" for name, value in card.scores.items())
    return [
        ("method", "trained alone" if training.method == "none" else f"distilled, {training.method}"),
        *([("teacher", card.teacher)] if card.teacher else []),
        ("trained on", f"{training.hours:.1f} h of mixtures" if training.hours is not None else unknown),
        ("updates", f"{training.updates:,}{_runs(training)}" if training.updates is not None else unknown),
        *([("averaged", training.averaged)] if training.averaged else []),
        ("seed", str(training.seed) if training.seed is not None else unknown),
        ("commit", (card.git or {}).get("commit") or unknown),
        ("started", training.day or unknown),
        ("duration", f"{training.wall_hours:.1f} h" if training.wall_hours is not None else unknown),
        ("hardware", training.hardware or unknown),
        ("development set", development or unknown),
        ("weights (SHA-256)", f"{card.sha256[:16]}…"),
        ("recipe", "in the card: --json" if card.recipe else unknown),
    ]


def _runs(training: Training) -> str:
    return f", in {1 + len(training.earlier)} runs, one from the other's weights" if training.earlier else ""


def _files(card: ModelCard) -> Rows:
    rows = [
        (file.name, f"{file.bytes / 1e3:,.0f} kB, SHA-256 {file.sha256[:16]}…")
        for file in card.files.values()
    ]
    return [*rows, ("licence", card.licence)]


def _sentence(*parts: str) -> str:
    return "; ".join(part.rstrip(".") for part in parts if part)
