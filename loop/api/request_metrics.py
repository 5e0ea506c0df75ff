"""Count and time every request by operation and status; the outermost middleware."""

import time

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from loop.operations.metrics import Metrics

NO_OPERATION = "none"
"""The operation of a request without a route: a path or method that a stranger chose must not become a label."""


class RequestMetrics:
    """An ASGI middleware that looks at the start of each response; bodies pass unchanged."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app, self._metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on and observe its status and duration."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started_at, status = time.perf_counter(), 500

        async def observing_send(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, observing_send)
        finally:
            route = scope.get("route")
            operation = NO_OPERATION if route is None else f"{'/'.join(sorted(route.methods))} {route.path}"
            self._metrics.observe(operation, status, time.perf_counter() - started_at)
