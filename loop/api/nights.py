"""``POST /v1/runs`` and ``GET /v1/runs``: request a night, and see the results of past ones.

The server never trains: a requested night becomes a slot, and a scheduler runs it.
"""

from dataclasses import asdict
from typing import Annotated

from fastapi import APIRouter, Header, Path, Query
from starlette.requests import Request

import models
from loop.api import examples, schemas
from loop.api.guard import Guarded, caller_of, needs, service_of
from loop.errors import BadReason
from loop.schedule import slots
from loop.store import values
from loop.store.nights import runs as stored

router = APIRouter(prefix="/v1", route_class=Guarded, tags=["nights"])
MAY_READ = needs("reviewer", "ops")


@router.post(
    "/runs",
    status_code=202,
    responses=examples.refusals(400, 401, 403, 408, 409, 413, 422, 503),
    openapi_extra=needs("ops"),
    operation_id="request_night",
    summary="Request a night",
)
def ask(
    request: Request,
    wanted: schemas.Wanted,
    idempotency_key: Annotated[str | None, Header(min_length=1, max_length=60, pattern=r"^[\x21-\x7e]+$")] = None,
) -> schemas.Slot:
    """It is due immediately; a scheduler runs it. A retry with the same Idempotency-Key gets the same night."""
    if wanted.family not in models.NAMES:
        raise BadReason(f"family: expected {' or '.join(models.NAMES)}, got {wanted.family!r}; correct it")
    service = service_of(request)
    slot = slots.ask(service.home, wanted.family, caller_of(request).actor, service.clock(), idempotency_key)
    return schemas.Slot(slot=slot.name, family=slot.family, due_at=slot.due_at, run=slot.run_id)


@router.get(
    "/runs",
    responses=examples.refusals(401, 403, 422, 503),
    openapi_extra=MAY_READ,
    operation_id="list_runs",
    summary="List runs",
)
def every(request: Request, limit: Annotated[int, Query(ge=1, le=1000)] = 20) -> list[schemas.Run]:
    """Newest first."""
    with service_of(request).home.store.read() as tx:
        return [_run(each) for each in stored.recent(tx, limit)]


@router.get(
    "/runs/{number}",
    responses=examples.refusals(401, 403, 404, 422, 503),
    openapi_extra=MAY_READ,
    operation_id="get_run",
    summary="Get a run",
)
def one(request: Request, number: Annotated[int, Path(ge=1, lt=2**63)]) -> schemas.Run:
    """Its progress, or how it ended."""
    with service_of(request).home.store.read() as tx:
        return _run(stored.get(tx, number))


def _run(run: values.Run) -> schemas.Run:
    return schemas.Run(**{k: v for k, v in asdict(run).items() if k in schemas.Run.model_fields}, version=run.reserved)
