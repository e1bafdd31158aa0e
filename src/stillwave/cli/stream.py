"""`stillwave stream`: enhance raw PCM from stdin to stdout with a causal network."""

from __future__ import annotations

import sys
from collections.abc import Callable
from enum import Enum
from typing import TYPE_CHECKING, Annotated

import typer

from stillwave.cli.options import (
    SIGNAL,
    Bandwidth,
    BandwidthOption,
    CausalModel,
    KeepCleanOption,
    LimitDb,
    Strength,
    limit_of,
)
from stillwave.cli.pipes import check_pipes, naming_stdout
from stillwave.console import note
from stillwave.errors import AudioError

if TYPE_CHECKING:
    from stillwave.inference import Stream
    from stillwave.live.pcm import Piped


class PcmFormat(str, Enum):
    """Sample formats, named as in ffmpeg."""

    s16le = "s16le"
    f32le = "f32le"


def stream(
    model: CausalModel = None,
    rate: Annotated[
        int, typer.Option("--rate", rich_help_panel=SIGNAL, help="Sampling rate of stdin and stdout in Hz.")
    ] = 16_000,
    channels: Annotated[
        int,
        typer.Option(
            "--channels",
            min=1,
            max=64,
            rich_help_panel=SIGNAL,
            help="Number of interleaved channels in stdin and stdout.",
        ),
    ] = 1,
    format: Annotated[
        PcmFormat,
        typer.Option(
            "--format",
            rich_help_panel=SIGNAL,
            help="Sample format of stdin and stdout: 16-bit integers or 32-bit floats, little-endian.",
        ),
    ] = PcmFormat.s16le,
    limit_db: LimitDb = None,
    strength: Strength = None,
    bandwidth: BandwidthOption = Bandwidth.full,
    keep_clean: KeepCleanOption = False,
    block: Annotated[
        int,
        typer.Option(
            "--block",
            min=1,
            help="Largest number of samples per channel that are read and processed at once.",
        ),
    ] = 16_384,
    keep_delay: Annotated[
        bool,
        typer.Option(
            "--keep-delay",
            help="Write as many samples as were read: the output starts with silence for the delay and omits the "
            "end of the input.",
        ),
    ] = False,
    status: Annotated[
        bool, typer.Option("--status", help="Print a status line to stderr every second.")
    ] = False,
) -> None:
    """Remove noise from raw PCM, from stdin to stdout, as it arrives.

    Samples are written as soon as their window of 32 ms is complete: the delay
    is constant, 511 samples at 16 kHz and 35.9 ms at 48 kHz. The output has the
    length of the input and is aligned with it. Raw PCM has no header: state
    --rate and --channels.

    Example:
        arecord -q -t raw -f S16_LE -r 16000 | stillwave stream | aplay -q -t raw -f S16_LE -r 16000
        ffmpeg -i talk.mp4 -f s16le -ar 48000 -ac 1 - | stillwave stream -m student.onnx --rate 48000 > talk.pcm

    """
    _check_pipes()
    from stillwave.inference import load
    from stillwave.live.pcm import run

    enhancer = load(model, "cpu", bandwidth=bandwidth.value, keep_clean=keep_clean)
    opened = _open(enhancer, rate, channels, limit_of(limit_db, strength))
    with naming_stdout():
        done = run(
            opened,
            sys.stdin.buffer,
            sys.stdout.buffer,
            format=format.value,
            keep_delay=keep_delay,
            most=block,
            watch=_watch(opened) if status else None,
            notice=_warn_of_file,
        )
    _warn(opened, done)


def _check_pipes() -> None:
    check_pipes("pipe raw samples into it (arecord, ffmpeg -f s16le, …)")


def _open(enhancer: object, rate: int, channels: int, limit_db: float | None) -> Stream:
    from stillwave.inference import Enhancer

    assert isinstance(enhancer, Enhancer)
    if enhancer.microphones not in (1, channels):
        raise AudioError(f"--channels {channels}: this network needs {enhancer.microphones} microphones")
    return enhancer.open(rate, channels // enhancer.microphones, limit_db)


def _watch(stream: Stream) -> Callable[[Piped], None]:
    """Return a function that prints progress to stderr, at most once a second."""
    import time

    begun = printed = time.monotonic()

    def watch(done: Piped) -> None:
        nonlocal printed
        now = time.monotonic()
        if now - printed >= 1:
            printed = now
            seconds = done.samples / stream.rate
            note(
                f"{seconds:.1f} s of audio in {now - begun:.1f} s, {done.clipped} clipped, "
                f"{stream.repaired} repaired"
            )

    return watch


def _warn_of_file(name: str) -> None:
    note(
        f"stdin starts like a {name} file, but its bytes are read as raw samples: enhance files with "
        "`stillwave enhance - < IN > OUT`, or decode them first (ffmpeg -i IN -f s16le -ar 16000 -ac 1 -)",
        "yellow",
    )


def _warn(stream: Stream, done: Piped) -> None:
    faults = {
        f"the input ended within a sample; {done.left_out} byte(s) were dropped": done.left_out,
        f"{done.clipped} samples were beyond full scale and were clipped; f32le keeps them": done.clipped,
        f"{stream.repaired} samples were NaN, infinite or out of range and were replaced by silence": stream.repaired,
        f"the network state was reset {stream.restarts} time(s): samples far beyond full scale": stream.restarts,
    }
    for words, count in faults.items():
        if count:
            note(words, "yellow")
