"""`stillwave live`: enhance live sound from a microphone to a loudspeaker or a virtual device."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from stillwave.cli.options import (
    AsJson,
    Bandwidth,
    BandwidthOption,
    CausalModel,
    KeepCleanOption,
    LimitDb,
    Strength,
    limit_of,
)
from stillwave.cli.pipes import print_json
from stillwave.console import err, note

if TYPE_CHECKING:
    from stillwave.live.processor import LiveProcessor, LiveWorker

DEVICES = "Devices"


def live(
    model: CausalModel = None,
    limit_db: LimitDb = None,
    strength: Strength = None,
    bandwidth: BandwidthOption = Bandwidth.full,
    keep_clean: KeepCleanOption = False,
    listing: Annotated[
        bool, typer.Option("--list", rich_help_panel=DEVICES, help="List the sound devices and exit.")
    ] = False,
    source: Annotated[
        str | None,
        typer.Option(
            "--input",
            "-i",
            metavar="DEVICE",
            rich_help_panel=DEVICES,
            help="Number of the input device or a part of its name; default: the system's.",
        ),
    ] = None,
    sink: Annotated[
        str | None,
        typer.Option(
            "--output",
            "-o",
            metavar="DEVICE",
            rich_help_panel=DEVICES,
            help="Number of the output device or a part of its name; default: the system's.",
        ),
    ] = None,
    rate: Annotated[
        int | None,
        typer.Option(
            "--rate", rich_help_panel=DEVICES, help="Sampling rate in Hz; default: that of the output device."
        ),
    ] = None,
    block_ms: Annotated[
        float,
        typer.Option(
            "--block-ms",
            rich_help_panel=DEVICES,
            help="Length of an audio block of the device in milliseconds.",
            min=1,
            max=200,
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
    seconds: Annotated[
        float | None,
        typer.Option("--seconds", help="Stop after this many seconds; default: on q or Ctrl-C.", min=0),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Remove noise from live sound, from a microphone to a loudspeaker or virtual device.

    Press b for the unprocessed microphone, q to quit. If a block is not ready in
    time, the output fades to the microphone until blocks have been in time for
    a quarter of a second; late blocks are counted and shown. Nothing is
    recorded.

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
    stream = load(model, "cpu", bandwidth=bandwidth.value, keep_clean=keep_clean).open(
        rate or speaker.rate, limit_db=limit_of(limit_db, strength)
    )
    processor = LiveProcessor(stream, max(1, round(block_ms * stream.rate / 1000)), lag)
    note(
        f"{microphone.name} → {speaker.name}, {stream.rate} Hz, {1000 * processor.delay_samples / stream.rate:.0f} ms "
        "plus the delay of the devices"
    )
    worker = LiveWorker(processor)
    worker.start()
    try:
        with suppress(KeyboardInterrupt), running(processor, microphone, speaker):
            _show(processor, worker, seconds)
    finally:
        worker.stop()
    _end(processor, worker, as_json)


def _list(as_json: bool) -> None:
    from rich.console import Console
    from rich.table import Table

    from stillwave.live.devices import devices

    found = devices()
    if as_json:
        print_json([asdict(device) for device in found])
        return
    table = Table("number", "name", "in", "out", "Hz", "default for")
    for device in found:
        figures = (device.inputs, device.outputs, device.rate)
        table.add_row(str(device.number), device.name, *map(str, figures), ", ".join(device.default))
    Console().print(table)


def _show(processor: LiveProcessor, worker: LiveWorker, seconds: float | None) -> None:
    """Show the meters and handle keys until the user quits."""
    import time

    from rich.live import Live

    from stillwave.live.keyboard import keyboard
    from stillwave.live.meters import table

    end = None if seconds is None else time.monotonic() + seconds
    with (
        keyboard() as pressed,
        Live(table(processor), console=err, refresh_per_second=10, transient=True) as shown,
    ):
        while worker.error is None and (end is None or time.monotonic() < end):
            key = pressed().lower()
            if key == "q":
                return
            if key == "b":
                processor.bypass = not processor.bypass
            shown.update(table(processor))
            time.sleep(0.05)


def _end(processor: LiveProcessor, worker: LiveWorker, as_json: bool) -> None:
    from stillwave.live.meters import counts

    note(counts(processor.statistics))
    if as_json:
        print_json(asdict(processor.statistics))
    if worker.error is not None:
        raise worker.error
