"""Choose the default strength of `stillwave adapt` on development data. Resumable.

    stillwave data mix RECIPE --side development --count 64 --seed 7 -o MIXTURES
    python benchmarks/adaptation_strength.py DATA MIXTURES [--label washing_machine] [--seed 7] [--work scratch]

`DATA` holds the manifests that `experiments/data/prepare.py` writes, `RECIPE` trains on them, so that speakers, noises
and rooms of `MIXTURES` occur in no training. One adaptation gives the weights of all strengths.

The rule: the largest strength whose mean loss on the mixtures is at most 0.02 PESQ-WB. The gain on held-out pairs of
the place, which differs from that of `benchmarks/adaptation.py`, is shown and decides nothing. With `--mixed-in RECIPE`
after a run without, all strengths are also compared with the default one without the recipe.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

from adaptation import METRICS, MINUTES, PAIRS, scores, show  # type: ignore[import-not-found]
from adaptation_place import Sources, simulate  # type: ignore[import-not-found]
from stillwave import checkpoint
from stillwave.adaptation import Settings, adapt
from stillwave.adaptation.averages import moved
from stillwave.adaptation.flow import starting_point
from stillwave.provenance import environment
from stillwave.stats.bootstrap import Interval, bootstrap

STRENGTHS = (0.125, 0.25, 0.5, 0.75, 1.0)
MOST_LOST = 0.02
"""Greatest mean loss on the mixtures, in PESQ-WB."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("data", type=Path)
    parser.add_argument("mixtures", type=Path)
    parser.add_argument("--label", default="washing_machine", help="Kind of noise.")
    parser.add_argument("--model", default="bsrnn-xs")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--mixed-in", metavar="RECIPE", help="What `stillwave adapt --data` mixes in.")
    parser.add_argument("--work", type=Path, default=Path("scratch/adaptation"))
    options = parser.parse_args()
    print(json.dumps(environment()))
    place = options.work / f"{options.label}-{options.seed}"
    sources = Sources(
        speech=(options.data / "more-sentences.jsonl",),
        held_out_speech=(options.data / "more-speech-development.jsonl",),
        noise=options.data / "more-noise.jsonl",
        label=options.label,
    )
    if not (place / "done").exists():
        simulate(place, sources, MINUTES, PAIRS, options.seed)
        (place / "done").touch()
    name = f"{options.model}-strength-1" + ("-mixed-in" if options.mixed_in else "")
    trained = place / name
    whole = Settings(
        place / "recordings", trained, options.model, data=options.mixed_in, strength=1.0, seed=options.seed
    )
    adapt(whole, quiet=True)
    sets = {"mixtures": options.mixtures, "place": place}
    original = {
        name: scores(options.model, folder, options.work / f"{options.model}-{folder.name}.json")
        for name, folder in sets.items()
    }
    kept = []
    for strength in STRENGTHS:
        student = interpolated(options.model, trained, strength, place / f"{name}-{strength}")
        for kind, folder in sets.items():
            found = scores(student, folder, student / f"{kind}-scores.json")
            change = intervals(found - original[kind])
            show(f"strength {strength}, {kind}", original[kind], change)
            if kind == "mixtures" and change[METRICS.index("pesq_wb")].mean >= -MOST_LOST:
                kept.append(strength)
            default = place / f"{options.model}-strength-1-{Settings.strength}"
            if options.mixed_in and default.exists():
                rival = scores(default, folder, default / f"{kind}-scores.json")
                show(
                    f"    over {Settings.strength} without {options.mixed_in}", None, intervals(found - rival)
                )
    print(f"chosen: {max(kept, default=None)}")


def intervals(differences: np.ndarray[Any, Any]) -> list[Interval]:
    """Return the mean of each metric over the recordings that have a value."""
    return [bootstrap(column[~np.isnan(column)]) for column in differences.T]


def interpolated(model: str, trained: Path, strength: float, folder: Path) -> Path:
    """Write the checkpoint with weights between those of the model and the trained ones; return its folder."""
    network, card = checkpoint.load(starting_point(model))
    target = checkpoint.load(checkpoint.resolve(trained))[0].state_dict()
    network.load_state_dict(moved(network.state_dict(), target, strength))
    checkpoint.save(folder, network, card)
    return folder


if __name__ == "__main__":
    main()
