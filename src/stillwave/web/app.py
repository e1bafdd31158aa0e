"""The ASGI application of `stillwave web`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import FastAPI, Request
from starlette.responses import FileResponse, JSONResponse
from starlette.staticfiles import StaticFiles

import stillwave
from stillwave.web import problems, routes
from stillwave.web.security import Gate
from stillwave.web.service import Service
from stillwave.web.settings import Settings, from_environment

STATIC = Path(__file__).parent / "static"


def create(settings: Settings | None = None) -> FastAPI:
    """Return the application, by default with the settings in the environment."""
    settings = from_environment() if settings is None else settings

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        app.state.service = service = Service(settings)
        try:
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
    problems.install(app)
    app.include_router(routes.router)
    app.add_api_route("/healthz", healthz, include_in_schema=True)
    app.add_api_route("/readyz", readyz, include_in_schema=True)
    app.add_api_route("/", page, include_in_schema=False)
    app.mount("/static", StaticFiles(directory=STATIC, check_dir=False), name="static")
    return app


async def page() -> FileResponse:
    """Return the page."""
    if not (STATIC / "index.html").is_file():
        raise problems.Problem("not-found", "this installation has no page")
    return FileResponse(STATIC / "index.html", headers={"Cache-Control": "no-cache"})


async def healthz() -> JSONResponse:
    """Answer while the process works."""
    return JSONResponse({"status": "ok"})


async def readyz(request: Request) -> JSONResponse:
    """Answer while the service accepts requests."""
    service: Service = request.app.state.service
    if service.draining:
        raise problems.Problem("draining", "the service is being stopped", 5)
    return JSONResponse({"status": "ready"})
