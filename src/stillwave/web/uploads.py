"""Receive a file, as the body of a request or as a part of a form, into a file on the disk."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from python_multipart.exceptions import MultipartParseError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import ClientDisconnect, Request

from stillwave.web.names import base_name, name_in_disposition, suffix_of
from stillwave.web.problems import Problem
from stillwave.web.settings import Settings

_SLOWEST = 1_000
"""Least average number of bytes per second of an upload."""
_LONGEST_HEADER = 4_096


@dataclass(frozen=True)
class Upload:
    """A received file; `name` is its name at the sender, without folders."""

    path: Path
    name: str
    size: int


async def receive(request: Request, folder: Path, settings: Settings, name: str = "") -> Upload:
    """Write the file in a request to `folder`.

    Args:
        request: Its body is the file, or a form (multipart/form-data) with one part `file`.
        folder: Private folder for the file.
        settings: Limits of size and time.
        name: Name of the file, if the request does not have one.

    Raises:
        Problem: The request is too large, too slow, empty, or not a valid form.
        ClientDisconnect: The sender is gone.

    """
    _check_length(request, settings)
    kind, parameters = parse_options_header(request.headers.get("content-type", ""))
    raw = folder / "body"
    with raw.open("xb") as handle:
        sink = (
            _Form(handle, parameters.get(b"boundary", b""))
            if kind == b"multipart/form-data"
            else _Body(handle)
        )
        async for data in _chunks(request, settings):
            await asyncio.to_thread(sink.write, data)
        sink.finish()
        size = handle.tell()
    if not size:
        raise Problem(
            "refused", "the request has no file: send it as the body, or as the part 'file' of a form"
        )
    name = base_name(name or sink.name or name_in_disposition(request.headers.get("content-disposition", "")))
    return Upload(raw.rename(folder / f"upload{suffix_of(name)}"), name, size)


def _check_length(request: Request, settings: Settings) -> None:
    stated = request.headers.get("content-length", "0")
    if not stated.isdecimal() or int(stated) > settings.max_bytes:
        raise _too_large(settings)


def _too_large(settings: Settings) -> Problem:
    return Problem("too-large", f"files of up to {settings.max_bytes} bytes are accepted")


async def _chunks(request: Request, settings: Settings) -> AsyncIterator[bytes]:
    """Yield the body. Raises Problem for one that is too large or too slow."""
    loop = asyncio.get_running_loop()
    begun, received = loop.time(), 0
    while True:
        allowed = begun + settings.stall_seconds + received / _SLOWEST - loop.time()
        try:
            message = await asyncio.wait_for(request.receive(), min(allowed, settings.stall_seconds))
        except asyncio.TimeoutError:
            raise Problem("slow", f"less than {_SLOWEST} bytes per second arrived") from None
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        data = message.get("body", b"")
        received += len(data)
        if received > settings.max_bytes:
            raise _too_large(settings)
        if data:
            yield data
        if not message.get("more_body", False):
            return


class _Body:
    """The file is the body."""

    name = ""

    def __init__(self, handle: BinaryIO) -> None:
        self._handle = handle

    def write(self, data: bytes) -> None:
        self._handle.write(data)

    def finish(self) -> None:
        """Do nothing: any body is a file."""


class _Form:
    """The file is the part `file` of a form."""

    def __init__(self, handle: BinaryIO, boundary: bytes) -> None:
        self.name = ""
        self._handle = handle
        self._field, self._value = b"", b""
        self._found = self._ended = False
        try:
            self._parser = MultipartParser(
                boundary,
                {
                    "on_part_data": self._on_data,
                    "on_header_field": self._on_field,
                    "on_header_value": self._on_value,
                    "on_header_end": self._on_header,
                    "on_headers_finished": self._on_headers,
                    "on_end": self._on_end,
                },
            )
        except (MultipartParseError, ValueError):
            raise _malformed() from None
        self._part = ""

    def write(self, data: bytes) -> None:
        try:
            self._parser.write(data)
        except MultipartParseError:
            raise _malformed() from None

    def finish(self) -> None:
        if not self._ended:
            raise _malformed()

    def _on_data(self, data: bytes, start: int, end: int) -> None:
        self._handle.write(data[start:end])

    def _on_field(self, data: bytes, start: int, end: int) -> None:
        self._field = _limited(self._field + data[start:end])

    def _on_value(self, data: bytes, start: int, end: int) -> None:
        self._value = _limited(self._value + data[start:end])

    def _on_header(self) -> None:
        if self._field.lower() == b"content-disposition":
            _, options = parse_options_header(self._value)
            self._part = options.get(b"name", b"").decode("utf-8", "replace")
            self.name = options.get(b"filename", b"").decode("utf-8", "replace")
        self._field = self._value = b""

    def _on_headers(self) -> None:
        if self._part != "file" or self._found:
            raise Problem(
                "bad-request", "expected a form with one part, 'file'; options belong in the address"
            )
        self._found = True

    def _on_end(self) -> None:
        self._ended = True


def _limited(header: bytes) -> bytes:
    if len(header) > _LONGEST_HEADER:
        raise _malformed()
    return header


def _malformed() -> Problem:
    return Problem("bad-request", "the body is not valid multipart/form-data")
