"""Send a file while it is written, and end its job when the receiver is gone."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from contextlib import ExitStack, suppress
from typing import Any

from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from stillwave.web.jobs import JobCancelledError
from stillwave.web.names import disposition
from stillwave.web.outputs import Output
from stillwave.web.problems import Problem

_PIECE = 2**16
"""Bytes that are sent at once."""


class OutputResponse(Response):
    """The answer to a request for a file: `begin` waits for its head, then it is sent as it grows.

    Args:
        output: The file.
        job: The thread that writes it.
        receive: Receives the end of the connection.
        cleanup: Closed when the response has ended.
        stall_seconds: A receiver that takes nothing for this long is cut off.

    """

    def __init__(
        self,
        output: Output,
        job: asyncio.Future[None],
        receive: Callable[[], Any],
        cleanup: ExitStack,
        stall_seconds: float,
    ) -> None:
        super().__init__()
        self._output, self._job, self._cleanup = output, job, cleanup
        self._stall_seconds = stall_seconds
        self._gone = asyncio.ensure_future(_disconnected(receive))

    async def begin(self) -> None:
        """Wait until the head is known. Raises Problem, or JobCancelledError if the receiver is gone."""
        try:
            while self._output.head is None:
                await self._changed()
                if self._job.done() and self._output.head is None:
                    self._job.result()
                    raise Problem("internal", "the job ended without a result")
        except BaseException:
            await self.close()
            raise
        head = self._output.head
        for name, value in head.headers.items():
            self.headers[name] = value
        self.headers["content-type"] = head.media_type
        self.headers["content-length"] = str(head.size)
        self.headers["content-disposition"] = disposition(head.name)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002
        """Send the response."""
        try:
            await self._send(
                send, {"type": "http.response.start", "status": 200, "headers": self.raw_headers}
            )
            with self._output.path.open("rb") as handle:
                await self._send_file(send, handle.fileno())
        except (JobCancelledError, TimeoutError, asyncio.TimeoutError, OSError):
            pass  # the receiver is gone or takes nothing
        finally:
            await self.close()

    async def _send_file(self, send: Send, descriptor: int) -> None:
        assert self._output.head is not None
        sent, size = 0, self._output.head.size
        while sent < size:
            if sent == self._output.written:
                if self._job.done():
                    return  # the job failed: the receiver gets less than was announced
                await self._changed()
                continue
            piece = os.pread(descriptor, min(_PIECE, self._output.written - sent), sent)
            sent += len(piece)
            await self._send(send, {"type": "http.response.body", "body": piece, "more_body": sent < size})

    async def _send(self, send: Send, message: Message) -> None:
        if self._gone.done():
            raise JobCancelledError("the receiver is gone")
        await asyncio.wait_for(send(message), self._stall_seconds)

    async def _changed(self) -> None:
        """Wait for news of the output. Raises JobCancelledError if the receiver is gone."""
        self._output.changed.clear()
        news = asyncio.ensure_future(self._output.changed.wait())
        waited: set[asyncio.Future[Any]] = {news, self._job, self._gone}
        await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
        news.cancel()
        if self._gone.done():
            raise JobCancelledError("the receiver is gone")

    async def close(self) -> None:
        """End the job and remove its files."""
        self._output.cancellation.set()
        self._gone.cancel()
        with suppress(Exception):
            await self._job
        self._output.close()
        self._cleanup.close()


async def _disconnected(receive: Callable[[], Any]) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
