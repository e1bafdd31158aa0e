"""The WebSocket `/v1/stream`: raw PCM in, enhanced PCM out, block by block."""

from __future__ import annotations

import asyncio
import json
import logging
import struct
import time
from collections.abc import Awaitable
from contextlib import suppress
from typing import Annotated, Any, Literal

from fastapi import WebSocket
from pydantic import Field, ValidationError
from starlette.websockets import WebSocketDisconnect, WebSocketState
from uvicorn.protocols.utils import ClientDisconnected

from stillwave.inference.pipeline import dry_mix_of
from stillwave.inference.stream import delay
from stillwave.schema.base import Frozen, NotNegative
from stillwave.web.client_stream import ClientStream
from stillwave.web.noise_limit import limit_of
from stillwave.web.problems import Problem, invalid
from stillwave.web.recordings import RATES
from stillwave.web.service import Service

logger = logging.getLogger("stillwave.web")

GREETING_SECONDS = 10.0
"""Time for the first message."""
_FAREWELL_SECONDS = 2.0
_MOST_GREETINGS = 64
"""Connections that may wait for their first message."""
_GOING_AWAY, _POLICY, _FAILED, _RESTARTS, _TRY_LATER = 1001, 1008, 1011, 1012, 1013
_CODES = {"full": _TRY_LATER, "internal": _FAILED, "draining": _RESTARTS, "slow": _GOING_AWAY}
_NUMBER = struct.Struct("<I")


class Greeting(Frozen):
    """The first message of a client."""

    format: Literal["s16le", "f32le"]
    rate: Annotated[int, Field(ge=RATES[0], le=RATES[1])]
    channels: Annotated[int, Field(ge=1, le=64)] = 1
    model: str | None = None
    limit_db: NotNegative | None = None
    strength: Annotated[float, Field(ge=0, le=1)] | None = None
    keep_clean: bool = False
    sequence: bool = False


async def stream(websocket: WebSocket) -> None:
    """Serve one stream."""
    service: Service = websocket.app.state.service
    try:
        with service.busy():
            service.streams.check()
            if service.greeting >= _MOST_GREETINGS:
                raise Problem("full", "too many connections wait for their first message", 1)
            await websocket.accept()
            await Connection(websocket, service).serve()
    except Problem as problem:
        if problem.type == "full":
            service.metrics.streams_refused.inc()
        await _refuse(websocket, problem)
    except (WebSocketDisconnect, ClientDisconnected):
        pass  # the client is gone
    except Exception:  # a fault of ours ends this stream alone
        logger.exception("a stream failed")
        await _refuse(websocket, Problem("internal", "the error was logged; please report it if it recurs"))


async def _refuse(websocket: WebSocket, problem: Problem) -> None:
    """End a connection because of a problem: by HTTP before it is open, else by a message and a close code."""
    if websocket.client_state is WebSocketState.CONNECTING:
        await websocket.receive()
        await websocket.send_denial_response(problem.response())
        return
    retry = "" if problem.retry_after is None else f"; retry after {problem.retry_after} s"
    with suppress(Exception):  # a client that takes nothing any more
        error = json.dumps({"type": "error", "problem": problem.content()})
        await asyncio.wait_for(websocket.send_text(error), _FAREWELL_SECONDS)
        reason = (problem.title + retry).encode()[:120].decode(errors="ignore")
        await asyncio.wait_for(websocket.close(_CODES.get(problem.type, _POLICY), reason), _FAREWELL_SECONDS)


