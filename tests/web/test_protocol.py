"""uvicorn's connections as the service uses them."""

from __future__ import annotations

import asyncio
import socket
import threading
import time

import uvicorn
from uvicorn.protocols.utils import ClientDisconnected

from stillwave.web.protocol import CarefulWebSocket

UPGRADE = (
    b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


class Watched(CarefulWebSocket):
    """Keeps the last connection."""

    last: Watched

    def connection_made(self, transport):
        super().connection_made(transport)
        Watched.last = self


def test_sending_to_a_client_that_takes_nothing_and_answers_no_ping_is_a_disconnect():
    raised: list[BaseException] = []

    async def app(scope, receive, send):
        await receive()
        await send({"type": "websocket.accept"})
        while not Watched.last.transport.get_write_buffer_size():  # the client's buffers fill
            await send({"type": "websocket.send", "bytes": bytes(2_000)})
        while not Watched.last.close_sent:  # no answer to a ping
            await asyncio.sleep(0.01)
        try:
            await send({"type": "websocket.send", "bytes": b"x"})
        except Exception as error:
            raised.append(error)

    config = uvicorn.Config(
        app,
        port=0,
        ws=Watched,
        ws_ping_interval=0.1,
        ws_ping_timeout=0.1,
        log_level="critical",
        lifespan="off",
    )
    server = uvicorn.Server(config)
    listener = config.bind_socket()
    listener.listen()
    thread = threading.Thread(target=server.run, args=([listener],))
    thread.start()
    try:
        with socket.create_connection(listener.getsockname(), timeout=30) as client:
            client.sendall(UPGRADE)
            end = time.monotonic() + 30
            while not raised and time.monotonic() < end:
                time.sleep(0.02)
    finally:
        server.should_exit = True
        thread.join(30)
        listener.close()
    assert [type(error) for error in raised] == [ClientDisconnected]
