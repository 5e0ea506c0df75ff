"""``POST /v1/corrections`` and ``/v1/corrections:batch``: what users say about images."""

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from loop.api import examples, receiving, schemas
from loop.api.guard import needs, raw
from loop.api.receiving import UploadRoute
from loop.api.uploads import CORRECTIONS

router = APIRouter(prefix="/v1", route_class=UploadRoute, tags=["corrections"])


@router.post(
    "/corrections",
    status_code=201,
    response_model=schemas.Accepted,
    responses=examples.ACCEPTED | examples.UPLOAD_REFUSALS,
    openapi_extra=needs("app", **examples.CORRECTION),
    operation_id="send_correction",
    summary="Send one correction, confirmation or answer",
)
@raw
async def add(request: Request) -> Response:
    """Stored once by (source, Idempotency-Key). A retry gets the first answer, with `Idempotency-Replayed: true`."""
    return await receiving.one(request, CORRECTIONS)


@router.post(
    "/corrections:batch",
    response_model=schemas.Answers,
    response_model_exclude_none=True,
    responses=examples.UPLOAD_REFUSALS,
    openapi_extra=needs("app", **examples.BATCH),
    operation_id="send_batch",
    summary="Send many corrections of one source",
)
async def add_many(request: Request) -> schemas.Answers:
    """Each correction gets its own answer; a refusal does not affect the others. Accepted ones are on disk."""
    return await receiving.many(request, CORRECTIONS)
