"""Read, write and resample recordings; samples are float32 `[channels, samples]`, full scale ±1."""

from stillwave.audio.contract import (
    LOUDEST,
    Samples,
    check,
    check_array,
    check_channels,
    check_finite,
    check_rate,
    energy,
    silence_faults,
)
from stillwave.audio.ffmpeg import MEDIA
from stillwave.audio.formats import FORMATS, nearest_rate, subtype_for
from stillwave.audio.reading import AudioInfo, Reader, measure, open_reader, probe, read
from stillwave.audio.resampling import Resampler, resample
from stillwave.audio.writing import Kept, Writer, WriteReport, open_writer, write

__all__ = [
    "FORMATS",
    "LOUDEST",
    "MEDIA",
    "AudioInfo",
    "Kept",
    "Reader",
    "Resampler",
    "Samples",
    "WriteReport",
    "Writer",
    "check",
    "check_array",
    "check_channels",
    "check_finite",
    "check_rate",
    "energy",
    "measure",
    "nearest_rate",
    "open_reader",
    "open_writer",
    "probe",
    "read",
    "resample",
    "silence_faults",
    "subtype_for",
    "write",
]
