"""``GET /v1/feed`` and the files that it names: what devices fetch, whole or in ranges, without a key.

Only the published folder is served, by numbers and digests; what comes in a URL never becomes part of a path before it
proved to be one of them.
"""

import hashlib
import re
from typing import Any

from fastapi import APIRouter
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from loop.api import examples, problems
from loop.api.guard import Guarded, needs, raw, service
from loop.errors import NotPublished
from loop.feed.layout import FEED_FILE, golden_path, model_path, root_path

CACHE_FOR_A_YEAR = "public, max-age=31536000, immutable"
CACHE_FOR_A_MINUTE = "public, max-age=60"

DIGEST = re.compile(r"([0-9a-f]{64})(?:\.mlmodel|\.json)?")
ROOT = re.compile(r"([1-9][0-9]{0,8})\.json")
RANGE = re.compile(r"bytes=([0-9]{0,15})-([0-9]{0,15})")

router = APIRouter(prefix="/v1", route_class=Guarded, tags=["feed"])
ANYBODY: dict[str, Any] = {
    "openapi_extra": needs(),
    "responses": examples.files(200, 206, 304) | examples.refusals(404, 416),
}
BY_DIGEST = ANYBODY | {"openapi_extra": needs(parameters=[examples.path("name", DIGEST.pattern, "0" * 64)])}
BY_NUMBER = ANYBODY | {"openapi_extra": needs(parameters=[examples.path("name", ROOT.pattern, "1.json")])}


@router.get("/feed", summary="The signed feed", **ANYBODY)
@raw
async def feed(request: Request) -> Response:
    """What devices shall run; see docs/feed.md for how to check it."""
    data = await run_in_threadpool(service(request).shelf.read, FEED_FILE, None)
    return _answer(request, data, hashlib.sha256(data).hexdigest(), "application/json", CACHE_FOR_A_MINUTE)


@router.get("/root/{name}", summary="A root document, by its number", **BY_NUMBER)
@raw
async def root(request: Request) -> Response:
    """Who may sign the feed: `1.json`, `2.json`, …; the chain ends at the first 404."""
    named = ROOT.fullmatch(request.path_params["name"])
    if named is None:
        raise NotPublished("expected a root's number and .json")
    data = await run_in_threadpool(service(request).shelf.read, root_path(int(named[1])), None)
    return _answer(request, data, hashlib.sha256(data).hexdigest(), "application/json", CACHE_FOR_A_MINUTE)


@router.get("/models/{name}", summary="A model, by its digest", **BY_DIGEST)
@raw
async def model(request: Request) -> Response:
    """The `.mlmodel` with this SHA-256; it never changes."""
    digest = _digest(request.path_params["name"])
    data = await run_in_threadpool(service(request).shelf.read, model_path(digest), digest)
    return _answer(request, data, digest, "application/octet-stream", CACHE_FOR_A_YEAR)


@router.get("/golden/{name}", summary="Golden vectors, by their digest", **BY_DIGEST)
@raw
async def golden(request: Request) -> Response:
    """Pictures and the answers that a model must give to them before a device switches to it."""
    digest = _digest(request.path_params["name"])
    data = await run_in_threadpool(service(request).shelf.read, golden_path(digest), digest)
    return _answer(request, data, digest, "application/json", CACHE_FOR_A_YEAR)


@router.get("/feed.json", include_in_schema=False, **ANYBODY)
@raw
async def feed_file(request: Request) -> Response:
    """The feed where a folder of static files has it, so that a device's URL may be either."""
    return await feed(request)


for _path, _endpoint in (
    ("/feed", feed),
    ("/feed.json", feed),
    ("/root/{name}", root),
    ("/models/{name}", model),
    ("/golden/{name}", golden),
):  # CDNs ask so whether what they hold is still true; the server sends no body
    router.add_api_route(_path, _endpoint, methods=["HEAD"], include_in_schema=False, openapi_extra=needs())


def _digest(name: str) -> str:
    named = DIGEST.fullmatch(name)
    if named is None:
        raise NotPublished("expected a SHA-256 in 64 lower-case hexadecimal digits")
    return named[1]


def _answer(request: Request, data: bytes, digest: str, kind: str, cache: str) -> Response:
    """The bytes, or the one range that was asked for, or word that the asker has them already."""
    tag = f'"{digest}"'
    headers = {"ETag": tag, "Cache-Control": cache, "Accept-Ranges": "bytes", "X-Content-Type-Options": "nosniff"}
    if _known(request.headers.get("if-none-match"), tag):
        return Response(status_code=304, headers=headers)
    wanted = RANGE.fullmatch(request.headers.get("range", ""))
    if wanted is None or request.headers.get("if-range", tag) != tag:  # none, or several: all of it may be sent
        return Response(data, 200, headers, kind)
    start, end = _span(wanted[1], wanted[2], len(data))
    if not 0 <= start < end:
        problem = problems.document(416, "no-such-range", f"expected a range within {len(data):,} bytes")
        return problems.response(problem, {"ETag": tag, "Content-Range": f"bytes */{len(data)}"})
    return Response(data[start:end], 206, headers | {"Content-Range": f"bytes {start}-{end - 1}/{len(data)}"}, kind)


def _known(tags: str | None, tag: str) -> bool:
    return tags is not None and (tags.strip() == "*" or tag in {t.strip().removeprefix("W/") for t in tags.split(",")})


def _span(first: str, last: str, length: int) -> tuple[int, int]:
    """Where a range begins and ends (exclusive); an empty one where it cannot be satisfied."""
    if first:
        return int(first), min(int(last) + 1, length) if last else length
    return (max(0, length - int(last)), length) if last and int(last) else (0, 0)
