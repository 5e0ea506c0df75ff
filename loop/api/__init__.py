"""The service: corrections come up, models go down. An app factory; ``loop serve`` runs it.

It never imports TensorFlow: what it must ask a model, it asks the published bytes through ``models.coreml``.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI
from starlette.concurrency import run_in_threadpool

from loop.api import corrections, files, health, nights, pages, predictions, problems, sources, versions
from loop.api.request_metrics import RequestMetrics
from loop.api.service import Service
from loop.api.upload_fast_path import UploadFastPath
from loop.clock import Clock, utc_now
from loop.home import Home

DESCRIPTION = """Corrections from phones come up, judged and signed models go down.

Errors are RFC 9457 problem documents. A 2xx to an upload means that it is on disk. Keys: `Authorization: Bearer
loop_<role>_…`; each operation names the roles that may call it in `x-loop-roles`."""


PLAIN: dict[str, Any] = {"docs_url": None, "redoc_url": None, "redirect_slashes": False}
"""FastAPI's pages load scripts from elsewhere, and must not run where an operator has entered a key; a redirect for a
slash too many would lead to whatever address stood in the request's Host."""


def create(home: Home, clock: Clock = utc_now) -> FastAPI:
    """The app of one home; its threads begin and end with its lifespan."""
    service = Service(home, clock)

    @asynccontextmanager
    async def life(app: FastAPI) -> AsyncIterator[None]:  # noqa: ARG001 (FastAPI's signature)
        await run_in_threadpool(service.start)
        try:
            yield
        finally:
            await run_in_threadpool(service.close)

    app = FastAPI(title="Digit Loop", version="1", description=DESCRIPTION, lifespan=life, **PLAIN)
    app.state.service = service
    problems.install(app)
    app.add_middleware(UploadFastPath, routes=corrections.express())
    app.add_middleware(RequestMetrics, metrics=service.metrics)
    for room in (corrections, sources, files, predictions, versions, nights):
        app.include_router(room.router)
    app.include_router(health.router)
    app.include_router(pages.router())
    _secure(app)
    return app


def _secure(app: FastAPI) -> None:
    """Say in the OpenAPI document how a key is sent."""
    made = app.openapi

    def openapi() -> dict[str, Any]:
        found = made()
        schemes = found.setdefault("components", {}).setdefault("securitySchemes", {})
        schemes["key"] = {"type": "http", "scheme": "bearer", "bearerFormat": "loop_<role>_<secret>"}
        return found

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's documented way
