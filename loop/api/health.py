"""``GET /healthz``, ``/readyz``, ``/metrics``: for monitoring."""

from fastapi import APIRouter
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from loop.api import examples
from loop.api.guard import Guarded, needs, service_of
from loop.store import schema

router = APIRouter(route_class=Guarded, tags=["health"])


@router.get(
    "/healthz", response_class=PlainTextResponse, openapi_extra=needs(), operation_id="healthz", summary="Liveness"
)
async def alive() -> str:
    """Checks only that the process answers: restarting it would not bring back a missing database."""
    return "ok\n"


@router.get(
    "/readyz",
    response_class=PlainTextResponse,
    responses=examples.refusals(503, 507),
    openapi_extra=needs(),
    operation_id="readyz",
    summary="Readiness",
)
def ready(request: Request) -> str:
    """The database answers, has the schema that this code needs, and accepted a write within the last seconds."""
    service = service_of(request)
    schema.require_head(service.home.store)
    service.heartbeat.prove()
    return "ready\n"


@router.get(
    "/metrics",
    response_class=PlainTextResponse,
    responses=examples.refusals(401, 403),
    openapi_extra=needs("reviewer", "ops"),
    operation_id="metrics",
    summary="Prometheus metrics",
)
def metrics(request: Request) -> Response:
    """Counters of this process and gauges of the store."""
    service = service_of(request)
    return Response(service.metrics.exposition(service.clock()), media_type=CONTENT_TYPE_LATEST)
