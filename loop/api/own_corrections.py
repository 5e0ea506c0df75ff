"""``/v1/corrections``: what a source sees of its own corrections, and how it takes one back."""

from dataclasses import asdict
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, Field
from starlette.requests import Request

from loop.api import examples
from loop.api.guard import Guarded, charge, needs, service_of
from loop.api.schemas import Timestamp
from loop.store.feedback import own_uploads
from loop.store.feedback.own_uploads import OwnUpload
from loop.store.values import Flag, Kind, Status

MAX_PAGE = 200
OWN = needs("app", **examples.WITH_SOURCE)
Shown = Literal[Status.ACCEPTED, Status.NOTED, Status.SUPERSEDED, Status.WITHDRAWN]
Id = Annotated[int, Path(ge=1, lt=2**63, description="The id from the answer to the upload.")]

router = APIRouter(prefix="/v1", route_class=Guarded, tags=["corrections"])


class OwnCorrection(BaseModel):
    """A correction as its source may see it."""

    id: int
    status: Shown = Field(
        description="`accepted`: it may train or test a model, a drawing once reviewers have labelled it; `noted`: its "
        "kind never does; `superseded`: the source "
        "said something else about the image later; `withdrawn`: the source took it back. What reviewers decide about "
        "it is not shown."
    )
    kind: Kind
    label: int | None = Field(description="As its source gave it; null for a drawing, whatever reviewers say.")
    digest: str = Field(description="SHA-256 of the 784 stored pixels.")
    predicted: int | None
    confidence: float | None
    version: int | None
    runner_up: int | None = Field(description="Of a drawing: the second digit of the phone's model.")
    runner_up_confidence: float | None
    rate: float = Field(
        description="The rate with which it counts: the announced one of a confirmation, a drawing or an answer "
        "(`asked`), else 1."
    )
    flag: Flag | None = Field(
        description="Why it is never evidence about a model: `unknown-version`: this server never registered its "
        "`version`; `captured-at`: it was captured before 2007, or more than a day after it arrived."
    )
    captured_at: Timestamp | None
    received_at: Timestamp
    normalised: bool = Field(description="True if the image was converted to MNIST's form.")
    preparation: str | None = Field(description="How the image was converted, if that is known.")
    supersedes: int | None = Field(description="The earlier correction that this one replaced.")
    superseded_by: int | None = Field(description="The later correction that replaced this one.")
    considered: list[int] = Field(
        description="The versions that were made while it counted: each may have been trained on it, or tested on it. "
        "Which of the two is not disclosed, so that nobody can choose to test models. Empty once it was withdrawn; the "
        "answer to its withdrawal has them."
    )


class OwnCorrections(BaseModel):
    """A page of corrections, newest first; ``next`` is the ``before`` of the next page, null on the last one."""

    corrections: list[OwnCorrection]
    next: int | None


@router.get(
    "/corrections",
    responses=examples.refusals(401, 403, 422, 429, 503),
    openapi_extra=OWN,
    operation_id="list_corrections",
    summary="List the corrections of one's own source",
)
def every(
    request: Request,
    limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = 50,
    before: Annotated[int, Query(ge=1, lt=2**63, description="Only ids below this one.")] = own_uploads.LARGEST_ID,
) -> OwnCorrections:
    """Newest first, in pages."""
    charge(request)
    with service_of(request).home.store.read() as tx:
        found = own_uploads.page(tx, request.state.source, before, limit + 1)
    shown = [OwnCorrection(**document(each)) for each in found[:limit]]
    return OwnCorrections(corrections=shown, next=shown[-1].id if len(found) > limit else None)


@router.get(
    "/corrections/{id}",
    responses=examples.refusals(401, 403, 404, 422, 429, 503),
    openapi_extra=OWN,
    operation_id="get_correction",
    summary="Get a correction of one's own source",
)
def one(request: Request, id: Id) -> OwnCorrection:  # noqa: A002 (the name of the path parameter)
    """What became of it. Another source's correction is answered like one that does not exist."""
    charge(request)
    with service_of(request).home.store.read() as tx:
        return OwnCorrection(**document(own_uploads.get(tx, request.state.source, id)))


@router.delete(
    "/corrections/{id}",
    responses=examples.refusals(401, 403, 404, 422, 429, 503, 507),
    openapi_extra=OWN,
    operation_id="withdraw_correction",
    summary="Take back a correction of one's own source",
)
def withdraw(request: Request, id: Id) -> OwnCorrection:  # noqa: A002 (the name of the path parameter)
    """No night that ends after this has taught it; `considered` names the earlier ones. Repeating it is no error."""
    charge(request)
    with service_of(request).home.store.exclusive() as tx:
        return OwnCorrection(**document(own_uploads.withdraw(tx, request.state.source, id)))


def document(upload: OwnUpload) -> dict[str, Any]:
    """The fields of ``OwnCorrection``."""
    found = asdict(upload)
    return {name: found[name] for name in OwnCorrection.model_fields}
