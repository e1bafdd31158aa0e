"""The ASGI application of `stillwave web`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, Response
from starlette.staticfiles import PathLike, StaticFiles

import stillwave
from stillwave.web import problems, routes, websocket
from stillwave.web.draining import drained_by_signals
from stillwave.web.metrics import Counted, Metrics
from stillwave.web.security import Gate
from stillwave.web.service import Service
from stillwave.web.settings import Settings, from_environment

STATIC = Path(__file__).parent / "static"


def create(settings: Settings | None = None) -> FastAPI:
    """Return the application, by default with the settings in the environment."""
    settings = from_environment() if settings is None else settings

    metrics = Metrics()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        app.state.service = service = Service(settings, metrics)
        try:
            with drained_by_signals(service):
                yield
        finally:
            service.close()

    app = FastAPI(
        title="stillwave",
        version=stillwave.__version__,
        description="Remove background noise from speech, in recordings and live.",
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
    )
    app.add_middleware(Gate, settings=settings)
    app.add_middleware(Counted, metrics=metrics)
    problems.install(app)
    app.include_router(routes.router)
    app.add_api_route("/healthz", healthz, include_in_schema=True)
    app.add_api_route("/readyz", readyz, include_in_schema=True)
    app.add_api_route("/metrics", show_metrics, response_class=PlainTextResponse)
    app.add_api_route("/", page, include_in_schema=False)
    app.add_api_websocket_route("/v1/stream", websocket.stream)
    app.mount("/static", PageFiles(directory=STATIC, check_dir=False), name="static")
    return app


class PageFiles(StaticFiles):
    """The files of the page: large libraries are cached, the others are checked for changes."""

    def file_response(self, full_path: PathLike, *args: Any, **options: Any) -> Response:
        """Return a file with its caching."""
        response = super().file_response(full_path, *args, **options)
        vendored = (STATIC / "vendor") in Path(full_path).parents
        response.headers["Cache-Control"] = "max-age=604800" if vendored else "no-cache"
        return response


async def page() -> FileResponse:
    """Return the page."""
    if not (STATIC / "index.html").is_file():
        raise problems.Problem("not-found", "this installation has no page")
    return FileResponse(STATIC / "index.html", headers={"Cache-Control": "no-cache"})


async def show_metrics(request: Request) -> Response:
    """Return counters for Prometheus."""
    service: Service = request.app.state.service
    return Response(service.metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")


async def healthz(request: Request) -> JSONResponse:
    """Answer while the process works."""
    service: Service = request.app.state.service
    if not service.streams.alive:
        raise problems.Problem("internal", "a thread for streams has ended; restart the service")
    return JSONResponse({"status": "ok"})


async def readyz(request: Request) -> JSONResponse:
    """Answer while the service accepts requests."""
    service: Service = request.app.state.service
    if service.draining.is_set():
        raise problems.Problem("draining", "the service is being stopped", 5)
    return JSONResponse({"status": "ready"})
