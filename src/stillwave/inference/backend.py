"""What runs a causal network on spectra: an ONNX file without PyTorch, or (`torch_engine.py`) a module."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from stillwave.errors import CheckpointError, StillwaveError

if TYPE_CHECKING:
    from stillwave.inference.onnx_model import OnnxModel

State = dict[str, NDArray[np.float32]]
"""What a network remembers, by memory: `[S, …]`, S streams."""
Spectra = NDArray[np.float32]


class Backend(Protocol):
    """A causal network, one frame or many at a time. It remembers nothing itself: states go in and out."""

    @property
    def sample_rate(self) -> int:
        """In Hz."""

    @property
    def microphones(self) -> int:
        """Channels of one stream's input."""

    @property
    def n_fft(self) -> int:
        """Samples of a frame."""

    @property
    def hop(self) -> int:
        """Samples from frame to frame, half of `n_fft`."""

    @property
    def fingerprint(self) -> str:
        """Tells models apart: a state belongs to one of them. SHA-256 of the weights, in hexadecimal."""

    def begin(self, streams: int) -> State:
        """The state of so many streams before their first frame: zeros."""

    def step(self, spectrum: Spectra, state: State) -> tuple[Spectra, State]:
        """`[S, 2·M, T, F]` (reals of all microphones, then imaginaries) to `[S, 2, T, F]`, and what follows."""


class OnnxBackend:
    """A file that `stillwave export` wrote, run by ONNX Runtime on `threads` threads.

    Raises CheckpointError for a file that is none, or one that was exported for whole signals or that looks ahead.
    """

    concurrent = True
    """Whether Python threads can run it at once, each on a core of its own."""

    def __init__(self, file: Path | str | OnnxModel, threads: int = 1) -> None:
        if isinstance(file, (str, Path)):
            # Here, for what checks files takes as long to import as all else.
            from stillwave.inference.onnx_model import read

            model = read(file, threads)
        else:
            model = file
        if model.meta.kind != "stream":
            raise CheckpointError(
                f"{model.path}: was exported for whole signals; export without --offline for one that streams"
            )
        if model.meta.lookahead_frames:
            raise CheckpointError(
                f"{model.path}: looks {model.meta.lookahead_frames} frame(s) ahead, and its estimates would come out "
                "too early; export a network without look-ahead"
            )
        self.name = model.path.stem
        self.meta = model.meta
        self.sample_rate, self.microphones = model.meta.sample_rate, model.meta.microphones
        self.n_fft, self.hop = model.meta.stft.n_fft, model.meta.stft.hop
        self.fingerprint = str(model.meta.card.get("sha256") or model.sha256)
        self._model, self._session = model, model.session
        self._outputs = ["estimate", *(f"next.{name}" for name in model.meta.states)]

    def __reduce__(self) -> tuple[type[OnnxBackend], tuple[OnnxModel]]:
        return type(self), (self._model,)

    def begin(self, streams: int) -> State:
        """Zeros."""
        return {name: np.zeros((streams, *shape), np.float32) for name, shape in self.meta.states.items()}

    def step(self, spectrum: Spectra, state: State) -> tuple[Spectra, State]:
        """See `Engine.step`."""
        feed: dict[str, Any] = {f"state.{name}": value for name, value in state.items()}
        try:
            estimate, *after = self._session.run(self._outputs, {"spectrum": spectrum, **feed})
        except Exception as error:  # ONNX Runtime's own classes have no common ancestor but this
            raise StillwaveError(f"the exported network failed: {str(error).splitlines()[0]}") from error
        return estimate, dict(zip(state, after, strict=True))
