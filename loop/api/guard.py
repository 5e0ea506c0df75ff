"""Who may do what: every operation says its roles, and is asked before a byte of a body is read.

An operation without an entry cannot be added to the app: ``Guarded`` looks for it when the route is made. The entry
stands in the OpenAPI document as ``x-loop-roles``, from which the tests make the matrix of roles and operations.
"""

from collections.abc import Awaitable, Callable
from typing import Any, cast

from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Message

from loop.access import Caller
from loop.api import bodies
from loop.api.service import Service
from loop.errors import NotAllowed

ROLES = "x-loop-roles"
DRAIN_BYTES = 16 * 1024
"""Bytes of what operators ask for: a few numbers and a reason."""
Handler = Callable[[Request], Awaitable[Response]]


def needs(*roles: str, **more: Any) -> dict[str, Any]:
    """The entry of an operation; no roles: anybody, without a key. ``more`` joins the OpenAPI operation."""
    security: dict[str, Any] = {"security": [{"key": []}]} if roles else {"security": []}
    return {ROLES: list(roles)} | security | more


def raw(endpoint: Handler) -> Handler:
    """Mark an endpoint that reads its request itself: uploads skip FastAPI's parameters, half of their cost."""
    cast(Any, endpoint).raw = True
    return endpoint


class Guarded(APIRoute):
    """A route that lets only certain roles through."""

    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        self.roles = frozenset((options.get("openapi_extra") or {})[ROLES])
        super().__init__(path, endpoint, **options)

    def get_route_handler(self) -> Callable[[Request], Any]:
        """The endpoint behind the question who is calling."""
        handler = self.endpoint if getattr(self.endpoint, "raw", False) else super().get_route_handler()
        if not self.roles:
            return handler

        async def guarded(request: Request) -> Response:
            request.state.caller = self.admitted(service(request), request)
            return cast(Response, await handler(request if self.body_field is None else await _bounded(request)))

        return guarded

    def admitted(self, to: Service, request: Request) -> Caller:
        """The caller. Raises ``NoKey``, ``KeyRefused``, ``NotAllowed``."""
        caller = to.ring.who(request.headers.get("authorization"), to.clock())
        if caller.role not in self.roles:
            expected = " or ".join(sorted(self.roles))
            raise NotAllowed(f"expected a key with role {expected}, this one is of role {caller.role}")
        return caller


async def _bounded(request: Request) -> Request:
    """The request with its body read within limits, which FastAPI would not ask about."""
    data = await bodies.read(request, DRAIN_BYTES, service(request).serving.body_seconds)

    async def receive() -> Message:
        return {"type": "http.request", "body": data, "more_body": False}

    return Request(request.scope, receive)


def service(request: Request) -> Service:
    """What the app composes."""
    return cast(Service, request.app.state.service)


def caller(request: Request) -> Caller:
    """Who was let through."""
    return cast(Caller, request.state.caller)
