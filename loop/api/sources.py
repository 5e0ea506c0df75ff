"""``DELETE /v1/sources/{id}``: a user's digits, and all that hangs on them, are gone."""

import time
from typing import Annotated

from fastapi import APIRouter, Path
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from loop import access
from loop.access import Role
from loop.api import examples, schemas
from loop.api.guard import Guarded, caller, needs, service
from loop.errors import NotAllowed
from loop.intake import erasure

NAME = r"^[^\x00-\x1f\x7f]+$"  # no control characters: no source has them, and PostgreSQL takes no NUL

router = APIRouter(prefix="/v1", route_class=Guarded, tags=["sources"])


@router.delete(
    "/sources/{source}",
    responses=examples.refusals(401, 403, 422, 429, 503),
    openapi_extra=needs("app", "ops", **examples.WITH_SOURCE),
    summary="Erase a source",
)
async def erase(
    request: Request,
    source: Annotated[str, Path(min_length=1, max_length=128, pattern=NAME, examples=["s" + "0" * 40])],
) -> schemas.Erased:
    """A source erases itself; operators erase any. Erasing twice is no error: a phone may ask again."""
    to, by = service(request), caller(request)
    to.quotas.take(by.key_id, None, 1, time.monotonic())
    if by.role is Role.APP and access.source_of(by, request.headers.get("loop-source")) != source:
        raise NotAllowed("expected your own source; another's is not yours to erase")
    gone = await run_in_threadpool(erasure.erase, to.home, source, by.actor, to.clock())
    return schemas.Erased(uploads=gone.uploads, taught=list(gone.taught))
