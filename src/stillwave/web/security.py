"""Middleware: the names of the service, other sites, tokens, and security headers."""

from __future__ import annotations

import hmac
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qsl, urlencode, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from stillwave.web.problems import Problem
from stillwave.web.settings import Settings, is_loopback

COOKIE = "stillwave_token"
OPEN_PATHS = ("/healthz", "/readyz")
"""Addresses that need no token, for schedulers."""
_SAFE_METHODS = ("GET", "HEAD", "OPTIONS")

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; img-src 'self' blob: data:; "
        "media-src 'self' blob:; connect-src 'self'; worker-src 'self' blob:; frame-ancestors 'none'; "
        "object-src 'none'; base-uri 'none'; form-action 'self'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "microphone=(self), camera=(), geolocation=(), display-capture=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


class Gate:
    """Refuse requests under another name, from another site or without the token, before anything is read.

    - *Host*: a page of another site whose name was made to resolve to this machine (DNS rebinding) sends its own name.
    - *Origin*: browsers send it with every WebSocket and with every request that could change something.
    - *Token*: in the header `Authorization: Bearer`, in a cookie, or once as `?token=`, which sets the cookie.
    """

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self.app, self._settings = app, settings
        self._any_host = not is_loopback(settings.host) and not settings.allow_hosts
        names = {"localhost", "127.0.0.1", "::1", settings.host, *settings.allow_hosts}
        self._hosts = {name.lower() for name in names}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        try:
            early = self._checked(scope)
        except Problem as problem:
            early = problem.response()
        if early is None:
            await self.app(scope, receive, _with_headers(send))
        elif scope["type"] == "websocket":
            await refuse_websocket(early, scope, receive, send)
        else:
            await early(scope, receive, _with_headers(send))

    def _checked(self, scope: Scope) -> Response | None:
        """Return a response that ends the request, or None. Raises Problem."""
        headers = Headers(scope=scope)
        self._check_host(headers)
        self._check_origin(scope, headers)
        if self._settings.token is None or scope["path"] in OPEN_PATHS:
            return None
        return self._check_token(scope, headers)

    def _check_host(self, headers: Headers) -> None:
        hosts = headers.getlist("host")
        if len(hosts) != 1:
            raise Problem("bad-request", "expected one Host header")
        if not self._any_host and _host_name(hosts[0]) not in self._hosts:
            raise Problem(
                "host", "the Host header names another service; start this one with --allow-host NAME"
            )

    def _check_origin(self, scope: Scope, headers: Headers) -> None:
        if scope["type"] == "http" and scope["method"] in _SAFE_METHODS:
            return
        for origin in headers.getlist("origin"):
            if urlsplit(origin).netloc.lower() != headers["host"].lower():
                raise Problem("origin", "only the service's own page may send this from a browser")
        if headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
            raise Problem("origin", "only the service's own page may send this from a browser")

    def _check_token(self, scope: Scope, headers: Headers) -> Response | None:
        query = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        given = [value for name, value in query if name == "token"]
        scheme, _, bearer = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            given.append(bearer.strip())
        given.append(_cookie(headers))
        wanted = str(self._settings.token).encode()
        if not any(hmac.compare_digest(token.encode(errors="replace"), wanted) for token in given):
            raise Problem("token", "send the token as the header 'Authorization: Bearer TOKEN'")
        rest = [(name, value) for name, value in query if name != "token"]
        if len(rest) == len(query):
            return None
        scope["query_string"] = urlencode(rest).encode()
        if scope["type"] == "websocket" or scope["method"] != "GET":
            return None
        # Without the token in the address, which would stay in the history.
        response = RedirectResponse(scope["path"] + ("?" + urlencode(rest) if rest else ""), 303)
        response.set_cookie(
            COOKIE, wanted.decode(), httponly=True, samesite="strict", secure=scope["scheme"] == "https"
        )
        return response


def _host_name(host: str) -> str:
    """Return the name in a Host header without the port, in lower case."""
    try:
        return (urlsplit(f"//{host}").hostname or "").lower()
    except ValueError:
        return ""


def _cookie(headers: Headers) -> str:
    try:
        cookie: SimpleCookie = SimpleCookie(headers.get("cookie", ""))
    except CookieError:
        return ""
    return cookie[COOKIE].value if COOKIE in cookie else ""


def _with_headers(send: Send) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers.setdefault(name, value)
            headers.setdefault("Cache-Control", "no-store")
        await send(message)

    return sending


async def refuse_websocket(response: Response, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer the request for a WebSocket with an HTTP response."""
    await receive()  # websocket.connect
    if "websocket.http.response" not in scope.get("extensions", {}):
        await send({"type": "websocket.close", "code": 1008})
        return

    async def sending(message: Message) -> None:
        await send({**message, "type": "websocket." + message["type"]})

    await response({**scope, "type": "http", "method": "GET"}, receive, sending)
