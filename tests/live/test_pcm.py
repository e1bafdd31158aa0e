"""Files that are piped into where raw samples belong are recognised, and raw samples are not."""

from __future__ import annotations

import io

import numpy as np
import pytest
import soundfile

from stillwave.live.pcm import HEAD, container

FORMATS = {"WAV": "WAV", "FLAC": "FLAC", "OGG": "Ogg", "AIFF": "AIFF", "CAF": "Core Audio", "AU": "AU", "W64": "Wave64",
           "RF64": "WAV", "WAVEX": "WAV"}  # fmt: skip


@pytest.mark.parametrize("format", FORMATS)
def test_containers_of_libsndfile_are_detected(format):
    file = io.BytesIO()
    soundfile.write(file, np.zeros(100), 16_000, format=format)
    assert container(file.getvalue()[:HEAD]) == FORMATS[format]


@pytest.mark.parametrize(
    ("head", "name"),
    [
        (b"ID3\x04\x00\x00\x00\x00\x01\x00", "MP3"),
        (b"\x00\x00\x00\x20ftypM4A ", "MP4"),
        (b"\x1a\x45\xdf\xa3\x01\x00", "Matroska or WebM"),
        (b"#!AMR\n", "AMR"),
        (b"NIST_1A\n   1024\n", "NIST SPHERE"),
        (b"RIFF\x00\x00\x00\x00WEBP", None),
        (b"RIFF", None),
        (b"", None),
        (b"\xff\xfb\x90\x64", None),  # MP3 without a tag, and −1025 and 25744 as samples
    ],
)
def test_other_formats(head, name):
    assert container(head) == name


@pytest.mark.parametrize("kind", ["<i2", "<f4"])
def test_samples_are_not_detected_as_a_file(kind):
    rng = np.random.default_rng(0)
    for _ in range(2_000):
        samples = 0.3 * rng.standard_normal(8)
        head = (samples * 2**15 if kind == "<i2" else samples).astype(kind).tobytes()[:HEAD]
        assert container(head) is None
