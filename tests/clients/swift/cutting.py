"""A proxy in front of a server that breaks connections: before a request takes effect, after it did, in the answer."""

import http.server
import threading
from collections.abc import Callable
from typing import Any, Self

import httpx

How = str  # "", "before", "after" or "middle"
KEPT = ("Authorization", "Loop-Source", "Idempotency-Key", "Content-Type")


class Handler(http.server.BaseHTTPRequestHandler):
    """Forwards each request, or breaks it as ``how(number, path)`` says."""

    protocol_version = "HTTP/1.1"
    target: str
    how: Callable[[int, str], How]
    requests: list[str]

    def forward(self) -> None:
        """Forward one request."""
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.requests.append(f"{self.command} {self.path}")
        how = type(self).how(len(self.requests), self.path)
        if how == "before":
            self.close_connection = True
            return
        headers = {name: self.headers[name] for name in KEPT if name in self.headers}
        answer = httpx.request(self.command, self.target + self.path, content=body, headers=headers, timeout=30)
        if how == "after":
            self.close_connection = True
            return
        self.send_response(answer.status_code)
        for name in ("Content-Type", "Retry-After"):
            if name in answer.headers:
                self.send_header(name, answer.headers[name])
        self.send_header("Content-Length", str(len(answer.content)))
        self.end_headers()
        self.wfile.write(answer.content if how != "middle" else answer.content[: len(answer.content) // 2])
        self.close_connection = how == "middle"

    do_GET = do_POST = do_DELETE = forward  # noqa: N815 (http.server's names)

    def log_message(self, *_: object) -> None:
        """Log nothing."""


class Cutting:
    """The proxy; ``how`` decides about each request by its number, from 1, and its path."""

    def __init__(self, target: str, how: Callable[[int, str], How]) -> None:
        members: dict[str, Any] = {"target": target, "how": staticmethod(how), "requests": []}
        self.handler = type("Bound", (Handler,), members)
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), self.handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"

    @property
    def requests(self) -> list[str]:
        """Method and path of every request."""
        return self.handler.requests

    def __enter__(self) -> Self:
        """Serve."""
        return self

    def __exit__(self, *error: object) -> None:
        """Stop."""
        self.server.shutdown()
        self.server.server_close()
