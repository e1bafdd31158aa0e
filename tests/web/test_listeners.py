"""Sockets that several processes of a service listen on."""

from __future__ import annotations

import contextlib
import pickle
import selectors
import socket
import sys

import pytest

from stillwave.errors import StillwaveError
from stillwave.web.listeners import bind

linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux divides connections")


def received(stack: contextlib.ExitStack, first: socket.socket, workers: int) -> list[socket.socket]:
    """Return the listening sockets of processes that `first` is sent to."""
    found = [stack.enter_context(pickle.loads(pickle.dumps(first))) for _ in range(workers)]
    for listener in found:
        listener.listen(1_000)
        listener.setblocking(False)
    return found


def accepted(listener: socket.socket) -> int:
    number = 0
    with selectors.DefaultSelector() as selector:
        selector.register(listener, selectors.EVENT_READ)
        while selector.select(0.05):
            listener.accept()[0].close()
            number += 1
    return number


@linux
def test_processes_get_equal_shares_of_a_burst():
    with contextlib.ExitStack() as stack:
        first = stack.enter_context(bind("127.0.0.1", 0, shared=True))
        workers = received(stack, first, 2)
        for _ in range(200):
            stack.enter_context(socket.create_connection(first.getsockname(), timeout=10))
        shares = [accepted(worker) for worker in workers]
    assert sum(shares) == 200
    assert min(shares) > 60  # of two binomial halves: less by chance once in 10⁸ runs


@linux
def test_the_connections_of_a_process_that_ends_go_to_the_others():
    with contextlib.ExitStack() as stack:
        first = stack.enter_context(bind("127.0.0.1", 0, shared=True))
        workers = received(stack, first, 2)
        workers[0].close()
        for _ in range(20):
            stack.enter_context(socket.create_connection(first.getsockname(), timeout=10))
        assert accepted(workers[1]) == 20


@pytest.mark.parametrize("shared", [False, True])
def test_a_port_that_another_service_uses_is_refused(shared: bool):
    with contextlib.ExitStack() as stack:
        first = stack.enter_context(bind("127.0.0.1", 0, shared=shared))
        port = first.getsockname()[1]
        if shared and sys.platform == "linux":
            received(stack, first, 1)
        else:
            first.listen()
        for again in (False, True):
            with pytest.raises(StillwaveError, match=f"--port {port}: cannot be used.*--port 0"):
                bind("127.0.0.1", port, shared=again)
