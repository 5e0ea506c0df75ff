"""``POST /v1/predictions``: run the champion on the server, for pages and for clients without Core ML."""

import asyncio

from fastapi import APIRouter
from starlette.requests import Request

from loop.api import bodies, examples, schemas
from loop.api.champion_model import ChampionModel
from loop.api.guard import Guarded, charge, needs, service_of
from loop.data import digits

router = APIRouter(prefix="/v1", route_class=Guarded, tags=["predictions"])
IMAGE_TYPES = ("image/png", "image/jpeg", bodies.BINARY)


@router.post(
    "/predictions",
    responses=examples.refusals(400, 401, 403, 408, 409, 413, 415, 422, 429, 503),
    openapi_extra=needs("app", "reviewer", "ops", **examples.IMAGE),
    operation_id="predict",
    summary="Read a digit",
)
async def predict(request: Request) -> schemas.Prediction:
    """The body is the bytes of the image, also as `image/png` or `image/jpeg`. It is not stored."""
    service = service_of(request)
    charge(request)
    bodies.media_type(request, *IMAGE_TYPES)
    data = await bodies.read(request, service.limits.max_upload, service.limits.body_seconds)
    return await asyncio.get_running_loop().run_in_executor(service.image_threads, _predict, service.champion, data)


def _predict(champion: ChampionModel, data: bytes) -> schemas.Prediction:
    digit = digits.read(data)
    version, probabilities = champion.predict(digit)
    return schemas.Prediction(
        label=max(range(10), key=probabilities.__getitem__),
        probabilities=probabilities,
        version=version,
        digest=digit.digest,
        normalised=digit.normalised,
    )
