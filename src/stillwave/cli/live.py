"""`stillwave live`: from a microphone to a loudspeaker or a virtual device, through a causal network."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from stillwave.console import err

if TYPE_CHECKING:
    from stillwave.live.processor import LiveProcessor, LiveWorker


def live(
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            "-m",
            help="A model that ships (`stillwave models`), an exported .onnx file, or a causal checkpoint; "
            "by default the default model.",
        ),
    ] = None,
    listing: Annotated[bool, typer.Option("--list", help="List the sound devices and exit.")] = False,
    source: Annotated[
        str | None,
        typer.Option(
            "--input", "-i", help="Input device, by its number or a part of its name; default: the system's."
        ),
    ] = None,
    sink: Annotated[
        str | None,
        typer.Option(
            "--output",
            "-o",
            help="Output device, by its number or a part of its name; default: the system's.",
        ),
    ] = None,
    rate: Annotated[
        int | None, typer.Option("--rate", help="Sampling rate in Hz; default: that of the output device.")
    ] = None,
    block_ms: Annotated[
        float,
        typer.Option(
            "--block-ms", help="Length of an audio block of the device in milliseconds.", min=1, max=200
        ),
    ] = 10.0,
    lag: Annotated[
        int,
        typer.Option(
            "--lag",
            help="How many blocks may wait for processing before a deadline is missed.",
            min=1,
            max=50,
        ),
    ] = 2,
    limit_db: Annotated[
        float | None,
        typer.Option("--limit-db", help="Reduce noise by at most this many dB; default: no limit.", min=0),
    ] = None,
    seconds: Annotated[
        float | None,
        typer.Option("--seconds", help="Stop after this many seconds; default: on q or Ctrl-C.", min=0),
    ] = None,
    as_json: Annotated[
        bool,
        typer.Option(
            "--json", help="Print one JSON object to stdout at the end; with --list, a list of devices."
        ),
    ] = False,
) -> None:
    """Denoise live sound: microphone in, loudspeaker or virtual device out.

    Press b to hear the microphone as it is, q to end. Where the machine is too
    slow for a block, the microphone is faded in until blocks have been in time
    for a quarter of a second; what was missed is counted and shown. Nothing
    is recorded.

    Example:
        stillwave live --list
        stillwave live -i "USB" -o "VB-Cable"

    """
    if listing:
        _list(as_json)
        return
    from stillwave.inference import load
    from stillwave.live.devices import find, running
    from stillwave.live.processor import LiveProcessor, LiveWorker

    microphone, speaker = find(source, "input"), find(sink, "output")
    stream = load(model, "cpu").open(rate or speaker.rate, limit_db=limit_db)
    lane = LiveProcessor(stream, max(1, round(block_ms * stream.rate / 1000)), lag)
    err.print(
        f"{microphone.name} → {speaker.name}, {stream.rate} Hz, {1000 * lane.delay_samples / stream.rate:.0f} ms "
        "and what the devices add",
        markup=False,
        highlight=False,
    )
    worker = LiveWorker(lane)
    worker.start()
    try:
        with suppress(KeyboardInterrupt), running(lane, microphone, speaker):
            _show(lane, worker, seconds)
    finally:
        worker.stop()
    _end(lane, worker, as_json)


def _list(as_json: bool) -> None:
    from rich.console import Console
    from rich.table import Table

    from stillwave.live.devices import devices

    found = devices()
    if as_json:
        typer.echo(json.dumps([asdict(device) for device in found], indent=2, ensure_ascii=False))
        return
    table = Table("number", "name", "in", "out", "Hz", "default for")
    for device in found:
        figures = (device.inputs, device.outputs, device.rate)
        table.add_row(str(device.number), device.name, *map(str, figures), ", ".join(device.default))
    Console().print(table)


def _show(lane: LiveProcessor, worker: LiveWorker, seconds: float | None) -> None:
    """Draw the meters and obey the keys until the end is asked for."""
    import time

    from rich.live import Live

    from stillwave.live.keyboard import keyboard
    from stillwave.live.meters import table

    end = None if seconds is None else time.monotonic() + seconds
    with (
        keyboard() as pressed,
        Live(table(lane), console=err, refresh_per_second=10, transient=True) as shown,
    ):
        while worker.error is None and (end is None or time.monotonic() < end):
            key = pressed().lower()
            if key == "q":
                return
            if key == "b":
                lane.bypass = not lane.bypass
            shown.update(table(lane))
            time.sleep(0.05)


def _end(lane: LiveProcessor, worker: LiveWorker, as_json: bool) -> None:
    from stillwave.live.meters import counts

    err.print(counts(lane.figures), highlight=False)
    if as_json:
        typer.echo(json.dumps(asdict(lane.figures), indent=2, allow_nan=False))
    if worker.error is not None:
        raise worker.error
