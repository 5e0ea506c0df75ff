"""``POST /v1/corrections`` and ``/v1/corrections:batch``: a 2xx means that it is on disk.

Order of work: who calls (``guard``), may they send more now, is the body within limits, is it sound, is it on disk.
Whatever is refused before the last step has left nothing.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Any, cast

from fastapi import APIRouter
from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import Response

from loop import access
from loop.api import examples, problems, schemas, uploads
from loop.api.guard import Guarded, caller, needs, raw, service
from loop.errors import LoopError
from loop.intake import Prepared, Receipt


class Counted(Guarded):
    """A route whose refused requests are counted by their reason, a key that is not taken among them."""

    def get_route_handler(self) -> Callable[[Request], Any]:
        """The guarded endpoint, and who looks at how it ends."""
        handler = super().get_route_handler()

        async def counted(request: Request) -> Response:
            try:
                return cast(Response, await handler(request))
            except LoopError as refused:
                service(request).metrics.refused(refused)
                raise

        return counted


router = APIRouter(prefix="/v1", route_class=Counted, tags=["corrections"])


@router.post(
    "/corrections",
    status_code=201,
    response_model=schemas.Accepted,
    responses=examples.refusals(400, 401, 403, 408, 413, 415, 422, 429, 503, 507),
    openapi_extra=needs("app", **examples.CORRECTION),
    summary="Send one correction or confirmation",
)
@raw
async def add(request: Request) -> Response:
    """Stored once by (source, Idempotency-Key); resent, it is answered as before, with `Idempotency-Replayed: true`."""
    to, by = service(request), caller(request)
    source = access.source_of(by, request.headers.get("loop-source"))
    to.quotas.take(by.key_id, source, 1, time.monotonic())
    found = await uploads.one(request, to.serving)
    prepared = await uploads.prepare(found, source, uploads.header_key(request), to.clock(), to.readers)
    [answer] = await to.commits.submit([prepared])
    if isinstance(answer, LoopError):
        raise answer
    to.metrics.acknowledged(found.kind, known=answer.duplicate or answer.replayed)
    to.scorer.poke()
    headers = {"Idempotency-Replayed": "true"} if answer.replayed else None
    return Response(_accepted(answer), 201, headers, "application/json")


@router.post(
    "/corrections:batch",
    response_model=schemas.Answers,
    response_model_exclude_none=True,
    responses=examples.refusals(400, 401, 403, 408, 413, 415, 422, 429, 503, 507),
    openapi_extra=needs("app", **examples.BATCH),
    summary="Send many corrections of one source",
)
async def add_many(request: Request) -> schemas.Answers:
    """Each is answered by itself: what can be taken is, whatever the others are. All is on disk before the answer."""
    to, by = service(request), caller(request)
    source = access.source_of(by, request.headers.get("loop-source"))
    to.quotas.take(by.key_id, source, 1, time.monotonic())
    with to.batch():
        return await _add_many(request, source)


async def _add_many(request: Request, source: str) -> schemas.Answers:
    to, by = service(request), caller(request)
    found = await uploads.many(request, to.serving, to.readers)
    to.quotas.take(by.key_id, source, len(found), time.monotonic(), counted=1)
    prepared = await asyncio.get_running_loop().run_in_executor(
        to.readers, uploads.prepare_many, found, source, to.clock()
    )
    sound = [each for each in prepared if isinstance(each, Prepared)]
    stored = iter(await to.commits.submit(sound) if sound else ())
    answers = [next(stored) if isinstance(each, Prepared) else each for each in prepared]
    for sent, answer in zip(found, answers, strict=True):
        if isinstance(sent, LoopError):
            to.metrics.refused(sent)
        elif isinstance(answer, LoopError):
            to.metrics.refused(answer)
        else:
            to.metrics.acknowledged(sent.kind, known=answer.duplicate or answer.replayed)
    to.scorer.poke()
    return schemas.Answers(answers=[_answer(each) for each in answers])


def express() -> list[APIRoute]:
    """The routes that every phone takes all the time."""
    return [each for each in router.routes if isinstance(each, APIRoute) and each.endpoint is add]


def _accepted(receipt: Receipt) -> bytes:
    """A receipt as JSON, by hand: this is the hot path, and its fields need no escaping."""
    duplicate = "true" if receipt.duplicate else "false"
    at = receipt.received_at.isoformat()
    return f'{{"id":{receipt.id},"digest":"{receipt.digest}","duplicate":{duplicate},"received_at":"{at}"}}'.encode()


def _answer(answer: Receipt | LoopError) -> schemas.Answer:
    if isinstance(answer, Receipt):
        accepted = schemas.Accepted(
            id=answer.id, digest=answer.digest, duplicate=answer.duplicate, received_at=answer.received_at
        )
        return schemas.Answer(status=201, accepted=accepted)
    problem = schemas.Problem(**problems.of(answer))
    return schemas.Answer(status=problem.status, problem=problem)
