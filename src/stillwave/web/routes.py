"""The HTTP interface for recordings and models."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import ClientDisconnect
from starlette.responses import FileResponse, JSONResponse, Response

from stillwave.audio.ffmpeg import found as ffmpeg_found
from stillwave.web import recordings
from stillwave.web.jobs import Cancellation, JobCancelledError
from stillwave.web.noise_limit import limit_of
from stillwave.web.outputs import Output
from stillwave.web.problems import TITLES, Problem
from stillwave.web.responses import OutputResponse
from stillwave.web.service import Service
from stillwave.web.uploads import Upload, receive

FORMATS = ("wav", "flac", "mp3", "ogg", "opus", "same")
router = APIRouter(prefix="/v1")


class Options(BaseModel):
    """Options in the address; an unknown one is an error."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)
    name: Annotated[
        str, Field(max_length=1_000, description="Name of the file; only its suffix is used.")
    ] = ""


class EnhanceOptions(Options):
    """Options of `POST /v1/enhance`, named as those of `stillwave enhance`."""

    model: Annotated[str | None, Field(description="Name of a model; default: the default model.")] = None
    limit_db: Annotated[float | None, Field(ge=0, description="Reduce noise by at most this many dB.")] = None
    strength: Annotated[
        float | None,
        Field(ge=0, le=1, description="Share of the output that is the estimate; 0.75 is limit_db=12."),
    ] = None
    keep_clean: Annotated[bool, Field(description="Leave clean recordings as they are.")] = False
    rate: Annotated[
        int | None, Field(ge=8_000, le=192_000, description="Sampling rate of the output in Hz.")
    ] = None
    format: Annotated[
        Literal["wav", "flac", "mp3", "ogg", "opus", "same"],
        Field(description="Format of the output; `same` is that of the input."),
    ] = "wav"
    original: Annotated[
        bool, Field(description="Put the channels of the input before those of the output (wav only).")
    ] = False


class ConvertOptions(Options):
    """Options of `POST /v1/convert`."""

    format: Annotated[Literal["flac", "mp3", "ogg", "opus"], Field(description="Format of the output.")]


def _problems(*types: str) -> dict[int | str, dict[str, Any]]:
    """Return the problems that a route may answer, for OpenAPI."""
    found: dict[int | str, dict[str, Any]] = {}
    for type in types:
        status, title = TITLES[type]
        example = {"type": f"urn:stillwave:problem:{type}", "title": title, "status": status, "detail": "…"}
        found[status] = {"description": title, "content": {"application/problem+json": {"example": example}}}
    return found


_FILE = {
    "requestBody": {
        "required": True,
        "description": "A recording: audio or video. A form has one part, `file`.",
        "content": {
            "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["file"],
                    "properties": {"file": {"type": "string", "format": "binary"}},
                }
            },
        },
    }
}
_ANSWER: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The output, sent as it is made",
        "content": {"audio/wav": {"schema": {"type": "string", "format": "binary"}}},
        "headers": {
            "Stillwave-Model": {"schema": {"type": "string"}, "example": "bsrnn-m"},
            "Stillwave-Rate": {"schema": {"type": "integer"}, "example": 48_000},
            "Stillwave-Channels": {"schema": {"type": "integer"}, "example": 2},
            "Stillwave-Duration": {"schema": {"type": "number"}, "example": 12.5},
        },
    },
    **_problems(
        "bad-option", "token", "origin", "slow", "too-large", "not-audio", "refused", "full", "draining"
    ),
}


@router.post("/enhance", response_class=Response, responses=_ANSWER, openapi_extra=_FILE)
async def enhance(request: Request, options: Annotated[EnhanceOptions, Query()]) -> Response:
    """Remove noise from a recording: a file in, a file out."""
    if options.original and options.format != "wav":
        raise Problem("bad-option", "original: needs format=wav")
    service: Service = request.app.state.service
    name = service.catalogue.checked(options.model)
    limit_db = limit_of(options.limit_db, options.strength)

    def work(upload: Upload, output: Output) -> None:
        seconds = recordings.enhance(
            service.catalogue.enhancer(name, options.keep_clean),
            recordings.Request(
                upload, upload.path.parent, options.format, limit_db, options.rate, options.original
            ),
            service.settings,
            output,
        )
        service.metrics.recording_seconds.inc(seconds)

    return await _answer(request, options.name, work)


@router.post("/convert", response_class=Response, responses=_ANSWER, openapi_extra=_FILE)
async def convert(request: Request, options: Annotated[ConvertOptions, Query()]) -> Response:
    """Write a recording in another format, with the same samples."""
    service: Service = request.app.state.service

    def work(upload: Upload, output: Output) -> None:
        recordings.convert(upload, upload.path.parent, options.format, service.settings, output)

    return await _answer(request, options.name, work)


async def _answer(request: Request, name: str, work: Callable[[Upload, Output], None]) -> Response:
    """Receive a file and return the response that sends what `work` makes of it."""
    service: Service = request.app.state.service
    with ExitStack() as stack:
        stack.enter_context(service.busy())
        stack.enter_context(service.pool.admission())
        stack.enter_context(service.metrics.recordings.track_inprogress())
        folder = stack.enter_context(service.spool.folder())
        try:
            upload = await receive(request, folder, service.settings, name)
            output = Output(folder / "output", Cancellation())
            job = service.pool.submit(lambda: work(upload, output))
            response = OutputResponse(
                output, job, request.receive, stack.pop_all(), service.settings.stall_seconds
            )
            await response.begin()
        except (ClientDisconnect, JobCancelledError):
            return Response(status_code=400)  # nobody receives it
        return response


@router.get(
    "/models",
    responses={
        200: {
            "content": {
                "application/json": {
                    "example": {
                        "models": [
                            {
                                "name": "bsrnn-m",
                                "default": True,
                                "rate": 16_000,
                                "delay_ms": 32.0,
                                "causal": True,
                            }
                        ],
                        "limits": {"max_bytes": 2**31, "max_seconds": 14_400.0, "max_channels": 8},
                        "formats": list(FORMATS),
                        "ffmpeg": True,
                    }
                }
            }
        }
    },
)
async def models(request: Request) -> JSONResponse:
    """List the models with their cost and delay, and the limits of the service."""
    service: Service = request.app.state.service
    settings = service.settings
    limits = {name: getattr(settings, name) for name in ("max_bytes", "max_seconds", "max_channels")}
    return JSONResponse(
        {
            "models": service.models(),
            "limits": limits,
            "formats": list(FORMATS),
            "ffmpeg": ffmpeg_found() is not None,
        }
    )


@router.get("/models/{name}/onnx", response_class=FileResponse, responses=_problems("not-found"))
async def onnx(request: Request, name: str) -> Response:
    """Return the file of a model, to be executed in the browser."""
    service: Service = request.app.state.service
    try:
        file = service.catalogue.file(name)
    except Problem as problem:
        raise Problem("not-found", problem.detail) from None
    tag = f'"{_digest(file)}"'
    headers = {"ETag": tag, "Cache-Control": "private, max-age=31536000, immutable"}
    if tag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    return FileResponse(file, headers=headers, media_type="application/octet-stream")


def _digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()
