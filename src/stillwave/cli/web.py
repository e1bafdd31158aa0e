"""`stillwave web`: serve the page and the HTTP interface."""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import Annotated

import typer

from stillwave.cli.options import RUNNING, jobs_option, model_option
from stillwave.console import err
from stillwave.errors import StillwaveError

LIMITS, ACCESS = "Limits", "Access"


def web(
    host: Annotated[
        str,
        typer.Option(
            "--host",
            envvar="STILLWAVE_WEB_HOST",
            rich_help_panel=ACCESS,
            help="Address to listen on; 0.0.0.0 accepts other machines, which need the token.",
        ),
    ] = "127.0.0.1",
    port: Annotated[
        int,
        typer.Option(
            "--port",
            min=0,
            max=65_535,
            envvar="STILLWAVE_WEB_PORT",
            rich_help_panel=ACCESS,
            help="Port to listen on; 0 takes any free one.",
        ),
    ] = 8000,
    open_page: Annotated[
        bool,
        typer.Option("--open/--no-open", rich_help_panel=ACCESS, help="Open the page in a browser."),
    ] = True,
    token: Annotated[
        str | None,
        typer.Option(
            "--token",
            envvar="STILLWAVE_WEB_TOKEN",
            rich_help_panel=ACCESS,
            help="Token that every request needs, 16 characters or more; default: none on 127.0.0.1, else a new one.",
        ),
    ] = None,
    token_file: Annotated[
        Path | None,
        typer.Option(
            "--token-file",
            envvar="STILLWAVE_WEB_TOKEN_FILE",
            rich_help_panel=ACCESS,
            help="File with the token, which a command line would show to other users.",
        ),
    ] = None,
    allow_host: Annotated[
        list[str] | None,
        typer.Option(
            "--allow-host",
            metavar="NAME",
            envvar="STILLWAVE_WEB_ALLOW_HOSTS",
            rich_help_panel=ACCESS,
            help="Further name in the Host header to accept, as that of a proxy. Repeat it for several.",
        ),
    ] = None,
    model: Annotated[
        str | None,
        model_option(
            "Default model: name of a shipped model or an .onnx file; requests can name another shipped one."
        ),
    ] = None,
    jobs: Annotated[
        int | None,
        jobs_option(
            "Files enhanced at once by each worker; default: one per core, divided among the workers."
        ),
    ] = None,
    workers: Annotated[
        int,
        typer.Option(
            "--workers",
            min=1,
            max=64,
            envvar="STILLWAVE_WEB_WORKERS",
            rich_help_panel=RUNNING,
            help="Number of processes that share the port.",
        ),
    ] = 1,
    max_bytes: Annotated[
        int | None,
        typer.Option(
            "--max-bytes",
            min=1,
            envvar="STILLWAVE_WEB_MAX_BYTES",
            rich_help_panel=LIMITS,
            help="Largest upload in bytes; default: 2 GiB.",
        ),
    ] = None,
    max_seconds: Annotated[
        float | None,
        typer.Option(
            "--max-seconds",
            min=1,
            envvar="STILLWAVE_WEB_MAX_SECONDS",
            rich_help_panel=LIMITS,
            help="Longest recording in seconds; default: four hours.",
        ),
    ] = None,
    max_channels: Annotated[
        int | None,
        typer.Option(
            "--max-channels",
            min=1,
            max=64,
            envvar="STILLWAVE_WEB_MAX_CHANNELS",
            rich_help_panel=LIMITS,
            help="Most channels of a recording or stream; default: 8.",
        ),
    ] = None,
    max_requests: Annotated[
        int | None,
        typer.Option(
            "--max-requests",
            min=1,
            envvar="STILLWAVE_WEB_MAX_REQUESTS",
            rich_help_panel=LIMITS,
            help="Recordings that may wait or be enhanced at once, in each worker; default: 64.",
        ),
    ] = None,
    max_streams: Annotated[
        int | None,
        typer.Option(
            "--max-streams",
            min=1,
            envvar="STILLWAVE_WEB_MAX_STREAMS",
            rich_help_panel=LIMITS,
            help="Streams at once in each worker; default: what the speed measured at the start allows.",
        ),
    ] = None,
) -> None:
    """Serve a page that removes noise from recordings and a microphone, and an interface for programs.

    The page is opened in the browser; nothing leaves this machine. Programs
    send files to POST /v1/enhance and live sound to the WebSocket /v1/stream.
    Other machines are let in with --host 0.0.0.0 and need a token.

    Example:
        stillwave web
        stillwave web --port 0 --no-open
        stillwave web --host 0.0.0.0 --token-file token --workers 2

    """
    from stillwave.cores import cores
    from stillwave.web import server
    from stillwave.web.settings import checked, given_by, is_loopback

    token = _token(token, token_file) or (None if is_loopback(host) else secrets.token_urlsafe(24))
    given = {
        "host": host,
        "port": port,
        "token": token,
        "allow_hosts": tuple(name for names in allow_host or () for name in names.split(",")),
        "model": model,
        "jobs": jobs or max(1, cores() // workers),
        "max_bytes": max_bytes,
        "max_seconds": max_seconds,
        "max_channels": max_channels,
        "max_requests": max_requests,
        "max_streams": max_streams,
    }
    stated = {name: value for name, value in given.items() if value is not None}
    settings = checked({**given_by(os.environ), **stated})
    server.run(settings, workers, browser=open_page, announce=_announce)


def _token(token: str | None, file: Path | None) -> str | None:
    if token and file:
        raise StillwaveError("--token and --token-file exclude each other; choose one")
    if file is None:
        return token
    return file.read_text(encoding="utf-8").strip()


def _announce(address: str) -> None:
    err.print(f"stillwave web: {address} (Ctrl-C ends it)", markup=False, highlight=False)
