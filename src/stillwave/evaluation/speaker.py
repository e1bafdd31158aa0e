"""Speaker similarity: the cosine of two speaker embeddings; 1 for the same voice, higher is better.

The encoder of Resemblyzer (L. Wan et al., "Generalized end-to-end loss for speaker verification", ICASSP 2018), whose
weights are part of its wheel. The wheel's own code needs a compiled voice detector, which is not used here: both
signals are embedded as they are (`embed_utterance`). Embeddings have no negative values, so that the similarity of two
unlike voices is well above 0.
"""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stillwave.audio import Samples
from stillwave.errors import MetricError
from stillwave.evaluation.mel import mel_spectrogram
from stillwave.schema import SAMPLE_RATE

_SIZE, _HOP, _BANDS, _UNITS = 400, 160, 40, 256
_FRAMES = 160
"""Frames of a part of an utterance (1.6 s)."""
_STEP = round(SAMPLE_RATE / 1.3 / _HOP)
"""Frames from the start of a part to that of the next: 1.3 parts a second."""
_COVERED = 0.75
"""A last part of which less is signal is left out."""


def speaker_similarity(clean: Samples, estimate: Samples) -> float:
    """Return the similarity of the voices in two signals `[N]` at 16 kHz. Raises MetricError without the weights."""
    return float(embedding(clean) @ embedding(estimate))


def embedding(samples: Samples) -> NDArray[np.float32]:
    """Return the speaker embedding `[256]`, of length 1, of `[N]` at 16 kHz."""
    import torch

    starts = _starts(len(samples))
    end = (starts[-1] + _FRAMES) * _HOP
    padded = np.pad(samples, (0, max(0, end - len(samples))))
    mels = mel_spectrogram(padded, _SIZE, _HOP, _BANDS).T.astype(np.float32)
    parts = torch.from_numpy(np.stack([mels[start : start + _FRAMES] for start in starts]))
    lstm, linear = _network()
    with torch.inference_mode():
        _, (hidden, _) = lstm(parts)
        found = torch.relu(linear(hidden[-1]))
        mean = (found / found.norm(dim=1, keepdim=True)).mean(0).numpy()
    return np.asarray(mean / np.linalg.norm(mean))


def _starts(length: int) -> list[int]:
    """Return the first frame of each part."""
    count = -(-(length + 1) // _HOP)
    starts = list(range(0, max(1, count - _FRAMES + _STEP + 1), _STEP))
    covered = (length - starts[-1] * _HOP) / (_FRAMES * _HOP)
    return starts[:-1] if covered < _COVERED and len(starts) > 1 else starts


@cache
def _network() -> tuple[Any, Any]:
    import torch

    package = find_spec("resemblyzer")
    if package is None or package.origin is None:
        raise MetricError("speaker similarity needs the wheel resemblyzer: pip install --no-deps resemblyzer")
    file = Path(package.origin).parent / "pretrained.pt"
    state = torch.load(file, map_location="cpu", weights_only=True)["model_state"]
    lstm, linear = torch.nn.LSTM(_BANDS, _UNITS, 3, batch_first=True), torch.nn.Linear(_UNITS, _UNITS)
    for name, module in (("lstm.", lstm), ("linear.", linear)):
        module.load_state_dict(
            {key.removeprefix(name): v for key, v in state.items() if key.startswith(name)}
        )
    return lstm.eval(), linear.eval()
