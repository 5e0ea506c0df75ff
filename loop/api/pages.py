"""The pages: what a browser shows of the loop, as plain files without a build.

A page holds nothing and anybody may have it: all that it shows comes from ``/v1``, with the key that its visitor
enters. The files are read once; each is a route of its own, so what comes in a URL never becomes part of a path. The
policy lets a page load nothing but these files, run no text as a script, and talk to nobody but this server.
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
        "require-trusted-types-for 'script'",  # text can become neither markup nor a script, whatever a page tries
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
PAGES = {"draw.html": "/", "production.html": "/production", "reference.html": "/api"}
KINDS = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}


@dataclass(frozen=True, slots=True)
class Page:
    """One file as it is sent: a page, or what a page is made of."""

    data: bytes
    kind: str

    @property
    def tag(self) -> str:
        """Its ETag: a new release's pages are asked for anew, and nothing else is."""
        return f'"{hashlib.sha256(self.data).hexdigest()}"'


def pages() -> dict[str, Page]:
    """Every file by the path at which it is shown, read now."""
    files = sorted(resources.files("loop.api").joinpath("static").iterdir(), key=lambda file: file.name)
    return {
        PAGES.get(file.name, f"/web/{file.name}"): Page(file.read_bytes(), KINDS[file.name.rpartition(".")[2]])
        for file in files
    }


def router() -> APIRouter:
    """A route for each file, open to anybody."""
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
