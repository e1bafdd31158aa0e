"""Read and write formats that libsndfile does not support (m4a, mp4, mkv, webm, wma, aac, …), with ffmpeg."""

from stillwave.audio.ffmpeg.kinds import (
    MEDIA,
    MEDIA_FORMATS,
    holds_media,
    is_foreign,
    is_media,
    target_name,
    target_suffix,
)
from stillwave.audio.ffmpeg.program import found
from stillwave.audio.ffmpeg.reading import FfmpegDecoder
from stillwave.audio.ffmpeg.writing import MediaWriter, open_encoder

__all__ = [
    "MEDIA",
    "MEDIA_FORMATS",
    "FfmpegDecoder",
    "MediaWriter",
    "found",
    "holds_media",
    "is_foreign",
    "is_media",
    "open_encoder",
    "target_name",
    "target_suffix",
]
