"""Clients of the WebSocket `/v1/stream` for measurements: one that measures, and four that misbehave."""

from __future__ import annotations

import asyncio
import json
import random
import struct
import time
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field

import numpy as np

RATE, HOP = 16_000, 256
BLOCK = RATE // 50
TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10


def frame(opcode: int, payload: bytes) -> bytes:
    """Return a masked WebSocket frame; the mask is 0, which spares the client the work."""
    size = len(payload)
    if size < 126:
        head = struct.pack("!BB", 0x80 | opcode, 0x80 | size)
    elif size < 2**16:
        head = struct.pack("!BBH", 0x80 | opcode, 0x80 | 126, size)
    else:
        head = struct.pack("!BBQ", 0x80 | opcode, 0x80 | 127, size)
    return head + bytes(4) + payload


def upgrade(host: str) -> bytes:
    """Return the request for a stream."""
    return (
        f"GET /v1/stream HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
    ).encode()


@dataclass
class Result:
    """What all streams measured."""

    latencies: list[float] = field(default_factory=list)
    """Seconds."""
    faults: list[str] = field(default_factory=list)


class Client(asyncio.Protocol):
    """One stream over a connection of its own."""

    def __init__(self, host: str, model: str, result: Result) -> None:
        self._host, self._model, self._result = host, model, result
        self._data = bytearray()
        self._open = False
        self._sent: deque[tuple[int, float]] = deque()
        self.samples_in = self.samples_out = 0
        self.ready = asyncio.Event()
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for the stream."""
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        transport.write(upgrade(self._host))

    def send(self, block: bytes) -> None:
        """Send samples."""
        self.samples_in += len(block) // 2
        self._sent.append((self.samples_in, time.perf_counter()))
        self.transport.write(frame(BINARY, block))

    def flush(self) -> None:
        """End the signal."""
        self.transport.write(frame(TEXT, b'{"type": "flush"}'))

    def data_received(self, data: bytes) -> None:
        """Take answers."""
        self._data += data
        if not self._open:
            end = self._data.find(b"\r\n\r\n")
            if end < 0:
                return
            if b" 101 " not in self._data[:20]:
                self._end(f"refused: {bytes(self._data[:60])!r}")
                return
            del self._data[: end + 4]
            greeting = {"format": "s16le", "rate": RATE, "model": self._model}
            self.transport.write(frame(TEXT, json.dumps(greeting).encode()))
            self._open = True
        for opcode, payload in self._frames():
            if opcode == BINARY:
                self._take(len(payload) // 2)
            elif opcode == TEXT and b'"ready"' in payload:
                self.ready.set()
            elif opcode == TEXT and b'"error"' in payload:
                self._end(payload.decode())
            elif opcode == PING:
                self.transport.write(frame(PONG, payload))
            elif opcode == CLOSE:
                same = self.samples_in == self.samples_out
                self._end("" if same else f"{self.samples_in} samples in, {self.samples_out} out")

    def _frames(self) -> Iterator[tuple[int, bytes]]:
        while len(self._data) >= 2:
            size, start = self._data[1], 2
            if size == 126:
                start, size = 4, int.from_bytes(self._data[2:4], "big")
            elif size == 127:
                start, size = 10, int.from_bytes(self._data[2:10], "big")
            if len(self._data) < start + size:
                return
            opcode, payload = self._data[0] & 15, bytes(self._data[start : start + size])
            del self._data[: start + size]
            yield opcode, payload

    def _take(self, samples: int) -> None:
        now = time.perf_counter()
        self.samples_out += samples
        needed, sent = self.samples_out + HOP, 0.0  # the input that completed these samples
        while self._sent and self._sent[0][0] < needed:
            self._sent.popleft()
        if self._sent:
            sent = self._sent[0][1]
            self._result.latencies.append(now - sent)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        """End the stream."""
        self._end("the connection was closed")

    def _end(self, fault: str) -> None:
        if not self.done.done():
            self.done.set_result(None)
            self.ready.set()
            if fault:
                self._result.faults.append(fault)
        self.transport.close()


async def stream(address: tuple[str, int], model: str, seconds: float, phase: float, result: Result) -> None:
    """Send blocks at real time for some seconds, and flush."""
    loop = asyncio.get_running_loop()
    host = f"{address[0]}:{address[1]}"
    _, client = await loop.create_connection(lambda: Client(host, model, result), *address)
    noise = np.random.default_rng(round(1e6 * phase)).integers(-3_000, 3_000, BLOCK).astype("<i2").tobytes()
    await asyncio.wait_for(client.ready.wait(), 30)
    begun = loop.time() + phase
    for number in range(round(seconds * RATE / BLOCK)):
        await asyncio.sleep(begun + number * BLOCK / RATE - loop.time())
        if client.done.done():
            return
        client.send(noise)
    client.flush()
    await asyncio.wait_for(client.done, 30)


async def stalling(address: tuple[str, int], greeting: bytes) -> None:
    """Send without end and take nothing."""
    while True:
        _, writer = await _opened(address, greeting)
        try:
            while True:
                await asyncio.wait_for(_sent(writer, frame(BINARY, bytes(2 * BLOCK))), 60)
                await asyncio.sleep(0.02)
        except (OSError, asyncio.TimeoutError):
            writer.transport.abort()


async def flooding(address: tuple[str, int], greeting: bytes) -> None:
    """Send as fast as the service takes it."""
    while True:
        reader, writer = await _opened(address, greeting)
        drop = asyncio.ensure_future(_dropped(reader))
        try:
            while not drop.done():
                await _sent(writer, frame(BINARY, bytes(64_000)))
        except OSError:
            pass
        drop.cancel()
        await asyncio.sleep(0.5)


async def garbage(address: tuple[str, int], greeting: bytes) -> None:
    """Send bytes without sense, in and before a stream."""
    rng = random.Random(0)
    while True:
        early = rng.random() < 0.5
        reader, writer = (
            await asyncio.open_connection(*address) if early else await _opened(address, greeting)
        )
        writer.write(rng.randbytes(rng.randint(1, 5_000)))
        await _closed(reader, writer, 2)
        await asyncio.sleep(0.2)


async def leaving(address: tuple[str, int], greeting: bytes) -> None:
    """Open a stream, send some of it and disconnect."""
    while True:
        _, writer = await _opened(address, greeting)
        writer.write(frame(BINARY, bytes(4_000))[:3_001])
        await asyncio.sleep(0.2)
        writer.transport.abort()


async def _opened(
    address: tuple[str, int], greeting: bytes
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Open a connection and send its first message."""
    reader, writer = await asyncio.open_connection(*address)
    writer.write(upgrade("localhost"))
    with suppress(asyncio.IncompleteReadError):
        await reader.readuntil(b"\r\n\r\n")
    writer.write(frame(TEXT, greeting))
    return reader, writer


async def _sent(writer: asyncio.StreamWriter, data: bytes) -> None:
    writer.write(data)
    await writer.drain()


async def _dropped(reader: asyncio.StreamReader) -> None:
    while await reader.read(2**16):
        pass


async def _closed(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, seconds: float) -> None:
    with suppress(OSError, asyncio.TimeoutError):
        await asyncio.wait_for(_dropped(reader), seconds)
    writer.transport.abort()
