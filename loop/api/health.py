"""``GET /healthz``, ``/readyz``, ``/metrics``: for whoever watches."""

from typing import Any

from fastapi import APIRouter
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from loop.api import examples
from loop.api.guard import Guarded, needs, service
from loop.store import schema

router = APIRouter(route_class=Guarded, tags=["health"])
TEXT_RESPONSE: dict[int | str, dict[str, Any]] = {200: {"content": {"text/plain": {}}, "description": "OK"}}


@router.get("/healthz", response_class=PlainTextResponse, openapi_extra=needs(), summary="Does it answer?")
async def alive() -> str:
    """Asks nothing else: a database that is away is no reason to start this process anew."""
    return "ok\n"


@router.get(
    "/readyz",
    response_class=PlainTextResponse,
    responses=examples.refusals(503),
    openapi_extra=needs(),
    summary="Can it take uploads?",
)
def ready(request: Request) -> str:
    """The database answers, and its schema is the one this code needs."""
    schema.require_head(service(request).home.store)
    return "ready\n"


@router.get(
    "/metrics",
    responses=TEXT_RESPONSE | examples.refusals(401, 403),
    openapi_extra=needs("reviewer", "ops"),
    summary="Prometheus",
)
def metrics(request: Request) -> Response:
    """Counters of this process, and facts of the store."""
    to = service(request)
    return Response(to.metrics.exposition(to.clock()), media_type=CONTENT_TYPE_LATEST)
