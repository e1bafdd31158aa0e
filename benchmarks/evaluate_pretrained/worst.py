"""The recordings that the default network helps least, by PESQ-WB over the noisy input: what was lost, what is left."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from stillwave.audio import Samples
from stillwave.data.pair_sets import Pair

from .levels import attenuation_db, lost_share, lowered_db, pause_frames
from .pictures import draw_one
from .scoring import Place, enhance_all, mono, score_run
from .systems import NOISY, Run
from .tables import head, mean, row

COUNT = 10
METRICS = ("pesq_wb", "stoi", "si_sdr")
NOISES = Path(__file__).parents[1] / "weights" / "noises.csv"
PREFIX = "worst-"
ABOUT = """The ten mixtures that `{name}` improves least in PESQ-WB, smallest gain first. *Speech*: change of level of
the speech in frames with speech (projection of the estimate on the reference); *lost*: share of these frames that are
more than 10 dB too weak; *pauses*: change of level in pauses. Noises are named by their class in ESC-50; the last
column has the transcripts of the reference and of the estimate."""


def find(run: Run, place: Place, count: int = COUNT) -> list[dict[str, Any]]:
    """What is known of them, worst first."""
    before, after = (score_run(one, place) for one in (Run(NOISY, NOISY), run))
    classes = noise_classes()
    found = [
        {
            "id": pair.id,
            "snr_db": pair.snr_db,
            "noise": classes.get(pair.noise, pair.noise),
            "room": pair.rir,
            "text": pair.text,
            "heard": after["heard"][pair.id],
            "scores": {m: (before["rows"][pair.id][m], after["rows"][pair.id][m]) for m in METRICS},
            "levels": levels(pair, mono(file)),
        }
        for pair, file in zip(place.pairs, enhance_all(run, place), strict=True)
    ]
    return sorted(found, key=gain)[:count]


def gain(found: Mapping[str, Any]) -> float:
    """PESQ-WB over the input's; a recording without a score is the worst."""
    before, after = found["scores"]["pesq_wb"]
    return -9.0 if isinstance(before, str) or isinstance(after, str) else float(after - before)


def levels(pair: Pair, estimate: Samples) -> dict[str, float]:
    """Of one recording, in dB and shares."""
    clean, noisy = mono(pair.clean), mono(pair.noisy)
    return {
        "speech": attenuation_db(clean, estimate),
        "gone": lost_share(clean, estimate),
        "pauses": lowered_db(noisy, estimate, pause_frames(clean)),
    }


def noise_classes() -> dict[str, str]:
    """Clip of ESC-50 → what it is."""
    with NOISES.open(encoding="utf-8", newline="") as handle:
        return {line["noise"]: line["class"] for line in csv.DictReader(handle)}


def table(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """One line a recording."""
    yield from head(
        *("mixture", "SNR", "noise", "PESQ-WB", "STOI ×100", "SI-SDR (dB)"),
        "speech",
        "lost",
        "pauses",
        "reference; transcript",
    )
    for found in rows:
        scores = (_both(metric, *found["scores"][metric]) for metric in METRICS)
        part = found["levels"]
        room = ", in a room" if found["room"] else ""
        yield row(
            found["id"],
            f"{found['snr_db']:g} dB",
            found["noise"] + room,
            *scores,
            f"−{part['speech']:.1f} dB".replace("−-", "+"),
            f"{100 * part['gone']:.0f} %",
            f"−{part['pauses']:.1f} dB".replace("−-", "+"),
            f"{found['text'].lower()}; *{found['heard'] or 'nothing'}*",
        )


def _both(metric: str, before: float | str, after: float | str) -> str:
    if isinstance(before, str) or isinstance(after, str):
        return "–"
    return f"{mean(metric, before)} → {mean(metric, after)}"


def pictures(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """The lines that show them."""
    for found in rows:
        caption = f"{found['id']}: {found['noise']}, {found['snr_db']:g} dB"
        yield from (f"![{caption}: noisy, enhanced and clean](pictures/{PREFIX}{found['id']}.png)", "")


def draw(rows: Sequence[Mapping[str, Any]], place: Place, run: Run, folder: Path) -> None:
    """One picture a recording; those of recordings that are no longer among the worst are removed."""
    wanted = {found["id"]: found for found in rows}
    for old in folder.glob(f"{PREFIX}*.png"):
        if old.stem.removeprefix(PREFIX) not in wanted:
            old.unlink()
    for pair, file in zip(place.pairs, enhance_all(run, place), strict=True):
        if pair.id in wanted:
            title = f"{pair.id}: {wanted[pair.id]['noise']}, {pair.snr_db:g} dB"
            signals = {"noisy": mono(pair.noisy), "enhanced": mono(file), "clean": mono(pair.clean)}
            draw_one(signals, title, folder / f"{PREFIX}{pair.id}.png")
