"""``POST /v1/predictions``: the champion, run here, for pages and for clients without Core ML."""

import asyncio
import time

from fastapi import APIRouter
from starlette.requests import Request

from loop.api import bodies, examples, schemas
from loop.api.champion_model import ChampionModel
from loop.api.guard import Guarded, caller, needs, service
from loop.data import digits
from loop.errors import WrongMediaType

router = APIRouter(prefix="/v1", route_class=Guarded, tags=["predictions"])
PICTURES = {"image/png", "image/jpeg"}


@router.post(
    "/predictions",
    responses=examples.refusals(400, 401, 403, 408, 409, 413, 415, 422, 429, 503),
    openapi_extra=needs("app", "reviewer", "ops", **examples.PICTURE),
    summary="Read a digit",
)
async def predict(request: Request) -> schemas.Prediction:
    """The body is the picture itself; it is read as a correction's would be, and not kept."""
    to = service(request)
    to.quotas.take(caller(request).key_id, None, 1, time.monotonic())
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in PICTURES:
        raise WrongMediaType(f"Content-Type: expected {' or '.join(sorted(PICTURES))}, got {kind[:60] or 'none'}")
    data = await bodies.read(request, to.serving.max_upload, to.serving.body_seconds)
    return await asyncio.get_running_loop().run_in_executor(to.readers, _read, to.oracle, data)


def _read(oracle: ChampionModel, data: bytes) -> schemas.Prediction:
    digit = digits.read(data)
    version, shares = oracle.predict(digit)
    return schemas.Prediction(
        label=max(range(10), key=shares.__getitem__),
        probabilities=shares,
        version=version,
        digest=digit.digest,
        normalised=digit.normalised,
    )
