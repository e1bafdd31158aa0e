"""Backends execute causal networks on spectra: ONNX Runtime here, PyTorch in `torch_backend`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from stillwave.errors import CheckpointError, StillwaveError

if TYPE_CHECKING:
    from stillwave.inference.onnx_model import OnnxModel

State = dict[str, NDArray[np.float32]]
"""States of a network by name, `[S, …]` for S streams."""
Spectra = NDArray[np.float32]


class Backend(Protocol):
    """Executes a causal network on any number of frames. It holds no state: states are passed in and returned."""

    @property
    def sample_rate(self) -> int:
        """Sampling rate of the network, in Hz."""

    @property
    def microphones(self) -> int:
        """Input channels of one stream."""

    @property
    def n_fft(self) -> int:
        """Length of a frame, in samples."""

    @property
    def hop(self) -> int:
        """Distance of two frames in samples, half of `n_fft`."""

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the weights in hexadecimal, which identifies the model that a state belongs to."""

    def begin(self, streams: int) -> State:
        """Return the state of `streams` streams before their first frame."""

    def step(self, spectrum: Spectra, state: State) -> tuple[Spectra, State]:
        """Process the next frames.

        Args:
            spectrum: `[S, 2·M, T, F]`, real parts of all microphones, then imaginary parts.
            state: State after the previous frames.

        Returns:
            The estimate `[S, 2, T, F]` and the new state.

        """


class OnnxBackend:
    """Execute a streaming graph that `stillwave export` wrote with ONNX Runtime.

    Args:
        file: `.onnx` file, or the result of `onnx_model.read`.
        threads: Number of CPU threads.

    Raises:
        CheckpointError: The file cannot be read, holds an offline graph, or its network has look-ahead.

    """

    concurrent = True
    """Several Python threads can call it at once, each on its core."""

    def __init__(self, file: Path | str | OnnxModel, threads: int = 1) -> None:
        if isinstance(file, (str, Path)):
            from stillwave.inference.onnx_model import read  # imports pydantic, which is slow

            model = read(file, threads)
        else:
            model = file
        if model.meta.kind != "stream":
            raise CheckpointError(
                f"{model.path}: is an offline graph, which cannot stream; export it without --offline"
            )
        if model.meta.lookahead_frames:
            raise CheckpointError(
                f"{model.path}: has a look-ahead of {model.meta.lookahead_frames} frame(s), which streams do not "
                "support; export a network without look-ahead"
            )
        self.name = model.path.stem
        self.meta = model.meta
        self.sample_rate, self.microphones = model.meta.sample_rate, model.meta.microphones
        self.n_fft, self.hop = model.meta.stft.n_fft, model.meta.stft.hop
        self.fingerprint = str(model.meta.card.get("sha256") or model.sha256)
        self._model, self._session = model, model.session
        self._one_frame: Any = None
        self._outputs = ["estimate", *(f"next.{name}" for name in model.meta.states)]

    def __reduce__(self) -> tuple[type[OnnxBackend], tuple[OnnxModel]]:
        return type(self), (self._model,)

    def prepare_frames(self) -> None:
        """Compute single frames of one stream with a session whose axes are fixed, in about 0.8 of the time.

        The results are the same. A `Stream` calls this when it is opened, since that takes longer than a frame.
        """
        if self._one_frame is None:
            self._one_frame = self._model.one_frame_session() or self._session

    def begin(self, streams: int) -> State:
        """See `Backend.begin`."""
        return {name: np.zeros((streams, *shape), np.float32) for name, shape in self.meta.states.items()}

    def step(self, spectrum: Spectra, state: State) -> tuple[Spectra, State]:
        """See `Backend.step`."""
        feed: dict[str, Any] = {f"state.{name}": value for name, value in state.items()}
        is_one = self._one_frame is not None and spectrum.shape[0] == spectrum.shape[2] == 1
        session = self._one_frame if is_one else self._session
        try:
            estimate, *following = session.run(self._outputs, {"spectrum": spectrum, **feed})
        except Exception as error:  # the only common base of ONNX Runtime's errors
            raise StillwaveError(f"the exported network failed: {str(error).splitlines()[0]}") from error
        return estimate, dict(zip(state, following, strict=True))
