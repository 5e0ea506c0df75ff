"""The pages: plain files for a browser, without a build step.

A page contains no data, so it needs no key: everything that it shows comes from ``/v1``, with the visitor's key. The
files are read once, and each has a route of its own, so no part of a URL becomes part of a path. The policy lets a page
load only these files, never run text as a script, and connect only to this server.
"""

import hashlib
from dataclasses import dataclass
from importlib import resources

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from loop.api.guard import Guarded, Handler, needs, raw

POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data: blob:",
        "connect-src 'self'",
        "frame-ancestors 'none'",
        "base-uri 'none'",
        "form-action 'none'",
        "require-trusted-types-for 'script'",  # text can become neither markup nor a script
        "trusted-types 'none'",
    )
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-cache",
}
CLIENT = "client"
"""The folder with the modules of ``clients/js``: a link to its sources in the repository, files in a wheel."""
PAGES = {"draw.html": "/", "review.html": "/review", "production.html": "/production", "reference.html": "/api"}
KINDS = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}


@dataclass(frozen=True, slots=True)
class Page:
    """One file: a page, or a part of one."""

    data: bytes
    kind: str

    @property
    def tag(self) -> str:
        """Its ETag: a browser downloads a file again only after a release changed it."""
        return f'"{hashlib.sha256(self.data).hexdigest()}"'


def pages() -> dict[str, Page]:
    """Every file by its URL path, read now."""
    static = resources.files("loop.api").joinpath("static")
    found = {PAGES.get(file.name, f"/web/{file.name}"): file for file in static.iterdir() if file.is_file()}
    found |= {f"/web/{CLIENT}/{file.name}": file for file in static.joinpath(CLIENT).iterdir()}
    return {path: Page(found[path].read_bytes(), KINDS[found[path].name.rpartition(".")[2]]) for path in sorted(found)}


def router() -> APIRouter:
    """A route for each file; none needs a key."""
    made = APIRouter(route_class=Guarded, include_in_schema=False)
    for path, page in pages().items():
        made.add_api_route(path, _showing(page), methods=["GET", "HEAD"], openapi_extra=needs())
    return made


def _showing(page: Page) -> Handler:
    headers = HEADERS | {"ETag": page.tag}

    @raw
    async def show(request: Request) -> Response:
        if page.tag in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=headers)
        return Response(page.data, headers=headers, media_type=page.kind)

    return show
