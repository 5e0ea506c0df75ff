"""Decide who may call an operation before any byte of the request's body is read.

Each operation lists its roles under ``x-loop-roles`` in the OpenAPI document. ``Guarded`` enforces that list and
refuses to build a route without one; the tests derive the matrix of roles and operations from it. An operation that
documents the ``Loop-Source`` header gets the source of its caller.
"""

import time
from collections.abc import Awaitable, Callable
from typing import Any, cast

from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Message

from loop import access
from loop.access import Caller, Role
from loop.api import bodies
from loop.api.service import Service
from loop.errors import LoopError, NotAllowed

ROLES = "x-loop-roles"
SOURCE_HEADER = {
    "name": "Loop-Source",
    "in": "header",
    "required": False,
    "schema": {"type": "string", "pattern": "^[A-Za-z0-9_-]{43}$"},
    "description": "The secret of this install: 32 random bytes in base64url, kept by the phone. The name of its "
    "source is a hash of this secret. Required with an app's shared key; a key bound to a source does not need it.",
}
OPERATOR_BODY_BYTES = 16 * 1024
"""Limit for the bodies that operators send: a few numbers and a reason."""

Handler = Callable[[Request], Awaitable[Response]]


def needs(*roles: str, **more: Any) -> dict[str, Any]:
    """The OpenAPI entry of an operation for these roles; without roles it is public. ``more`` is merged into it."""
    security: dict[str, Any] = {"security": [{"key": []}]} if roles else {"security": []}
    return {ROLES: list(roles)} | security | more


def raw(endpoint: Handler) -> Handler:
    """Mark an endpoint that reads its request itself. Skipping FastAPI's parameters halves the cost of an upload."""
    cast(Any, endpoint).raw = True
    return endpoint


class Guarded(APIRoute):
    """A route for certain roles only.

    Its endpoint finds the caller in ``request.state.caller`` and, if the operation documents ``Loop-Source`` and the
    caller is an app, the name of the source in ``request.state.source``.
    """

    counts_refusals = False
    """Does ``loop_uploads_refused_total`` count what this route refuses?"""

    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        entry = options.get("openapi_extra") or {}
        self.roles = frozenset(entry[ROLES])
        self.has_source = SOURCE_HEADER in entry.get("parameters", ())
        super().__init__(path, endpoint, **options)

    def get_route_handler(self) -> Callable[[Request], Any]:
        """The endpoint, called only for an admitted caller. Raises ``NoKey``, ``KeyRefused``, ``NotAllowed``."""
        handler = self.endpoint if getattr(self.endpoint, "raw", False) else super().get_route_handler()
        if not self.roles:
            return handler

        async def guarded(request: Request) -> Response:
            service: Service = request.app.state.service
            try:
                caller = service.keys.caller(request.headers.get("authorization"), service.clock())
                if caller.role not in self.roles:
                    expected = " or ".join(sorted(self.roles))
                    raise NotAllowed(f"expected a key with the role {expected}, got one with the role {caller.role}")
                request.state.caller = caller
                if self.has_source and caller.role is Role.APP:
                    request.state.source = access.source_of(caller, request.headers.get("loop-source"))
                return cast(Response, await handler(request if self.body_field is None else await _bounded(request)))
            except LoopError as refusal:
                if self.counts_refusals:
                    service.metrics.refused(refusal)
                raise

        return guarded


async def _bounded(request: Request) -> Request:
    """The request with its body already read, within limits that FastAPI itself does not enforce."""
    data = await bodies.read(request, OPERATOR_BODY_BYTES, service_of(request).limits.body_seconds)
    bodies.refuse_repeated_keys(data)

    async def receive() -> Message:
        return {"type": "http.request", "body": data, "more_body": False}

    return Request(request.scope, receive)


def service_of(request: Request) -> Service:
    """The service that handles the request."""
    return cast(Service, request.app.state.service)


def caller_of(request: Request) -> Caller:
    """The caller that the guard admitted."""
    return cast(Caller, request.state.caller)


def charge(request: Request) -> None:
    """Count one request against the quota of the caller's key. Raises ``QuotaSpent``."""
    service_of(request).quotas.take(caller_of(request).key_id, None, 1, time.monotonic())
