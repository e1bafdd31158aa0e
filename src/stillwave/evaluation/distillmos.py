"""DistillMOS: predicted overall quality without a reference, 1 … 5.

B. Stahl, H. Gamper, "Distillation and pruning for scalable self-supervised representation-based speech quality
assessment", ICASSP 2025. The package `distillmos` includes its weights; it needs PyTorch and torchaudio, and takes
seconds for a recording.
"""

from __future__ import annotations

import contextlib
import io
from functools import cache
from typing import Any

import numpy as np

from stillwave.audio import Samples


def distillmos(estimate: Samples) -> float:
    """Return the prediction for `[N]` at 16 kHz."""
    import torch

    with torch.inference_mode():
        return float(_network()(torch.from_numpy(np.ascontiguousarray(estimate, np.float32))[None]))


@cache
def _network() -> Any:
    from distillmos import ConvTransformerSQAModel

    with contextlib.redirect_stdout(io.StringIO()):  # it prints the path of its weights
        return ConvTransformerSQAModel().eval()
