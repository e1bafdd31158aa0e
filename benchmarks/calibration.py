"""What the calibration of I²SRF-TFCKD selects, and how flat its rows are, in runs of `stillwave distill`.

    python benchmarks/calibration.py RUN …

For the newest checkpoint of each run, on the fixed batch of its development recordings, means over terms, streams,
student layers and rows:

- largest α: the weight of the teacher layer that counts most (1/m … 1);
- entropy: of α, as a share of that of equal weights, ln m;
- nearest: the share of rows in which the layer with the largest weight is the one with the smallest distance;
- varies: the standard deviation of α over the rows of a layer pair;
- spread: KL divergence of the compared distributions P from the uniform one, of student and teacher, in nats.
"""

from __future__ import annotations

import argparse
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import mean

import torch
from torch import Tensor

from stillwave.distill import I2srfTfckd
from stillwave.distill.calibrated_distance import CalibratedDistance
from stillwave.distill.method import to_float32
from stillwave.distill.similarity import distribution, jeffreys
from stillwave.explain.flow import ExplainData, load

COLUMNS = ("largest α", "entropy", "nearest", "varies", "spread, student", "spread, teacher")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("runs", nargs="+", type=Path)
    options = parser.parse_args()
    print(f"| run | updates | {' | '.join(COLUMNS)} |\n{'| --- ' * (2 + len(COLUMNS))}|")
    for folder in options.runs:
        data = load(folder)
        found = figures(data)
        print(
            f"| {folder.name} | {data.step} | {' | '.join(f'{found[c]:.3f}' for c in COLUMNS)} |", flush=True
        )


@torch.no_grad()
def figures(data: ExplainData) -> dict[str, float]:
    """Return the columns of one run."""
    method = data.distiller.method
    if not isinstance(method, I2srfTfckd):
        raise SystemExit("the method has no calibration; give runs of i2srf_tfckd")
    values: dict[str, list[float]] = defaultdict(list)
    for term, comparison in method.comparisons.items():
        assert isinstance(comparison, CalibratedDistance)
        student, teacher = (
            [comparison.similarities(layer) for layer in layers(method, side, outputs.features, term)]
            for side, outputs in (("student", data.record.student), ("teacher", data.record.teacher))
        )
        for stream, alpha in method.weights[term].items():  # of the fixed batch
            p, q = (
                [distribution(s[stream].cosine, method.config.sharpness) for s in side]
                for side in (student, teacher)
            )
            values["spread, student"].append(spread(p))
            values["spread, teacher"].append(spread(q))
            if alpha.shape[-1] > 1:
                distances = jeffreys(p, q, comparison.pairs).reshape(alpha.shape)
                for column, value in of_weights(alpha, distances).items():
                    values[column].append(value)
    return {column: mean(values[column]) for column in COLUMNS}


def layers(
    method: I2srfTfckd, side: str, features: Mapping[str, Sequence[Tensor]], term: str
) -> list[Tensor]:
    """Return the feature maps that a term compares, of one network."""
    maps = {name: [to_float32(feature) for feature in found] for name, found in features.items()}
    return maps[term] if term in maps else list(method.fuse(side, maps).values())


def of_weights(alpha: Tensor, distances: Tensor) -> dict[str, float]:
    """Return the columns about α [B, T, n, m]."""
    entropy = -(alpha * alpha.clamp(min=1e-12).log()).sum(-1).mean() / math.log(alpha.shape[-1])
    return {
        "largest α": float(alpha.amax(-1).mean()),
        "entropy": float(entropy),
        "nearest": float((alpha.argmax(-1) == distances.argmin(-1)).float().mean()),
        "varies": float(alpha.flatten(0, 1).std(0).mean()),
    }


def spread(rows: Sequence[Tensor]) -> float:
    """Return the mean KL divergence of distributions [..., K] from the uniform one."""
    return mean(float((p * (p * p.shape[-1]).log()).sum(-1).mean()) for p in rows)


if __name__ == "__main__":
    main()
