"""``GET /v1/feed`` and the files that it names: devices fetch them, whole or in ranges, without a key.

Only the published folder is served, by number and digest. Text from a URL becomes part of a path only after it is
parsed as one of the two.
"""

import hashlib
import re
from typing import Any

from fastapi import APIRouter
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from loop.api import bodies, examples, problems
from loop.api.guard import Guarded, needs, raw, service_of
from loop.errors import NotPublished
from loop.feed.layout import ASKING_FILE, FEED_FILE, golden_path, model_path, root_path

CACHE_FOR_A_YEAR = "public, max-age=31536000, immutable"
CACHE_FOR_A_MINUTE = "public, max-age=60"

MODEL = re.compile(r"([0-9a-f]{64})(?:\.mlmodel)?")
GOLDEN = re.compile(r"([0-9a-f]{64})(?:\.json)?")
ROOT = re.compile(r"([1-9][0-9]{0,8})\.json")
RANGE = re.compile(r"bytes=([0-9]{0,15})-([0-9]{0,15})")

router = APIRouter(prefix="/v1", route_class=Guarded, tags=["feed"])


def _described(model: str | None, *parameters: dict[str, Any]) -> dict[str, Any]:
    """The options of a public route for a file: JSON of a ``model``, or bytes."""
    extra = {"parameters": list(parameters)} if parameters else {}
    return {"openapi_extra": needs(**extra), "responses": examples.files(model), "response_class": Response}


@router.get("/feed", operation_id="get_feed", summary="Get the signed feed", **_described("SignedFeed"))
@raw
async def feed(request: Request) -> Response:
    """Names the model that devices run. docs/feed.md describes how to verify it."""
    data = await run_in_threadpool(service_of(request).published.read, FEED_FILE, None)
    return _answer(request, data, hashlib.sha256(data).hexdigest(), bodies.JSON, CACHE_FOR_A_MINUTE)


@router.get("/asking", operation_id="get_asking", summary="Get the signed asking policy", **_described("SignedAsking"))
@raw
async def asking(request: Request) -> Response:
    """What a phone sends although nobody corrected it, and when it asks its user. 404 where no policy was set."""
    data = await run_in_threadpool(service_of(request).published.read, ASKING_FILE, None)
    return _answer(request, data, hashlib.sha256(data).hexdigest(), bodies.JSON, CACHE_FOR_A_MINUTE)


@router.get(
    "/root/{name}",
    operation_id="get_root",
    summary="Get a root document by number",
    **_described("SignedRoot", examples.path("name", ROOT.pattern, "1.json")),
)
@raw
async def root(request: Request) -> Response:
    """Names the keys that may sign the feed: `1.json`, `2.json`, …; the chain ends at the first 404."""
    named = ROOT.fullmatch(request.path_params["name"])
    if named is None:
        raise NotPublished("expected the number of a root and .json, got something else; start with 1.json")
    data = await run_in_threadpool(service_of(request).published.read, root_path(int(named[1])), None)
    return _answer(request, data, hashlib.sha256(data).hexdigest(), bodies.JSON, CACHE_FOR_A_MINUTE)


@router.get(
    "/models/{name}",
    operation_id="get_model",
    summary="Get a model by digest",
    **_described(None, examples.path("name", MODEL.pattern, "0" * 64)),
)
@raw
async def model(request: Request) -> Response:
    """The `.mlmodel` file with this SHA-256; it never changes."""
    digest = _digest(MODEL, request)
    data = await run_in_threadpool(service_of(request).published.read, model_path(digest), digest)
    return _answer(request, data, digest, bodies.BINARY, CACHE_FOR_A_YEAR)


@router.get(
    "/golden/{name}",
    operation_id="get_golden",
    summary="Get golden vectors by digest",
    **_described("Golden", examples.path("name", GOLDEN.pattern, "0" * 64)),
)
@raw
async def golden(request: Request) -> Response:
    """Images and the answers that a model must give before a device switches to it."""
    digest = _digest(GOLDEN, request)
    data = await run_in_threadpool(service_of(request).published.read, golden_path(digest), digest)
    return _answer(request, data, digest, bodies.JSON, CACHE_FOR_A_YEAR)


@router.get("/feed.json", include_in_schema=False, openapi_extra=needs())
@raw
async def feed_file(request: Request) -> Response:
    """The feed under its file name, so that a device can use the URL of this API or of a static folder."""
    return await feed(request)


@router.get("/asking.json", include_in_schema=False, openapi_extra=needs())
@raw
async def asking_file(request: Request) -> Response:
    """The policy under its file name."""
    return await asking(request)


for _path, _endpoint in (
    ("/feed", feed),
    ("/feed.json", feed),
    ("/asking", asking),
    ("/asking.json", asking),
    ("/root/{name}", root),
    ("/models/{name}", model),
    ("/golden/{name}", golden),
):  # CDNs revalidate with HEAD; the server sends no body
    router.add_api_route(_path, _endpoint, methods=["HEAD"], include_in_schema=False, openapi_extra=needs())


def _digest(form: re.Pattern[str], request: Request) -> str:
    named = form.fullmatch(request.path_params["name"])
    if named is None:
        raise NotPublished(
            "expected a SHA-256 of 64 lower-case hexadecimal digits, got something else; the feed names them"
        )
    return named[1]


def _answer(request: Request, data: bytes, digest: str, kind: str, cache: str) -> Response:
    """The file, the requested range of it, or 304 if the sender has it already."""
    tag = f'"{digest}"'
    headers = {"ETag": tag, "Cache-Control": cache, "Accept-Ranges": "bytes", "X-Content-Type-Options": "nosniff"}
    if _known(request.headers.get("if-none-match"), tag):
        return Response(status_code=304, headers=headers)
    requested = RANGE.fullmatch(request.headers.get("range", ""))
    if (
        requested is None or request.headers.get("if-range", tag) != tag
    ):  # no range, or several: the whole file is a valid answer
        return Response(data, 200, headers, kind)
    start, end = _span(requested[1], requested[2], len(data))
    if not 0 <= start < end:
        problem = problems.document(
            416, "no-such-range", f"Range: expected one within {len(data):,} bytes, got one outside; ask for less"
        )
        return problems.response(problem, {"ETag": tag, "Content-Range": f"bytes */{len(data)}"})
    return Response(data[start:end], 206, headers | {"Content-Range": f"bytes {start}-{end - 1}/{len(data)}"}, kind)


def _known(tags: str | None, tag: str) -> bool:
    return tags is not None and (tags.strip() == "*" or tag in {t.strip().removeprefix("W/") for t in tags.split(",")})


def _span(first: str, last: str, length: int) -> tuple[int, int]:
    """Start and end (exclusive) of a range; an empty span if it cannot be satisfied."""
    if first:
        return int(first), min(int(last) + 1, length) if last else length
    return (max(0, length - int(last)), length) if last and int(last) else (0, 0)
