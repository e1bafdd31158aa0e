"""Run the application with uvicorn, in one process or several."""

from __future__ import annotations

import os
import socket
import threading
import time
import urllib.error
import urllib.request
import webbrowser
from collections.abc import Callable

import uvicorn
from uvicorn.supervisors import Multiprocess

from stillwave.web import logs
from stillwave.web.catalogue import Catalogue
from stillwave.web.listeners import bind
from stillwave.web.metrics import MULTIPROCESS
from stillwave.web.protocol import CarefulWebSocket, TimedProtocol
from stillwave.web.settings import Settings
from stillwave.web.spool import Spool

_IDLE_SECONDS = 15
"""Time between two requests of a connection, and for the headers of one."""
_MOST_CONNECTIONS = 1_000
_LARGEST_MESSAGE = 2**18
"""Bytes of a WebSocket message."""


def run(settings: Settings, workers: int, *, browser: bool, announce: Callable[[str], None]) -> None:
    """Serve until a signal ends it.

    Args:
        settings: Address, limits and defaults.
        workers: Number of processes.
        browser: Open the page in a browser.
        announce: Called with the address of the page before it can be opened.

    Raises:
        StillwaveError: The address, the model or the folder for temporary files cannot be used.

    """
    # Faults of the model or of the folder for temporary files are found before anything is opened.
    Catalogue(settings.model)
    Spool().close()
    os.environ.update(settings.environment())
    listener = bind(settings.host, settings.port, shared=workers > 1)
    address = address_of(settings, listener)
    announce(address)
    if browser:
        threading.Thread(target=_open_when_ready, args=(address,), daemon=True).start()
    config = uvicorn.Config(
        "stillwave.web.app:create",
        factory=True,
        workers=workers,
        log_config=logs.config(),
        log_level="warning",
        access_log=False,
        server_header=False,
        ws=CarefulWebSocket,
        ws_max_size=_LARGEST_MESSAGE,
        ws_per_message_deflate=False,
        limit_concurrency=_MOST_CONNECTIONS,
        timeout_keep_alive=max(1, int(min(_IDLE_SECONDS, settings.stall_seconds))),
        timeout_graceful_shutdown=5,
        h11_max_incomplete_event_size=2**15,
        http=TimedProtocol,
    )
    if workers == 1:
        uvicorn.Server(config).run(sockets=[listener])
        return
    spool = Spool()
    try:
        os.environ[MULTIPROCESS] = str(spool.path)
        Multiprocess(config, sockets=[listener]).run()
    finally:
        spool.close()


def address_of(settings: Settings, listener: socket.socket) -> str:
    """Return the address of the page."""
    host = "127.0.0.1" if settings.host == "0.0.0.0" else settings.host
    host = "[::1]" if host == "::" else f"[{host}]" if ":" in host else host
    token = f"?token={settings.token}" if settings.token else ""
    return f"http://{host}:{listener.getsockname()[1]}/{token}"


def _open_when_ready(address: str) -> None:
    ready = address.partition("?")[0] + "readyz"
    for _ in range(300):
        try:
            with urllib.request.urlopen(ready, timeout=1):
                webbrowser.open(address)
                return
        except (OSError, urllib.error.URLError):
            time.sleep(0.2)
