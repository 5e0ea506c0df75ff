"""HTTP as bytes: requests that ordinary clients would correct or refuse to send."""

import contextlib
import json
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from starlette.types import ASGIApp, Message

from tests.api.conftest import Phone

Headers = Iterable[tuple[bytes, bytes]]


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer."""

    status: int
    headers: dict[str, str]
    body: bytes


def connect(url: str, seconds: float = 60) -> socket.socket:
    """A connection to a server."""
    parts = urlsplit(url)
    assert parts.hostname is not None
    made = socket.create_connection((parts.hostname, parts.port or 80), seconds)
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return made


def request(method: str, target: bytes, headers: Headers = (), body: bytes = b"") -> bytes:
    """A request with exactly these bytes in it; host and length are added."""
    lines = [method.encode() + b" " + target + b" HTTP/1.1", b"Host: test", *(n + b": " + v for n, v in headers)]
    return b"\r\n".join([*lines, b"Content-Length: %d" % len(body), b"", body])


def ask(url: str, sent: bytes) -> Answer | None:
    """The answer to one request on a connection of its own; None if the server just closed."""
    with connect(url) as line:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # answered before all was sent
            line.sendall(sent)
        return read(line)


def read(line: socket.socket) -> Answer | None:
    """The next answer on a connection; None if it ended before one."""
    with line.makefile("rb") as file:
        try:
            first = file.readline()
            if not first:
                return None
            found = {}
            while (field := file.readline().strip()) and b":" in field:
                name, _, value = field.decode("latin-1").partition(":")
                found[name.lower()] = value.strip()
            status = int(first.split()[1])
            if status == 100:
                return Answer(status, found, b"")
            assert "transfer-encoding" not in found, "the API announces the length of every answer"
            return Answer(status, found, file.read(int(found.get("content-length", 0))))
        except ConnectionResetError:
            return None


def rest(line: socket.socket) -> bytes:
    """All bytes until the other side closes."""
    found = b""
    with contextlib.suppress(ConnectionResetError):
        while piece := line.recv(65536):
            found += piece
    return found


async def asgi(app: ASGIApp, phone: Phone, path: str, body: Any) -> int:
    """The status of a JSON request that is passed to the app directly, without a server."""
    sent = json.dumps(body).encode()
    headers = phone.headers | {"Content-Type": "application/json", "Content-Length": str(len(sent))}
    scope = {
        "type": "http",
        "method": "POST",
        "path": path,
        "query_string": b"",
        "headers": [(name.lower().encode(), value.encode()) for name, value in headers.items()],
        "app": app,
    }
    statuses: list[int] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": sent, "more_body": False}

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    await app(scope, receive, send)
    return statuses[0]
