"""What the perceptual term of the loss buys and costs: one trained student tuned with several weights. Resumable.

    python benchmarks/perceptual.py --audio AUDIO --start RUN [--work scratch]

RUN is a trained `bsrnn-xs` (benchmarks/sizes.py trains it: scratch/sizes/runs/bsrnn-xs/none/seed-0). The scores are of
the development mixtures, for this is how the weight was chosen: the test mixtures are not looked at.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

from comparison import data_keys, sets, stillwave  # type: ignore[import-not-found]
from stillwave.quickstart import data as material

WEIGHTS = (0, 0.03, 0.06, 0.1, 0.3)
METRICS = ("pesq_wb", "pesq_nb", "stoi", "si_sdr", "dnsmos_ovrl")
RECIPE = Path(__file__).parent / "perceptual" / "student.yaml"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--audio", type=Path, required=True)
    parser.add_argument("--start", type=Path, required=True)
    parser.add_argument("--work", type=Path, default=Path("scratch"))
    options = parser.parse_args()
    work = options.work.resolve()
    found = material.own(options.audio, work / "material")
    data = [*data_keys(found), f"train.start_from={options.start.resolve()}"]
    runs = {weight: work / "perceptual" / f"{weight:g}" for weight in WEIGHTS}
    for weight, run in runs.items():
        stillwave("train", str(RECIPE), "-o", str(run), *sets([*data, f"loss.perceptual={weight}"]))
    print(
        "| weight | PESQ-WB | PESQ-NB | STOI ×100 | SI-SDR dB | DNSMOS OVRL |\n| --- | --- | --- | --- | --- | --- |"
    )
    for name, means in scores(runs, Path(found.development)).items():
        shown = [f"{mean:.{digits}f}" for mean, digits in zip(means, (3, 3, 2, 2, 2), strict=True)]
        print(f"| {name} | {' | '.join(shown)} |")


def scores(runs: dict[float, Path], development: Path) -> dict[str, list[float]]:
    """Means by system, `noisy` first; STOI in hundredths."""
    systems = [f"{weight:g}={run}" for weight, run in runs.items()]
    command = [sys.executable, "-m", "stillwave", "evaluate", *systems, "--on", str(development), "--json"]
    done = subprocess.run([*command, "--metrics", ",".join(METRICS)], check=True, stdout=subprocess.PIPE)
    report = json.loads(done.stdout)
    factors = [100 if metric == "stoi" else 1 for metric in METRICS]
    return {
        name: [
            factor * means[metric]["interval"]["mean"]
            for metric, factor in zip(METRICS, factors, strict=True)
        ]
        for name, means in report["means"].items()
    }


if __name__ == "__main__":
    main()
