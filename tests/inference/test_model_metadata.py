"""Validation of the metadata of an exported file."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from stillwave.inference.metadata import ModelMetadata

STFT = {"n_fft": 512, "hop": 256}
STREAM = {"kind": "stream", "stft": STFT, "delay_samples": 512, "states": {"a": [2, 3]}}


def test_valid_metadata_is_read_back() -> None:
    meta = ModelMetadata.model_validate(STREAM)
    assert ModelMetadata.model_validate_json(meta.model_dump_json()) == meta
    assert meta.bins == 257


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"stft": {"n_fft": 512, "hop": 128}}, "hop must be half of n_fft"),
        ({"states": {}}, "states: expected at least one"),
        ({"kind": "offline"}, "states: expected none"),
        ({"format": 2}, "Input should be 1"),
        ({"states": {"a": [0]}}, "greater than or equal to 1"),
        ({"window": "hann"}, "Extra inputs are not permitted"),
    ],
)
def test_invalid_metadata_is_refused(change, message) -> None:
    with pytest.raises(ValidationError, match=message):
        ModelMetadata.model_validate({**STREAM, **change})
