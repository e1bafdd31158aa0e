"""Keep a run's best checkpoint in the checkout, to distil from or to go on from, without the paths of a machine.

    python benchmarks/keep_checkpoint.py RUN --name denoiser-teacher

RUN is a run folder or a checkpoint; `weights/NAME` must not be there yet.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from model_cards import origin  # type: ignore[import-not-found]
from stillwave.errors import StillwaveError

ROOT = Path(__file__).parents[1]
DATA = ROOT / "benchmarks" / "model_cards" / "data.yaml"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("run", type=Path, help="run folder or checkpoint")
    parser.add_argument("--name", required=True, help="of the folder in weights/")
    parser.add_argument("--weights", type=Path, help="a checkpoint made of RUN elsewhere (an average, say)")
    parser.add_argument("--data", type=Path, default=DATA, help="recordings and licences")
    options = parser.parse_args()
    try:
        folder = keep(options.run, options.name, ROOT / "weights", options.weights, options.data)
    except StillwaveError as error:
        sys.exit(str(error))
    print(f"{folder}: {sum(file.stat().st_size for file in folder.iterdir()) / 1e6:.1f} MB")


def keep(run: Path, name: str, into: Path, weights: Path | None = None, data: Path = DATA) -> Path:
    """Write `into/name`: weights and card."""
    folder = into / name
    if folder.exists():
        raise StillwaveError(f"{folder} is there already; remove it, or take another --name")
    found = origin.Run.of(run, weights)
    _, sources = origin.data(data, found)
    kept: Path = origin.copied(found, origin.summary(sources), folder)
    return kept


if __name__ == "__main__":
    main()
