"""HTTP/1.1 as uvicorn speaks it, with a bound on what comes before a body: its length, and how long it may take.

uvicorn keeps whatever headers come, for as long as they come, and connections on which nothing comes; bodies are the
app's own matter (``bodies``). Its parser takes what follows a request to upgrade for another protocol's bytes: a body
there would be read as the next request, so it is refused.
"""

import asyncio
import json
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from loop.api import problems

MAX_HEAD_BYTES = 32 * 1024
HEAD_SECONDS = 15.0

STATUS_DETAILS = {
    400: ("malformed-request", "expected one request in HTTP/1.1, or in HTTP/1.0"),
    408: ("head-too-slow", "expected the headers sooner"),
    426: ("no-upgrade", "expected a body without Upgrade; this server speaks HTTP/1.1 alone"),
    431: ("head-too-long", f"expected at most {MAX_HEAD_BYTES:,} bytes of headers"),
}


class Bounded(HttpToolsProtocol):
    """Answers 431 to a longer head, 408 to a slower one, and closes; so it does where nothing comes at all."""

    _in_head = False
    _head_bytes = 0
    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's own
        """A sender is there."""
        super().connection_made(transport)
        self._begin_timer()

    def data_received(self, data: bytes) -> None:
        """The next bytes of a connection."""
        if self._in_head:
            self._head_bytes += len(data)
            if self._head_bytes > MAX_HEAD_BYTES:
                self._refuse(431)
                return
        super().data_received(data)
        if self._in_head or not self._answering:  # uvicorn's own timer for idle connections stopped at these bytes
            self._begin_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        """The sender is gone."""
        self._forget_timer()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        """A request begins."""
        self._in_head, self._head_bytes = True, 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Its head is whole."""
        self._in_head = False
        self._forget_timer()
        if len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers) > MAX_HEAD_BYTES:
            self._refuse(431)  # it came in one piece
        elif self.parser.should_upgrade() and self._has_body():
            self._refuse(426)
        if self.transport.is_closing():
            raise ConnectionAbortedError("refused")  # so that the parser stops
        super().on_headers_complete()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 (uvicorn's signature)
        """The parser does not understand it, or stopped."""
        self._refuse(400)

    @property
    def _answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    @property
    def _in_body(self) -> bool:
        return self._answering and self.cycle.more_body

    def _has_body(self) -> bool:
        return any(name in {b"content-length", b"transfer-encoding"} for name, _ in self.headers)

    def _begin_timer(self) -> None:
        if self._timer is None and not self.transport.is_closing():
            self._timer = self.loop.call_later(HEAD_SECONDS, self._refuse, 408)

    def _refuse(self, status: int) -> None:
        """Answer and close; just close where it would be taken for the answer to another request, or to none."""
        self._forget_timer()
        if self.transport.is_closing():
            return
        ours = self._in_body and not self.pipeline and not self.cycle.response_started
        if (ours or not self._answering) and (self._in_head or status != 408):
            body = json.dumps(problems.document(status, *STATUS_DETAILS[status])).encode()
            kind = f"content-type: {problems.MEDIA_TYPE}\r\ncontent-length: {len(body)}\r\nconnection: close\r\n\r\n"
            self.transport.write(STATUS_LINE[status] + kind.encode() + body)
        self.transport.close()

    def _forget_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def options() -> dict[str, Any]:
    """What uvicorn is told."""
    return {
        "http": Bounded,
        "ws": "none",
        "log_config": None,
        "access_log": False,
        "server_header": False,
        "timeout_keep_alive": 75,
        "timeout_graceful_shutdown": 30,
        "backlog": 2048,
    }
