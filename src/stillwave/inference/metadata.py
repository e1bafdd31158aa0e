"""What an exported file says of itself: one JSON object under the key `stillwave` of an ONNX file's metadata.

A streaming file (`kind: stream`) takes `spectrum` float32 `[streams, 2·microphones, frames, bins]` and a
`state.NAME` `[streams, …]` for each of `states`; it gives `estimate` `[streams, 2, frames, bins]` and `next.NAME`.
An offline file (`kind: offline`) takes `noisy` `[batch, samples]` (`[batch, microphones, samples]` of several
microphones) and gives `estimate` `[batch, samples]`; its STFT is inside.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from stillwave.schema import SAMPLE_RATE, Count, Frozen

KEY = "stillwave"
"""The one entry of an ONNX file's `metadata_props`."""
FORMAT: Literal[1] = 1
SPECTRUM, NOISY, ESTIMATE = "spectrum", "noisy", "estimate"
STATE, NEXT = "state.", "next."
"""Prefixes of a memory's name as an input and as an output."""


class StftMetadata(Frozen):
    """The transform around a streaming network (`stillwave.stft`). Frames overlap by half."""

    n_fft: Count
    hop: Count
    window: Literal["sqrt_hann"] = "sqrt_hann"

    @model_validator(mode="after")
    def _half(self) -> StftMetadata:
        if self.n_fft != 2 * self.hop:
            raise ValueError(f"hop must be half of n_fft, got n_fft = {self.n_fft} and hop = {self.hop}")
        return self


class ModelMetadata(Frozen):
    """An exported network: what it takes, what it remembers, what it was made from."""

    format: Literal[1] = FORMAT
    kind: Literal["stream", "offline"]
    sample_rate: Count = SAMPLE_RATE
    microphones: Count = 1
    stft: StftMetadata
    lookahead_frames: Annotated[int, Field(ge=0)] | None = 0
    """Later frames that a frame of the estimate depends on; None: the whole signal."""
    delay_samples: Annotated[int, Field(ge=0)]
    """From a sample's arrival to its estimate, computing time apart: a window. 0 for an offline file."""
    precision: Literal["float32", "float16", "int8"] = "float32"
    states: dict[str, list[Count]] = Field(default_factory=dict)
    """Shapes of the memories without the axis of streams, in the order of the file's inputs."""
    initial: Literal["zeros"] = "zeros"
    """What every state is before a signal's first frame."""
    card: dict[str, Any] = Field(default_factory=dict)
    """The checkpoint's card: network, step, recipe, scores, versions, SHA-256 of the weights."""

    @property
    def bins(self) -> int:
        """Bins of a frame."""
        return self.stft.hop + 1

    @model_validator(mode="after")
    def _remembers(self) -> ModelMetadata:
        if self.kind == "stream" and not self.states:
            raise ValueError("a streaming network has states, this one names none")
        if self.kind == "offline" and self.states:
            raise ValueError("an offline network has no states, this one names some")
        return self