class Connection:
    """An open connection."""

    def __init__(self, websocket: WebSocket, service: Service) -> None:
        self._socket, self._service = websocket, service
        self._settings = service.settings
        self._received = 0.0
        """When the last message came."""
        self._sending: float | None = None
        """When the message was begun that is being sent."""

    async def serve(self) -> None:
        """Serve the stream until its end. Raises Problem, WebSocketDisconnect."""
        greeting = await self._greeting()
        model = self._service.catalogue.checked(greeting.model)
        dry_mix = dry_mix_of(limit_of(greeting.limit_db, greeting.strength))
        with (
            self._service.streams.open(
                model, greeting.rate, greeting.channels, greeting.format, dry_mix, greeting.keep_clean
            ) as client,
            self._service.metrics.streams.track_inprogress(),
        ):
            await self._greet(model, greeting)
            await self._exchange(client, greeting.sequence)

    async def _greet(self, model: str, greeting: Greeting) -> None:
        backend = self._service.streams.backend(model)
        late = delay(backend.sample_rate, greeting.rate, backend.hop)
        ready = {
            "type": "ready",
            "model": model,
            "rate": greeting.rate,
            "delay_samples": late,
            "delay_ms": round(1000 * late / greeting.rate, 3),
        }
        await self._send_json(ready)

    async def _greeting(self) -> Greeting:
        self._service.greeting += 1
        try:
            text = await asyncio.wait_for(self._socket.receive(), GREETING_SECONDS)
        except asyncio.TimeoutError:
            raise Problem(
                "slow", "the first message, a JSON object with format and rate, did not come"
            ) from None
        finally:
            self._service.greeting -= 1
        try:
            found = Greeting.model_validate(_json(text))
        except ValidationError as error:
            raise invalid(list(error.errors())) from None
        if found.channels > self._settings.max_channels:
            raise Problem("bad-option", f"channels: up to {self._settings.max_channels} are accepted")
        return found

    async def _exchange(self, client: ClientStream, numbered: bool) -> None:
        """Pass blocks until the end of the output, or a fault."""
        reader = asyncio.ensure_future(self._read(client, numbered))
        writer = asyncio.ensure_future(self._write(client, numbered))
        drain = asyncio.ensure_future(self._service.draining.wait())
        watch = asyncio.ensure_future(self._watch())
        tasks: set[asyncio.Future[Any]] = {reader, writer, drain, watch}
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            if reader.done():
                reader.result()  # raises: a client that has flushed is still read
            if drain.done():
                reader.cancel()
                client.finish()
            await asyncio.wait({writer, watch}, return_when=asyncio.FIRST_COMPLETED)
            if watch.done():
                watch.result()  # raises
            await writer
            code = _RESTARTS if drain.done() else 1000
            done = {"type": "done", "samples_in": client.received, "samples_out": client.returned}
            await self._send_json(done)
            await self._socket.close(code)
        finally:
            for task in tasks:
                task.cancel()

    async def _read(self, client: ClientStream, numbered: bool) -> None:
        """Pass the blocks of the client to the thread. Ends with an exception only."""
        expected, flushed = 0, False
        while True:
            await client.room()
            self._received = time.monotonic()
            message = await self._socket.receive()
            data = message.get("bytes")
            if flushed and message["type"] != "websocket.disconnect":
                raise Problem("bad-request", "nothing may follow flush; open another stream")
            if data is None:
                if _json(message) != {"type": "flush"}:
                    raise Problem("bad-request", 'expected PCM, or the message {"type": "flush"}')
                client.finish()
                flushed = True
                continue
            if numbered:
                data = _without_number(data, expected)
                expected = (expected + 1) % 2**32
            if len(data) % client.width:
                raise Problem(
                    "bad-request",
                    f"a message of {len(data)} bytes has no whole number of samples of {client.width} bytes",
                )
            if data:
                client.push(data)

    async def _write(self, client: ClientStream, numbered: bool) -> None:
        """Pass the blocks of the thread to the client, until the end of the output."""
        count = 0
        while (data := await client.next()) is not None:
            if numbered:
                data = _NUMBER.pack(count % 2**32) + data
                count += 1
            await self._send(self._socket.send_bytes(data))
        if client.failed:
            raise Problem("internal", "the stream could not be processed")

    async def _send_json(self, content: dict[str, Any]) -> None:
        await self._send(self._socket.send_text(json.dumps(content)))

    async def _send(self, sending: Awaitable[None]) -> None:
        self._sending = time.monotonic()
        await sending
        self._sending = None

    async def _watch(self) -> None:
        """Raise Problem when no message comes, or none is taken, for too long."""
        idle, stall = self._settings.idle_seconds, self._settings.stall_seconds
        while True:
            await asyncio.sleep(min(1.0, idle / 4, stall / 4))
            now = time.monotonic()
            if self._sending is not None and now - self._sending > stall:
                raise Problem("slow-reader", f"the client took no data for {stall:g} s")
            if now - self._received > idle:
                raise Problem("slow", f"no message came for {idle:g} s")


def _without_number(data: bytes, expected: int) -> bytes:
    if len(data) < _NUMBER.size:
        raise Problem("bad-request", "a message begins with its number, 32 bits, little-endian")
    (found,) = _NUMBER.unpack_from(data)
    if found != expected:
        raise Problem("bad-request", f"expected message number {expected}, got {found}")
    return data[_NUMBER.size :]


def _json(message: Any) -> Any:
    """Return the JSON value of a text message. Raises Problem, WebSocketDisconnect."""
    if message["type"] == "websocket.disconnect":
        raise WebSocketDisconnect(message.get("code", 1005))
    try:
        return json.loads(message.get("text") or "")
    except (ValueError, RecursionError):
        raise Problem("bad-request", "expected a text message with a JSON object") from None
