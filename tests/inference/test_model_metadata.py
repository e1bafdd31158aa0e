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
    ("change", "place", "kind"),
    [
        ({"stft": {"n_fft": 512, "hop": 128}}, ("stft",), "value_error"),
        ({"states": {}}, (), "value_error"),
        ({"kind": "offline"}, (), "value_error"),
        ({"format": 2}, ("format",), "literal_error"),
        ({"states": {"a": [0]}}, ("states", "a", 0), "greater_than_equal"),
        ({"window": "hann"}, ("window",), "extra_forbidden"),
    ],
)
def test_invalid_metadata_is_refused(change, place, kind) -> None:
    with pytest.raises(ValidationError) as caught:
        ModelMetadata.model_validate({**STREAM, **change})
    (error,) = caught.value.errors()
    assert (error["loc"], error["type"]) == (place, kind)
