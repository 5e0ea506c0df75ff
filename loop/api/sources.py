"""``/v1/sources/{source}``: what is stored of a source, a copy of all of it, and its erasure."""

import base64
import json
import time
from collections.abc import Iterator
from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, Path
from pydantic import BaseModel, Field
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import StreamingResponse

from loop.access import Role
from loop.api import bodies, examples, schemas
from loop.api.guard import Guarded, caller_of, charge, needs, service_of
from loop.api.own_corrections import OwnCorrection, document
from loop.clock import iso
from loop.data import digits
from loop.errors import NotAllowed
from loop.home import Home
from loop.intake import erasure
from loop.store.feedback import own_uploads
from loop.store.feedback.own_uploads import OwnUpload, Summary

NAME = r"^[^\x00-\x1f\x7f]+$"  # no control characters: no source contains them, and PostgreSQL accepts no NUL
EXPORT_ROWS = 200
"""Corrections read at once: about 250 kB of an export in memory."""
Name = Annotated[str, Path(min_length=1, max_length=128, pattern=NAME, examples=["s" + "0" * 40])]
OWN_OR_OPS = needs("app", "ops", **examples.WITH_SOURCE)

router = APIRouter(prefix="/v1", route_class=Guarded, tags=["sources"])


class Source(BaseModel):
    """What is stored of a source."""

    source: str
    first_seen_at: schemas.Timestamp
    attested_at: schemas.Timestamp | None = Field(description="When its device attested the app; null if none did.")
    corrections: int = Field(description="All that are stored, whatever their kind and status.")
    by_kind: dict[str, int] = Field(examples=[{"correction": 11, "confirmation": 3}])
    by_status: dict[str, int] = Field(examples=[{"accepted": 12, "superseded": 2}])


@router.get(
    "/sources/{source}",
    responses=examples.refusals(401, 403, 404, 422, 429, 503),
    openapi_extra=OWN_OR_OPS,
    operation_id="get_source",
    summary="Get the counts of a source",
)
def counts(request: Request, source: Name) -> Source:
    """An app sees its own source, ops any source."""
    charge(request)
    _require_own(request, source)
    with service_of(request).home.store.read() as tx:
        return _source(source, own_uploads.summary(tx, source))


@router.get(
    "/sources/{source}/export",
    response_class=StreamingResponse,
    responses=examples.refusals(401, 403, 404, 422, 429, 503)
    | {200: {"content": {bodies.BINARY: examples.BINARY}, "description": "A file with one JSON object per line."}},
    openapi_extra=OWN_OR_OPS,
    operation_id="export_source",
    summary="Export everything that a source sent",
)
def export(request: Request, source: Name) -> StreamingResponse:
    """JSON lines: one about the source, one per correction with its image as PNG in base64, and `{"end": n}` last.

    An export without its last line is not complete.
    """
    charge(request)
    _require_own(request, source)
    service = service_of(request)
    with service.home.store.read() as tx:
        found = _source(source, own_uploads.summary(tx, source))
    headers = {"Content-Disposition": 'attachment; filename="digits.jsonl"', "Cache-Control": "no-store"}
    first = _line(found.model_dump(mode="json") | {"exported_at": iso(service.clock())})
    return StreamingResponse(_lines(service.home, source, first), headers=headers, media_type=bodies.BINARY)


@router.delete(
    "/sources/{source}",
    responses=examples.refusals(401, 403, 422, 429, 503),
    openapi_extra=OWN_OR_OPS,
    operation_id="erase_source",
    summary="Erase a source",
)
async def erase(request: Request, source: Name) -> schemas.Erased:
    """An app erases its own source, ops any source. Erasing twice is no error: a phone may retry.

    Uploads that were drawn before and arrive later are refused with 410.
    """
    service, caller = service_of(request), caller_of(request)
    charge(request)
    _require_own(request, source)
    if caller.role is Role.APP and not await run_in_threadpool(erasure.known, service.home, source):
        service.quotas.take(caller.key_id, source, 1, time.monotonic())  # its tombstone is a new row, as a source is
    erased = await run_in_threadpool(erasure.erase, service.home, source, caller.actor, service.clock())
    taught = list(erased.taught) if caller.role is Role.OPS else None  # an app would learn its side of the split
    return schemas.Erased(uploads=erased.uploads, considered=list(erased.considered), taught=taught)


def _require_own(request: Request, source: str) -> None:
    if caller_of(request).role is Role.APP and request.state.source != source:
        raise NotAllowed("expected the caller's own source, got another; an app can name only its own")


def _source(name: str, found: Summary) -> Source:
    by_kind: dict[str, int] = {}
    by_status: dict[str, int] = {}
    for (kind, status), n in sorted(found.counts.items()):
        by_kind[kind] = by_kind.get(kind, 0) + n
        by_status[status] = by_status.get(status, 0) + n
    total = sum(found.counts.values())
    return Source(
        source=name,
        first_seen_at=found.first_seen_at,
        attested_at=found.attested_at,
        corrections=total,
        by_kind=by_kind,
        by_status=by_status,
    )


def _lines(home: Home, source: str, first: bytes) -> Iterator[bytes]:
    """The export, a page of rows at a time; each page is a transaction of its own."""
    yield first
    last = count = 0
    while True:
        with home.store.read() as tx:
            page = own_uploads.after(tx, source, last, EXPORT_ROWS)
        if not page:
            break
        yield b"".join(_line(_exported(each)) for each in page)
        last, count = page[-1].id, count + len(page)
    yield _line({"end": count})


def _exported(upload: OwnUpload) -> dict[str, Any]:
    image = digits.to_png(np.frombuffer(upload.pixels, np.uint8).reshape(digits.SIDE, digits.SIDE))
    found = OwnCorrection(**document(upload)).model_dump(mode="json")
    return found | {"image": base64.b64encode(image).decode("ascii")}


def _line(value: dict[str, Any]) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
