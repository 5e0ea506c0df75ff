"""``GET /v1/versions``, ``POST /v1/promotions``, ``POST /v1/rollbacks``: see what is in production, and change it.

A move is answered after the feed is published, when phones can see it. If publishing fails, the move stands, the
answer reports the failure, and the scheduler publishes later.
"""

from dataclasses import asdict
from typing import Annotated

from fastapi import APIRouter, Path, Query
from starlette.requests import Request

from loop import registry
from loop.api import examples, schemas
from loop.api.guard import Guarded, caller_of, needs, service_of
from loop.feed import promotion
from loop.store.nights import versions as stored
from loop.store.values import Attribution

router = APIRouter(prefix="/v1", route_class=Guarded, tags=["versions"])
MAY_READ = needs("reviewer", "ops")
Number = Annotated[int, Path(ge=1, lt=2**31)]


@router.get(
    "/versions",
    responses=examples.refusals(401, 403, 422, 503),
    openapi_extra=MAY_READ,
    operation_id="list_versions",
    summary="List versions",
)
def every(
    request: Request,
    family: Annotated[str | None, Query(pattern=schemas.FAMILY)] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> list[schemas.Version]:
    """Newest first."""
    with service_of(request).home.store.read() as tx:
        documents = registry.documents(tx, family)
    return [schemas.Version(**each) for each in documents[:limit]]


@router.get(
    "/versions/{number}",
    responses=examples.refusals(401, 403, 404, 422, 503),
    openapi_extra=MAY_READ,
    operation_id="get_version",
    summary="Get one version",
)
def one(request: Request, number: Number) -> schemas.VersionDetails:
    """With its lineage and its verdicts."""
    with service_of(request).home.store.read() as tx:
        version, verdicts = stored.get(tx, number), stored.verdicts(tx, number)
        document = registry.document(tx, version)
    return schemas.VersionDetails(
        **document,
        snapshot=version.snapshot_digest,
        recipe=version.recipe,
        seed=version.seed,
        judged_against=version.champion,
        verdicts=[
            schemas.Verdict(
                question=each.question, outcome=each.outcome, reasons=each.document["reasons"], given_at=each.given_at
            )
            for each in verdicts
        ],
    )


@router.get(
    "/moves",
    responses=examples.refusals(401, 403, 422, 503),
    openapi_extra=MAY_READ,
    operation_id="list_moves",
    summary="List moves",
)
def moves(
    request: Request,
    family: Annotated[str | None, Query(pattern=schemas.FAMILY)] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> list[schemas.Move]:
    """The append-only ledger of aliases, newest first: who moved which alias, when and why."""
    with service_of(request).home.store.read() as tx:
        found = stored.ledger(tx, family)
    return [schemas.Move.model_validate(asdict(move)) for move in found[:limit]]


@router.post(
    "/promotions",
    status_code=201,
    responses=examples.refusals(400, 401, 403, 404, 408, 409, 413, 422, 503),
    openapi_extra=needs("ops"),
    operation_id="promote",
    summary="Promote a version",
)
def promote(request: Request, wanted: schemas.Promotion) -> schemas.Moved:
    """Make it champion. Refused unless its verdict is passed or `override` is true."""
    service = service_of(request)
    attribution = Attribution(caller_of(request).actor, wanted.reason, wanted.override)
    return _moved(promotion.promote(service.home, wanted.version, attribution, service.clock()))


@router.post(
    "/rollbacks",
    status_code=201,
    responses=examples.refusals(400, 401, 403, 404, 408, 409, 413, 422, 503),
    openapi_extra=needs("ops"),
    operation_id="roll_back",
    summary="Roll back",
)
def rollback(request: Request, wanted: schemas.Rollback) -> schemas.Moved:
    """Go back to the previous champion, or to the one in `to`. Phones follow, since the feed's sequence still rises."""
    service = service_of(request)
    attribution = Attribution(caller_of(request).actor, wanted.reason)
    return _moved(promotion.rollback(service.home, wanted.family, wanted.to, attribution, service.clock()))


def _moved(moved: promotion.Moved) -> schemas.Moved:
    """The answer. The cause of a failed publication may name paths of this machine, so only the log contains it."""
    move, feed = moved.move, moved.feed
    result = feed.said if feed.sequence is not None else feed.said.partition(":")[0]
    return schemas.Moved(
        family=move.family,
        verb=move.verb,
        before=move.before,
        after=move.after,
        actor=move.actor,
        reason=move.reason,
        moved_at=move.moved_at,
        feed=result,
        sequence=feed.sequence,
    )
