"""Call an upload's endpoint directly: FastAPI's middleware and router would be a fifth of the cost of an upload."""

from collections.abc import Iterable

from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from loop.api import problems
from loop.errors import LoopError


class UploadFastPath:
    """An ASGI middleware that sends requests for one of ``routes`` directly to the guarded endpoint.

    It is for endpoints that read their requests themselves (``guard.raw``), on paths without parameters. The app keeps
    these routes: it documents them and answers other methods.
    """

    def __init__(self, app: ASGIApp, routes: Iterable[APIRoute]) -> None:
        self._app = app
        self._routes = {(method, route.path): route for route in routes for method in route.methods or ()}
        self._handlers = {key: route.get_route_handler() for key, route in self._routes.items()}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Call the endpoint, or pass the request on."""
        key = (scope["method"], scope["path"]) if scope["type"] == "http" else None
        if key not in self._routes:
            await self._app(scope, receive, send)
            return
        scope["route"] = self._routes[key]  # ``RequestMetrics`` reads it
        request = Request(scope, receive)
        try:
            response = await self._handlers[key](request)
        except LoopError as error:
            response = await problems.answer(request, error)
        await response(scope, receive, send)
