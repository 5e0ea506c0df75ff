"""Count and time every request, by operation and status, around everything else."""

import time

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from loop.operations.metrics import Metrics

NONE = "none"
"""The operation of a request that no route took; a path or method of a stranger's choice must not become a label."""


class RequestMetrics:
    """An ASGI middleware: no body passes through it."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app, self._metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on, and look at the answer's first message."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun, status = time.perf_counter(), 500

        async def noticing(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, noticing)
        finally:
            route = scope.get("route")
            operation = NONE if route is None else f"{'/'.join(sorted(route.methods))} {route.path}"
            self._metrics.observe(operation, status, time.perf_counter() - begun)
