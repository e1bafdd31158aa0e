"""Metadata of exported files: a JSON object under the key `stillwave` in the metadata of an ONNX file.

A streaming graph (`kind: stream`) has the inputs `spectrum` float32 `[streams, 2·microphones, frames, bins]` and
`state.NAME` `[streams, …]` for each of `states`, and the outputs `estimate` `[streams, 2, frames, bins]` and
`next.NAME`. An offline graph (`kind: offline`) has the input `noisy` `[batch, samples]` (`[batch, microphones,
samples]` for several microphones) and the output `estimate` `[batch, samples]`, with the STFT inside.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from stillwave.schema import SAMPLE_RATE, Count, Frozen

KEY = "stillwave"
"""Key in `metadata_props` of the ONNX file."""
FORMAT: Literal[1] = 1
SPECTRUM, NOISY, ESTIMATE = "spectrum", "noisy", "estimate"
STATE, NEXT = "state.", "next."
"""Prefixes of a state's name as an input and as an output."""


class StftMetadata(Frozen):
    """STFT around a streaming network (`stillwave.stft`). Frames overlap by half."""

    n_fft: Count
    hop: Count
    window: Literal["sqrt_hann"] = "sqrt_hann"

    @model_validator(mode="after")
    def _half(self) -> StftMetadata:
        if self.n_fft != 2 * self.hop:
            raise ValueError(f"hop must be half of n_fft, got n_fft = {self.n_fft} and hop = {self.hop}")
        return self


class ModelMetadata(Frozen):
    """Facts about an exported network."""

    format: Literal[1] = FORMAT
    kind: Literal["stream", "offline"]
    sample_rate: Count = SAMPLE_RATE
    microphones: Count = 1
    stft: StftMetadata
    lookahead_frames: Annotated[int, Field(ge=0)] | None = 0
    """Look-ahead in frames; None for a network that needs the whole signal."""
    delay_samples: Annotated[int, Field(ge=0)]
    """Algorithmic delay in samples: one window; 0 for an offline graph."""
    precision: Literal["float32", "float16", "int8"] = "float32"
    states: dict[str, list[Count]] = Field(default_factory=dict)
    """Shapes of the states without the stream axis, in the order of the inputs."""
    initial: Literal["zeros"] = "zeros"
    """Value of every state before the first frame."""
    card: dict[str, Any] = Field(default_factory=dict)
    """Card of the checkpoint."""

    @property
    def bins(self) -> int:
        """Number of bins of a frame."""
        return self.stft.hop + 1

    @model_validator(mode="after")
    def _has_states(self) -> ModelMetadata:
        if self.kind == "stream" and not self.states:
            raise ValueError("states: expected at least one for a streaming graph")
        if self.kind == "offline" and self.states:
            raise ValueError("states: expected none for an offline graph")
        return self
