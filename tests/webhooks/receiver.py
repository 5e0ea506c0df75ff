"""A real HTTP server that accepts webhooks, or has the fault that the path names."""

import base64
import hashlib
import hmac
import http.server
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Got:
    """One received request."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def message(self) -> dict[str, Any]:
        """The parsed body."""
        message: dict[str, Any] = json.loads(self.body)
        return message


@dataclass(slots=True)
class Receiver:
    """The server's URL and its received requests."""

    url: str
    got: list[Got] = field(default_factory=list)


def genuine(secret: str, got: Got) -> bool:
    """A receiver's check of a signature, written from the convention's text and not from our code."""
    key = base64.b64decode(secret[len("whsec_") :])
    content = got.headers["webhook-id"] + "." + got.headers["webhook-timestamp"] + "." + got.body.decode("utf-8")
    expected = base64.b64encode(hmac.new(key, content.encode("utf-8"), hashlib.sha256).digest()).decode()
    given = [each.partition(",")[2] for each in got.headers["webhook-signature"].split(" ") if each.startswith("v1,")]
    return any(hmac.compare_digest(expected, each) for each in given)


class Handler(http.server.BaseHTTPRequestHandler):
    """``/status/N`` answers N; ``/drip``, ``/silent``, ``/huge``, ``/garbage`` and ``/early-hints`` are faults."""

    protocol_version = "HTTP/1.1"
    receiver: Receiver

    def do_POST(self) -> None:
        """Receive a message."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.receiver.got.append(Got(self.path, headers, body))
        what = self.path.strip("/").split("/")
        misbehave = getattr(self, f"_{what[0].replace('-', '_')}", None)
        if misbehave is not None:
            self.close_connection = True
            try:
                misbehave()
            except OSError:
                return  # the sender disconnected, as expected
        else:
            self._answer(int(what[1]) if what[0] == "status" else 204)

    def _answer(self, status: int) -> None:
        self.send_response(status)
        if 300 <= status < 400:
            self.send_header("Location", "/elsewhere")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _drip(self) -> None:
        """Send a header every tenth of a second for three seconds, so that each single read is fast enough."""
        self.wfile.write(b"HTTP/1.1 200 OK\r\n")
        for _ in range(30):
            self.wfile.write(b"X-Drip: drop\r\n")
            time.sleep(0.1)
        self.wfile.write(b"Content-Length: 0\r\n\r\n")

    def _early_hints(self) -> None:
        """Send interim answers without end."""
        while True:
            self.wfile.write(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n")
            time.sleep(0.01)

    def _silent(self) -> None:
        time.sleep(30)

    def _huge(self) -> None:
        """Send 200, and then zeros until the sender disconnects."""
        self.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            self.wfile.write(bytes(1 << 16))

    def _garbage(self) -> None:
        self.wfile.write(b"\x00\xff" * 200 + b"\r\n\r\n")

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 (http.server's name)
        """Log nothing."""


class Server(http.server.ThreadingHTTPServer):
    """A server with a thread per sender; a sender that is killed during a request causes no log."""

    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Log nothing."""


@contextmanager
def listening() -> Iterator[Receiver]:
    """A receiver on a free port of this machine."""
    handler = type("Bound", (Handler,), {})
    server = Server(("127.0.0.1", 0), handler)
    handler.receiver = Receiver(f"http://127.0.0.1:{server.server_address[1]}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield handler.receiver
    finally:
        server.shutdown()
        server.server_close()
