"""What uvicorn's connections lack: a time limit for headers, and an orderly end of WebSockets."""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.utils import ClientDisconnected
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.exceptions import InvalidState


class TimedProtocol(H11Protocol):
    """A connection that is closed if the headers of a request do not arrive within `timeout_keep_alive` seconds."""

    _deadline: asyncio.TimerHandle | None = None
    _upgraded = False

    def connection_made(self, transport: Any) -> None:
        """Start the time limit."""
        super().connection_made(transport)
        self._limit()

    def data_received(self, data: bytes) -> None:
        """Pass bytes on; the limit ends with the headers; the next request has its own."""
        idle = self.cycle is None or self.cycle.response_complete
        before = self.cycle
        super().data_received(data)
        if self.cycle is not before or self._upgraded:
            self._unlimit()
        elif idle and self._deadline is None:
            self._limit()

    def connection_lost(self, exc: Exception | None) -> None:
        """End the time limit."""
        self._unlimit()
        super().connection_lost(exc)

    def handle_websocket_upgrade(self, event: Any) -> None:
        """End the time limit: the connection becomes a WebSocket."""
        self._upgraded = True
        super().handle_websocket_upgrade(event)

    def _limit(self) -> None:
        self._deadline = self.loop.call_later(self.timeout_keep_alive, self.transport.close)

    def _unlimit(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


class CarefulWebSocket(WebSocketsSansIOProtocol):
    """A WebSocket that is cut when its peer sends invalid text after the close frame; uvicorn 0.54 raises then.

    What is sent after uvicorn has closed it, as when the peer does not answer pings, raises `ClientDisconnected`, as
    after a close by the peer, and not RuntimeError.
    """

    async def send(self, message: Any) -> None:
        """Send a message of the application."""
        await self.writable.wait()  # it may be closed meanwhile
        if self.handshake_complete and self.close_sent:
            raise ClientDisconnected
        await super().send(message)

    def data_received(self, data: bytes) -> None:
        """Pass bytes on."""
        try:
            super().data_received(data)
        except InvalidState:
            self.transport.abort()
