"""Sound devices through sounddevice (PortAudio), an optional extra: which there are, and a lane between two of them."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

from stillwave.errors import AudioError, MissingExtraError, StillwaveError
from stillwave.live.processor import LiveProcessor

Kind = Literal["input", "output"]


@dataclass(frozen=True)
class Device:
    """A sound device. `default` names what it is the system's default for."""

    number: int
    name: str
    inputs: int
    """Channels."""
    outputs: int
    rate: int
    """Its own sampling rate, in Hz."""
    default: tuple[Kind, ...] = ()


def devices() -> list[Device]:
    """All sound devices. Raises MissingExtraError without sounddevice, StillwaveError without PortAudio."""
    sound = _sounddevice()
    chosen = dict(zip(("input", "output"), sound.default.device, strict=True))
    found = []
    for number, entry in enumerate(sound.query_devices()):
        default = tuple(kind for kind in ("input", "output") if chosen[kind] == number)
        channels = int(entry["max_input_channels"]), int(entry["max_output_channels"])
        rate = round(entry["default_samplerate"])
        found.append(Device(number, str(entry["name"]), *channels, rate, default))  # type: ignore[arg-type]
    return found


def find(wanted: str | None, kind: Kind) -> Device:
    """The device of that number or name (a part of it will do, in any case), or the system's default.

    Raises AudioError where none or more than one fits.
    """
    able = [device for device in devices() if (device.inputs if kind == "input" else device.outputs)]
    if wanted is None:
        chosen = [device for device in able if kind in device.default] or able[:1]
        if not chosen:
            raise AudioError(f"there is no {kind} device; `stillwave live --list` shows what there is")
        return chosen[0]
    if wanted.isdecimal():
        fitting = [device for device in able if device.number == int(wanted)]
    else:
        exact = [device for device in able if device.name == wanted]
        fitting = exact or [device for device in able if wanted.casefold() in device.name.casefold()]
    if len(fitting) == 1:
        return fitting[0]
    known = "; ".join(f"{device.number}: {device.name}" for device in fitting or able) or "there is none"
    how = "fits more than one" if fitting else "is no"
    raise AudioError(f"'{wanted}' {how} {kind} device ({known}); give a number or more of a name")


@contextmanager
def running(lane: LiveProcessor, source: Device, sink: Device) -> Iterator[Any]:
    """Sound goes from `source` through `lane` to all of `sink`'s first two channels while this context lasts.

    Raises AudioError for devices that cannot be opened so.
    """
    sound = _sounddevice()
    microphones = lane.stream.backend.microphones
    if source.inputs < microphones:
        raise AudioError(
            f"{source.name}: has {source.inputs} channels, this network takes {microphones} microphones"
        )

    def callback(indata: Any, outdata: Any, frames: int, time: Any, status: Any) -> None:
        del frames, time  # blocks have the size that was asked for
        lane.figures.device_faults += bool(status)
        outdata[:] = lane.exchange(indata.T)[:, None]

    try:
        with sound.Stream(
            samplerate=lane.stream.rate,
            blocksize=lane.block,
            device=(source.number, sink.number),
            channels=(microphones, min(2, sink.outputs)),
            dtype="float32",
            latency="low",
            callback=callback,
        ) as opened:
            yield opened
    except sound.PortAudioError as error:
        raise AudioError(
            f"{source.name} and {sink.name} cannot be opened at {lane.stream.rate} Hz: {error}; try --rate or "
            "other devices (--list)"
        ) from None


def _sounddevice() -> Any:
    try:
        return importlib.import_module("sounddevice")
    except ModuleNotFoundError:
        raise MissingExtraError("live sound", "live") from None
    except OSError:
        raise StillwaveError(
            "live sound needs the PortAudio library, which is not installed: apt install libportaudio2 "
            "(or your system's package of that name)"
        ) from None
