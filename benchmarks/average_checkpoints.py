"""Average a run's best weights with those that it began with: much of what it learnt, less of what it forgot.

    python benchmarks/average_checkpoints.py RUN -o FOLDER [--share 0.75] [--development DIR]

SHARE of the run's weights, the rest of those of its `train.start_from`: on a straight line between them (Wortsman et
al., "Robust fine-tuning of zero-shot models", CVPR 2022). Its mean SI-SDR on DIR (noisy/, clean/) goes into the card.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from model_cards import origin  # type: ignore[import-not-found]
from stillwave import checkpoint
from stillwave.adaptation.averages import moved
from stillwave.errors import StillwaveError
from stillwave.evaluation import score_pairs, summarise
from stillwave.evaluation.inputs import from_checkpoints
from stillwave.models import Denoiser
from stillwave.reports.markup import json_values


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("run", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder of the checkpoint")
    parser.add_argument("--share", type=float, default=0.75, help="of the run's own weights, 0 … 1")
    parser.add_argument("--development", type=Path, help="recordings to score it on")
    options = parser.parse_args()
    try:
        average(options.run, options.share, options.output, options.development)
    except StillwaveError as error:
        sys.exit(str(error))


def average(run: Path, share: float, folder: Path, development: Path | None = None) -> None:
    """Write the averaged checkpoint. Its card is the run's but for the scores."""
    last, *earlier = origin.Run.of(run).chain()
    if not earlier:
        raise StillwaveError(
            f"{run}: began with no other's weights (train.start_from), so there is nothing to average"
        )
    network, card = checkpoint.load(last.place)
    old = checkpoint.load(earlier[0].place)[0].state_dict()
    network.load_state_dict(moved(old, network.state_dict(), share))
    scores = {"si_sdr": si_sdr(network, card, development)} if development else {}
    checkpoint.save(folder, network, card.model_copy(update={"scores": scores}))
    print(f"{folder}: {scores}")


def si_sdr(network: Denoiser, card: checkpoint.Card, recordings: Path) -> float:
    """Mean over the recordings, in dB."""
    with tempfile.TemporaryDirectory() as work:
        model = Path(work) / "average"
        checkpoint.save(model, network, card)
        items = from_checkpoints(recordings, {model.name: model}, Path(work) / "enhanced", "cpu")
        summary = json_values(summarise(score_pairs(items, ["si_sdr"])))
    return float(summary["means"][model.name]["si_sdr"]["interval"]["mean"])


if __name__ == "__main__":
    main()
