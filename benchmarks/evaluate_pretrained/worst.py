"""The mixtures that the default improves least in PESQ-WB: what was lost, what is left."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from stillwave.audio import Samples
from stillwave.data.pair_sets import Pair

from .levels import attenuation_db, lost_share, lowered_db, pause_frames
from .pictures import draw_one
from .place import Network, Place, enhance_all, mono
from .tables import head, row

COUNT = 10
SCALES = {"pesq_wb": (1, 3), "stoi": (100, 2), "si_sdr": (1, 2)}
"""Factor and decimals by metric."""
PREFIX = "worst-"
ABOUT = """The ten mixtures that `{name}` improves least in PESQ-WB, smallest gain first. *Speech*: change of level of
the speech in frames with speech (projection of the estimate on the reference); *lost*: share of these frames that are
more than 10 dB too weak; *pauses*: change of level in pauses."""


def find(scores: Path, network: Network, place: Place, count: int = COUNT) -> list[dict[str, Any]]:
    """Return facts of the mixtures, worst first. `scores`: the scores.csv of `stillwave evaluate`."""
    by_system: dict[str, dict[str, dict[str, str]]] = {}
    for line in _rows(scores):
        by_system.setdefault(line["system"], {})[line["id"]] = line
    about = {line["id"]: line for line in _rows(place.folder / "mixtures.csv")}
    found = [
        {
            "id": pair.id,
            "snr_db": pair.snr_db,
            "noise": about[pair.id].get("noise_class") or pair.noise,
            "language": about[pair.id].get("language", ""),
            "room": pair.rir,
            "scores": {
                metric: tuple(_number(by_system[name][pair.id][metric]) for name in ("noisy", network.name))
                for metric in SCALES
            },
            "levels": levels(pair, mono(file)),
        }
        for pair, file in zip(place.pairs, enhance_all(network, place), strict=True)
    ]
    return sorted(found, key=gain)[:count]


def _rows(file: Path) -> list[dict[str, str]]:
    with file.open(encoding="utf-8", newline="") as handle:
        return list(csv.DictReader(handle))


def _number(text: str) -> float | None:
    return float(text) if text else None


def gain(found: Mapping[str, Any]) -> float:
    """Return the gain in PESQ-WB over the input; a recording without a score is the worst."""
    before, after = found["scores"]["pesq_wb"]
    return -9.0 if before is None or after is None else float(after - before)


def levels(pair: Pair, estimate: Samples) -> dict[str, float]:
    """Return changes of level in dB, and the share of lost frames, of one recording."""
    clean, noisy = mono(pair.clean), mono(pair.noisy)
    return {
        "speech": -attenuation_db(clean, estimate),
        "lost": lost_share(clean, estimate),
        "pauses": -lowered_db(noisy, estimate, pause_frames(clean)),
    }


def table(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Yield one line for each mixture."""
    titles = ("mixture", "SNR", "noise", "language", "PESQ-WB", "STOI ×100", "SI-SDR (dB)")
    yield from head(*titles, "speech", "lost", "pauses")
    for found in rows:
        level = found["levels"]
        yield row(
            found["id"],
            f"{found['snr_db']:g} dB",
            found["noise"] + (", in a room" if found["room"] else ""),
            found["language"] or "–",
            *(_both(found["scores"][metric], *scale) for metric, scale in SCALES.items()),
            f"{level['speech']:+.1f} dB",
            f"{100 * level['lost']:.0f} %",
            f"{level['pauses']:+.1f} dB",
        )


def _both(values: tuple[float | None, float | None], factor: float, decimals: int) -> str:
    return " → ".join("–" if value is None else f"{factor * value:.{decimals}f}" for value in values)


def pictures(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Yield the lines that show them."""
    for found in rows:
        yield from (f"![{_title(found)}: noisy, enhanced and clean](pictures/{PREFIX}{found['id']}.png)", "")


def _title(found: Mapping[str, Any]) -> str:
    return f"{found['id']}: {found['noise']}, {found['snr_db']:g} dB"


def draw(rows: Sequence[Mapping[str, Any]], place: Place, network: Network, folder: Path) -> None:
    """Write one picture for each mixture; those of mixtures that are no longer among the worst are removed."""
    wanted = {found["id"]: found for found in rows}
    for old in folder.glob(f"{PREFIX}*.png"):
        if old.stem.removeprefix(PREFIX) not in wanted:
            old.unlink()
    for pair, file in zip(place.pairs, enhance_all(network, place), strict=True):
        if pair.id in wanted:
            signals = {"noisy": mono(pair.noisy), "enhanced": mono(file), "clean": mono(pair.clean)}
            draw_one(signals, _title(wanted[pair.id]), folder / f"{PREFIX}{pair.id}.png")
