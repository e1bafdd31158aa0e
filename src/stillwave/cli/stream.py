"""`stillwave stream`: raw PCM through a causal network, from stdin to stdout, as it comes."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import Enum
from typing import TYPE_CHECKING, Annotated

import typer

from stillwave.cli.pipes import check_pipes
from stillwave.console import err
from stillwave.errors import AudioError

if TYPE_CHECKING:
    from stillwave.inference import Stream
    from stillwave.live.pcm import Piped


class PcmFormat(str, Enum):
    """Sample formats, by their names in ffmpeg."""

    s16le = "s16le"
    f32le = "f32le"


def stream(
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            "-m",
            help="A model that ships (`stillwave models`), an exported .onnx file, or a checkpoint of a causal "
            "network; by default the default model.",
        ),
    ] = None,
    rate: Annotated[int, typer.Option("--rate", help="Sampling rate of stdin and stdout in Hz.")] = 16_000,
    channels: Annotated[
        int,
        typer.Option("--channels", help="Number of interleaved channels in stdin and stdout.", min=1, max=64),
    ] = 1,
    format: Annotated[
        PcmFormat,
        typer.Option(
            "--format",
            help="Sample format of stdin and stdout: 16-bit integers or 32-bit floats, little-endian.",
        ),
    ] = PcmFormat.s16le,
    block: Annotated[
        int,
        typer.Option(
            "--block",
            help="Largest number of samples per channel that are read and processed at once.",
            min=1,
        ),
    ] = 16_384,
    limit_db: Annotated[
        float | None,
        typer.Option("--limit-db", help="Reduce noise by at most this many dB; default: no limit.", min=0),
    ] = None,
    keep_delay: Annotated[
        bool,
        typer.Option(
            "--keep-delay",
            help="Write as many samples as were read, at once: the output begins with silence as "
            "long as the delay, and the last part of the input is not written.",
        ),
    ] = False,
    status: Annotated[
        bool, typer.Option("--status", help="Print a status line to stderr every second.")
    ] = False,
) -> None:
    """Denoise raw PCM on its way through a pipe, with a causal network.

    What is on stdin is taken at once, and cleaned as soon as its window of
    32 ms is complete. As many samples come out as went in, in their places:
    the output starts a constant delay after the input (511 samples at 16 kHz,
    35.9 ms at 48 kHz), and ends with it. With --keep-delay it starts at once,
    with silence, and stays behind. A format without a header has no rate or
    channels of its own: state them.

    Example:
        arecord -q -t raw -f S16_LE -r 16000 | stillwave stream | aplay -q -t raw -f S16_LE -r 16000
        ffmpeg -i talk.mp4 -f s16le -ar 48000 -ac 1 - | stillwave stream -m student.onnx --rate 48000 > talk.pcm

    """
    _check_pipes()
    from stillwave.inference import load
    from stillwave.live.pcm import run

    opened = _open(load(model, "cpu"), rate, channels, limit_db)
    with _quiet_pipe():
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
        raise AudioError(
            f"--channels {channels}: this network takes {enhancer.microphones} microphones, and gives one channel"
        )
    return enhancer.open(rate, channels // enhancer.microphones, limit_db)


@contextmanager
def _quiet_pipe() -> Iterator[None]:
    """When our reader has gone, leave nothing for Python to complain about as it ends."""
    try:
        yield
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise


def _watch(stream: Stream) -> Callable[[Piped], None]:
    """Figures on stderr, at most once a second."""
    import time

    begun = told = time.monotonic()

    def watch(done: Piped) -> None:
        nonlocal told
        now = time.monotonic()
        if now - told >= 1:
            told = now
            seconds = done.samples / stream.rate
            err.print(
                f"{seconds:.1f} s of sound in {now - begun:.1f} s, {done.clipped} clipped, "
                f"{stream.repaired} repaired",
                highlight=False,
            )

    return watch


def _warn_of_file(name: str) -> None:
    err.print(
        f"stdin begins like a {name} file, and its bytes are taken as raw samples: clean files with "
        "`stillwave enhance - < IN > OUT`, or decode them first (ffmpeg -i IN -f s16le -ar 16000 -ac 1 -)",
        style="yellow",
        markup=False,
        highlight=False,
        soft_wrap=True,
    )


def _warn(stream: Stream, done: Piped) -> None:
    faults = {
        f"the input ended within a sample; {done.left_out} byte(s) are left out": done.left_out,
        f"{done.clipped} samples were beyond full scale and are clipped; f32le would keep them": done.clipped,
        f"{stream.repaired} samples were NaN, infinite or beyond any audio, and were taken as silence": stream.repaired,
        f"the network began anew {stream.restarts} time(s): samples far beyond full scale": stream.restarts,
    }
    for words, count in faults.items():
        if count:
            err.print(words, style="yellow", markup=False, highlight=False)
