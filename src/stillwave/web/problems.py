"""Errors as problem details (RFC 9457): what is wrong and what would be right, never a traceback."""

from __future__ import annotations

import logging
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

from stillwave.errors import StillwaveError

logger = logging.getLogger("stillwave.web")

MEDIA_TYPE = "application/problem+json"
TITLES = {
    "bad-request": (400, "The request is not valid"),
    "bad-option": (400, "An option is not valid"),
    "token": (401, "A token is needed"),
    "origin": (403, "The request comes from another site"),
    "host": (421, "The service does not have this name"),
    "not-found": (404, "There is nothing at this address"),
    "method": (405, "The method is not allowed here"),
    "slow": (408, "The request took too long"),
    "slow-reader": (408, "The answer was not taken"),
    "too-large": (413, "The file is too large"),
    "too-long": (413, "The recording is too long"),
    "not-audio": (415, "The file is not audio"),
    "refused": (422, "The recording cannot be processed"),
    "full": (429, "The service is busy"),
    "internal": (500, "The service failed"),
    "draining": (503, "The service is being stopped"),
}
"""HTTP status and title of each type of problem."""
_BY_STATUS = {404: "not-found", 405: "method"}


class Problem(StillwaveError):  # noqa: N818 # the term of RFC 9457
    """A request that cannot be served.

    Args:
        type: A key of `TITLES`.
        detail: What was wrong, and what would be right.
        retry_after: Seconds after which to try again.

    """

    def __init__(self, type: str, detail: str, retry_after: int | None = None) -> None:
        super().__init__(detail)
        self.type, self.detail, self.retry_after = type, detail, retry_after
        self.status, self.title = TITLES[type]

    def content(self) -> dict[str, Any]:
        """Return the JSON object of the problem."""
        found = {
            "type": f"urn:stillwave:problem:{self.type}",
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
        }
        return found if self.retry_after is None else {**found, "retry_after": self.retry_after}

    def response(self) -> Response:
        """Return the problem as an HTTP response."""
        headers = {"Cache-Control": "no-store"}
        if self.retry_after is not None:
            headers["Retry-After"] = str(self.retry_after)
        if self.type == "token":
            headers["WWW-Authenticate"] = 'Bearer realm="stillwave"'
        return JSONResponse(self.content(), self.status, headers, MEDIA_TYPE)


def install(app: FastAPI) -> None:
    """Let the application report every error as a problem."""
    app.add_exception_handler(StillwaveError, _on_error)
    app.add_exception_handler(RequestValidationError, _on_invalid)
    app.add_exception_handler(HTTPException, _on_http)
    app.add_exception_handler(Exception, _on_bug)


async def _on_error(_: Request, error: Exception) -> Response:
    problem = error if isinstance(error, Problem) else Problem("refused", str(error))
    return problem.response()


async def _on_invalid(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    return invalid(list(error.errors())).response()


def invalid(faults: list[Any]) -> Problem:
    """Return the problem for errors of pydantic."""
    fault = faults[0]
    name = str(fault["loc"][-1]) if fault["loc"] else "the request"
    reason = str(fault["msg"]).removeprefix("Value error, ")
    if fault["type"] == "extra_forbidden":
        reason = "is not an option"
    elif fault["type"] in ("bool_parsing", "bool_type"):
        reason = "Input should be true or false"
    return Problem("bad-option", f"{name}: {reason}")


async def _on_http(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return Problem(_BY_STATUS.get(error.status_code, "bad-request"), str(error.detail)).response()


async def _on_bug(_: Request, error: Exception) -> Response:
    logger.error("a request failed", exc_info=error)
    return Problem("internal", "the error was logged; please report it if it recurs").response()
