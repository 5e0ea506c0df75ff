"""Receive uploads: one, or a batch. A 2xx means that what was sent is on disk.

Order of work: check the key and the source (``guard``), the quota, the body, the fields, the image; then commit. A
request that is refused before the commit leaves nothing behind.
"""

import asyncio
import time
from collections.abc import Iterable

from fastapi import APIRouter
from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import Response

from loop.access import Caller
from loop.api import answers, bodies, problems, schemas, uploads
from loop.api.guard import Guarded
from loop.api.service import Service
from loop.api.uploads import Noun
from loop.errors import LoopError, NotReadable, SplitBatch, TooLarge
from loop.intake import Prepared, Receipt, Upload

REPLAYED = {"Idempotency-Replayed": "true"}


class UploadRoute(Guarded):
    """A route that counts each refused request by its reason, including one whose key is refused."""

    counts_refusals = True


async def one(request: Request, noun: Noun) -> Response:
    """Store the upload in a request; its receipt."""
    service: Service = request.app.state.service
    caller: Caller = request.state.caller
    source: str = request.state.source
    service.quotas.take(caller.key_id, source, 1, time.monotonic())
    fields = await bodies.fields(request, service.limits.max_upload, service.limits.body_seconds)
    upload = uploads.upload(fields, source, request.headers.get("idempotency-key"), noun)
    prepared = await uploads.prepare(upload, service.clock(), service.image_threads)
    [answer] = await service.group_commit.submit([prepared])
    if isinstance(answer, LoopError):
        raise answer
    service.metrics.acknowledged(upload.kind, known=answer.duplicate or answer.replayed)
    service.scorer.poke()
    headers = {"Location": f"/v1/corrections/{answer.id}"} | (REPLAYED if answer.replayed else {})
    return Response(answers.accepted(answer), 201, headers, "application/json")


async def many(request: Request, noun: Noun) -> schemas.Answers:
    """Store the uploads of a batch; an answer to each."""
    service: Service = request.app.state.service
    caller: Caller = request.state.caller
    service.quotas.open_batch(caller.key_id, request.state.source, time.monotonic())
    with service.batch():
        sent, answered = await _many(request, noun)
    _count(service, zip(sent, answered, strict=True))
    service.scorer.poke()
    return answers.to_batch(answered)


async def _many(request: Request, noun: Noun) -> tuple[list[Upload | LoopError], list[Receipt | LoopError]]:
    """The uploads of a batch and the answer to each; images are decoded a few batches at a time, off the event loop."""
    service: Service = request.app.state.service
    caller: Caller = request.state.caller
    source: str = request.state.source
    run = asyncio.get_running_loop().run_in_executor
    bodies.media_type(request, bodies.JSON)
    try:
        data = await bodies.read(request, service.limits.max_batch, service.limits.body_seconds)
        # JSON too is parsed in these threads: 16 MiB of ``[],`` become 360 MB of empty lists.
        sent = await run(service.image_threads, uploads.batch, data, source, service.limits.max_batch_items, noun)
    except (TooLarge, NotReadable) as error:
        reason = str(error).partition(";")[0]
        raise SplitBatch(f"{reason}; split the batch and send its halves", problems.status_of(error)) from None
    service.quotas.take_batch(caller.key_id, source, len(sent), time.monotonic())
    prepared = await run(service.image_threads, uploads.prepare_many, sent, service.clock())
    committed = iter(await service.group_commit.submit([each for each in prepared if isinstance(each, Prepared)]))
    return list(sent), [next(committed) if isinstance(each, Prepared) else each for each in prepared]


def _count(service: Service, pairs: Iterable[tuple[Upload | LoopError, Receipt | LoopError]]) -> None:
    for sent, answer in pairs:
        if isinstance(answer, Receipt) and isinstance(sent, Upload):
            service.metrics.acknowledged(sent.kind, known=answer.duplicate or answer.replayed)
        elif isinstance(answer, LoopError):
            service.metrics.refused(answer)


def fast_routes(*routers: APIRouter) -> list[APIRoute]:
    """The routes that ``UploadFastPath`` serves: what every phone calls all the time."""
    routes = [each for router in routers for each in router.routes if isinstance(each, APIRoute)]
    return [each for each in routes if getattr(each.endpoint, "raw", False)]
