"""``POST /v1/drawings`` and ``/v1/drawings:batch``: images without a label, sent as the asking policy says.

A drawing is an upload of its own kind: its source sees it, takes it back and erases it with its corrections.
"""

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from loop.api import examples, receiving, schemas
from loop.api.guard import needs, raw
from loop.api.receiving import UploadRoute
from loop.api.uploads import DRAWINGS

router = APIRouter(prefix="/v1", route_class=UploadRoute, tags=["drawings"])


@router.post(
    "/drawings",
    status_code=201,
    response_model=schemas.Accepted,
    responses=examples.ACCEPTED | examples.UPLOAD_REFUSALS,
    openapi_extra=needs("app", **examples.DRAWING),
    operation_id="send_drawing",
    summary="Send one drawing without a label",
)
@raw
async def add(request: Request) -> Response:
    """Stored once by (source, Idempotency-Key). A retry gets the first answer, with `Idempotency-Replayed: true`."""
    return await receiving.one(request, DRAWINGS)


@router.post(
    "/drawings:batch",
    response_model=schemas.Answers,
    response_model_exclude_none=True,
    responses=examples.UPLOAD_REFUSALS,
    openapi_extra=needs("app", **examples.DRAWING_BATCH),
    operation_id="send_drawings",
    summary="Send many drawings of one source",
)
async def add_many(request: Request) -> schemas.Answers:
    """Each drawing gets its own answer; a refusal does not affect the others. Accepted ones are on disk."""
    return await receiving.many(request, DRAWINGS)
