"""``DELETE /v1/sources/{source}``: erase everything that a source sent, and all that was derived from it."""

from typing import Annotated

from fastapi import APIRouter, Path
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from loop.access import Role
from loop.api import examples, schemas
from loop.api.guard import Guarded, caller_of, charge, needs, service_of
from loop.errors import NotAllowed
from loop.intake import erasure

NAME = r"^[^\x00-\x1f\x7f]+$"  # no control characters: no source contains them, and PostgreSQL accepts no NUL

router = APIRouter(prefix="/v1", route_class=Guarded, tags=["sources"])


@router.delete(
    "/sources/{source}",
    responses=examples.refusals(401, 403, 422, 429, 503),
    openapi_extra=needs("app", "ops", **examples.WITH_SOURCE),
    operation_id="erase_source",
    summary="Erase a source",
)
async def erase(
    request: Request,
    source: Annotated[str, Path(min_length=1, max_length=128, pattern=NAME, examples=["s" + "0" * 40])],
) -> schemas.Erased:
    """An app erases its own source, ops any source. Erasing twice is no error: a phone may retry."""
    service, caller = service_of(request), caller_of(request)
    charge(request)
    if caller.role is Role.APP and request.state.source != source:
        raise NotAllowed("expected the caller's own source, got another; an app can erase only its own")
    erased = await run_in_threadpool(erasure.erase, service.home, source, caller.actor, service.clock())
    return schemas.Erased(uploads=erased.uploads, taught=list(erased.taught))
