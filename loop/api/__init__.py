"""The HTTP API: corrections come in, models go out. ``create`` builds the app, ``loop serve`` runs it.

The API never imports TensorFlow: it runs the published model files through ``models.coreml``.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI
from starlette.concurrency import run_in_threadpool

from loop.api import (
    attestation,
    corrections,
    cors,
    drawings,
    files,
    health,
    nights,
    openapi,
    own_corrections,
    pages,
    predictions,
    problems,
    receiving,
    review,
    sources,
    versions,
)
from loop.api.request_metrics import RequestMetrics
from loop.api.service import Service
from loop.api.upload_fast_path import UploadFastPath
from loop.clock import Clock, utc_now
from loop.home import Home

DESCRIPTION = """Upload corrected digits; follow and download judged, signed models.

Errors are RFC 9457 problem documents. A 2xx answer to an upload means that it is on disk. Send a key as `Authorization:
Bearer loop_<role>_…`; each operation lists the roles that may call it in `x-loop-roles`."""


OPTIONS: dict[str, Any] = {"docs_url": None, "redoc_url": None, "redirect_slashes": False}
"""FastAPI's own pages load scripts from another site and must not run where an operator enters a key. Its redirect for
a trailing slash would go to the address in the request's Host header, which the sender chooses."""


def create(home: Home, clock: Clock = utc_now) -> FastAPI:
    """The app for one home; its threads start and stop with the app's lifespan."""
    service = Service(home, clock)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:  # noqa: ARG001 (FastAPI's signature)
        await run_in_threadpool(service.start)
        try:
            yield
        finally:
            await run_in_threadpool(service.close)

    app = FastAPI(title="Digit Loop", version="1", description=DESCRIPTION, lifespan=lifespan, **OPTIONS)
    app.state.service = service
    problems.install(app)
    app.add_middleware(UploadFastPath, routes=receiving.fast_routes(corrections.router, drawings.router))
    app.add_middleware(RequestMetrics, metrics=service.metrics)
    cors.allow(app, service.limits.allowed_origins)
    of_phones = (corrections, drawings, own_corrections, sources, attestation, files, predictions)
    for part in (*of_phones, versions, nights, review):
        app.include_router(part.router)
    app.include_router(health.router)
    app.include_router(pages.router())
    openapi.complete(app)
    return app
