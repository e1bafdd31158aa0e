"""Audio devices through sounddevice (PortAudio), an optional extra."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

from stillwave.errors import AudioError, MissingExtraError, StillwaveError
from stillwave.live import sound_server
from stillwave.live.processor import LiveProcessor

Kind = Literal["input", "output"]


@dataclass(frozen=True)
class Device:
    """An audio device. `default` lists the directions that it is the system's default for."""

    number: int
    name: str
    inputs: int
    """Number of input channels."""
    outputs: int
    rate: int
    """Default sampling rate, in Hz."""
    default: tuple[Kind, ...] = ()
    through: int | None = None
    """Number of the device that reaches it, for a sink or source of PulseAudio or PipeWire."""


def devices() -> list[Device]:
    """Return all devices, then the sinks and sources of PulseAudio or PipeWire.

    Raises MissingExtraError without sounddevice, StillwaveError without PortAudio.
    """
    sound = _sounddevice()
    chosen = dict(zip(("input", "output"), sound.default.device, strict=True))
    found = []
    for number, entry in enumerate(sound.query_devices()):
        default = tuple(kind for kind in ("input", "output") if chosen[kind] == number)
        channels = int(entry["max_input_channels"]), int(entry["max_output_channels"])
        rate = round(entry["default_samplerate"])
        found.append(Device(number, str(entry["name"]), *channels, rate, default))  # type: ignore[arg-type]
    return found + _of_sound_server(found)


def _of_sound_server(found: list[Device]) -> list[Device]:
    """Return a device for each sink and source that the ALSA device of the sound server reaches."""
    through = next((device.number for device in found if device.name == sound_server.ALSA_DEVICE), None)
    if through is None:
        return []
    sources = [(node, node.channels, 0) for node in sound_server.nodes("sources")]
    sinks = [(node, 0, node.channels) for node in sound_server.nodes("sinks")]
    return [
        Device(number, node.name, inputs, outputs, node.rate, through=through)
        for number, (node, inputs, outputs) in enumerate(sources + sinks, len(found))
    ]


def find(wanted: str | None, kind: Kind) -> Device:
    """Return the device with this number or name (or part of a name, ignoring case), or the system's default.

    Raises AudioError if no device or more than one matches.
    """
    candidates = [device for device in devices() if (device.inputs if kind == "input" else device.outputs)]
    if wanted is None:
        chosen = [device for device in candidates if kind in device.default] or candidates[:1]
        if not chosen:
            raise AudioError(f"there is no {kind} device; `stillwave live --list` lists all devices")
        return chosen[0]
    if wanted.isdecimal():
        matches = [device for device in candidates if device.number == int(wanted)]
    else:
        exact = [device for device in candidates if device.name == wanted]
        matches = exact or [device for device in candidates if wanted.casefold() in device.name.casefold()]
    if len(matches) == 1:
        return matches[0]
    known = (
        "; ".join(f"{device.number}: {device.name}" for device in matches or candidates) or "there is none"
    )
    how = "matches more than one" if matches else "matches no"
    raise AudioError(f"'{wanted}' {how} {kind} device ({known}); give a number or a longer part of the name")


@contextmanager
def running(processor: LiveProcessor, source: Device, sink: Device) -> Iterator[Any]:
    """Within this context, stream from `source` through `processor` to the first two channels of `sink`.

    Raises AudioError if the devices cannot be opened.
    """
    sound = _sounddevice()
    microphones = processor.stream.backend.microphones
    if source.inputs < microphones:
        raise AudioError(
            f"{source.name}: has {source.inputs} channels, this network needs {microphones} microphones"
        )

    def callback(indata: Any, outdata: Any, frames: int, time: Any, status: Any) -> None:
        del frames, time  # blocks have the requested size
        processor.statistics.device_faults += bool(status)
        outdata[:] = processor.exchange(indata.T)[:, None]

    names = [None if device.through is None else device.name for device in (source, sink)]
    numbers = [device.number if device.through is None else device.through for device in (source, sink)]
    try:
        with (
            sound_server.selected(*names),
            sound.Stream(
                samplerate=processor.stream.rate,
                blocksize=processor.block,
                device=tuple(numbers),
                channels=(microphones, min(2, sink.outputs)),
                dtype="float32",
                latency="low",
                callback=callback,
            ) as opened,
        ):
            yield opened
    except sound.PortAudioError as error:
        raise AudioError(
            f"{source.name} and {sink.name} cannot be opened at {processor.stream.rate} Hz: {error}; use --rate or "
            "other devices (--list)"
        ) from None


def _sounddevice() -> Any:
    try:
        return importlib.import_module("sounddevice")
    except ModuleNotFoundError:
        raise MissingExtraError("live audio", "live") from None
    except OSError:
        raise StillwaveError(
            "live audio needs the PortAudio library: apt install libportaudio2 (or the package of your system)"
        ) from None
