"""The socket that a service listens on, and one for each of several processes.

Processes that wait on one socket take connections as they come to it: one process may take all that arrive within a
moment. Linux divides connections among sockets of one port instead (SO_REUSEPORT), evenly on average.
"""

from __future__ import annotations

import socket
import sys

from stillwave.errors import StillwaveError

_UNTAKEN_MS = 60_000
"""Time that sent data may stay unacknowledged, in milliseconds."""
_DIVIDES = sys.platform == "linux"
"""Whether the system divides connections among the sockets of a port; elsewhere processes share one socket."""


class DividedListener(socket.socket):
    """A socket that becomes another one of the same port in each process that it is sent to.

    The first one holds the port and must not listen: its connections would wait for nobody.
    """

    def __reduce__(self) -> tuple[object, ...]:
        """Return how the receiving process opens its own socket."""
        return _divided, (self.family, self.type, self.proto, self.getsockname())


def bind(host: str, port: int, *, shared: bool = False) -> socket.socket:
    """Return a bound socket; with `shared`, one for several processes to be started with.

    Raises:
        StillwaveError: The address cannot be used, or another program listens on it.

    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = _bound(socket.socket(family, kind, protocol), address)
        if shared and _DIVIDES:
            # Bound without sharing first: another program's port is refused, even if it were shared.
            address = listener.getsockname()
            listener.close()
            listener = _divided(family, kind, protocol, address)
    except OSError as error:
        fault = error.strerror or error
        raise StillwaveError(
            f"--host {host} --port {port}: cannot be used: {fault}; --port 0 takes any free port"
        ) from None
    listener.set_inheritable(True)
    return listener


def _divided(family: int, kind: int, protocol: int, address: tuple[object, ...]) -> socket.socket:
    listener = DividedListener(family, kind, protocol)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    return _bound(listener, address)


def _bound(listener: socket.socket, address: tuple[object, ...]) -> socket.socket:
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(address)
    if hasattr(socket, "TCP_USER_TIMEOUT"):  # ends connections whose peer takes nothing
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _UNTAKEN_MS)
    return listener
