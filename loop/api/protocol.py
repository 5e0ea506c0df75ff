"""uvicorn's HTTP/1.1, with limits on connections, on a request's head, and on what surrounds the chunks of its body.

uvicorn itself accepts headers of any length, at any pace, and keeps silent connections open. ``bodies`` limits the
content of bodies; the bytes around it, chunk sizes and trailers, are limited here. Trailers are dropped: uvicorn would
add them to the headers of a request that is already checked. After a request to upgrade, uvicorn's parser treats what
follows as another protocol: it would read a body there as the next request, so such a body is refused.
"""

import asyncio
import json
from typing import Any, ClassVar

from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from loop.api import problems
from loop.api.connections import Connections

MAX_HEAD_BYTES = 32 * 1024
HEAD_SECONDS = 15.0
MAX_FRAMING_BYTES = 64 * 1024
"""Chunk sizes, line ends and trailers of one body; 16 MiB in chunks of 4 KiB need 36 KiB."""
SINGLE = frozenset(
    {b"host", b"authorization", b"loop-source", b"idempotency-key", b"content-type", b"content-encoding"}
)
"""Headers that a request has once: two readers could believe different ones."""

STATUS_DETAILS = {
    400: ("malformed-request", "expected a request in HTTP/1.1 or HTTP/1.0, got something else; correct it"),
    413: (
        "too-much-framing",
        f"expected at most {MAX_FRAMING_BYTES:,} bytes of chunk sizes and trailers, got more; send larger chunks",
    ),
    408: ("head-too-slow", f"expected all headers within {HEAD_SECONDS:g} s, got a part; send the request again"),
    426: ("no-upgrade", "expected a body without an Upgrade header, got both; this server supports only HTTP/1.1"),
    431: (
        "head-too-long",
        f"expected at most {MAX_HEAD_BYTES:,} bytes of headers, got more; send fewer or shorter headers",
    ),
}


class Bounded(HttpToolsProtocol):
    """Answers 431 to a head that is too long and 408 to one that is too slow, then closes; closes idle connections."""

    connections_by_address: ClassVar = Connections()

    _in_head = False
    _head_bytes = 0
    _framing_bytes = 0
    _reading_body = False
    _counted = False  # whether the bytes at hand were counted before they were parsed
    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's own
        """A client connected."""
        super().connection_made(transport)
        self._address = self.client[0] if self.client else "local"
        self._trusted = isinstance(self.app, ProxyHeadersMiddleware) and self._address in self.app.trusted_hosts
        if self.connections_by_address.opened(self._address, trusted=self._trusted):
            self._begin_timer()
        else:
            transport.abort()

    def data_received(self, data: bytes) -> None:
        """The next bytes of the connection arrived."""
        if self._in_head:
            self._head_bytes += len(data)
            if self._head_bytes > MAX_HEAD_BYTES:
                self._refuse(431)
                return
        if self._reading_body:
            self._framing_bytes, self._counted = self._framing_bytes + len(data), True
        super().data_received(data)
        if self._reading_body and self._framing_bytes > MAX_FRAMING_BYTES:
            self._refuse(413)
            return
        if self._in_head or not self._answering:  # uvicorn's timer for idle connections stopped at these bytes
            self._begin_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is closed."""
        self._forget_timer()
        self.connections_by_address.closed(self._address)
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        """The head of a request begins."""
        self._in_head, self._head_bytes = True, 0
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header, or a trailer of a body in chunks."""
        if self._in_head:
            super().on_header(name, value)

    def on_body(self, body: bytes) -> None:
        """Content of the body, without what surrounds it."""
        if self._counted:
            self._framing_bytes -= len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The body is complete, with its trailers."""
        self._reading_body = False
        super().on_message_complete()

    def on_headers_complete(self) -> None:
        """The head is complete."""
        self._in_head = False
        self._reading_body, self._framing_bytes, self._counted = True, 0, False
        self._forget_timer()
        if len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers) > MAX_HEAD_BYTES:
            self._refuse(431)  # it arrived in one piece
        elif self.parser.should_upgrade() and self._has_body():
            self._refuse(426)
        elif self._repeats_a_header():
            self._refuse(400)
        if self.transport.is_closing():
            raise ConnectionAbortedError("refused")  # so that the parser stops
        super().on_headers_complete()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 (uvicorn's signature)
        """The parser failed, or was stopped."""
        self._refuse(400)

    @property
    def _answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    @property
    def _in_body(self) -> bool:
        return self._answering and self.cycle.more_body

    def _has_body(self) -> bool:
        return any(name in {b"content-length", b"transfer-encoding"} for name, _ in self.headers)

    def _repeats_a_header(self) -> bool:
        names = [name for name, _ in self.headers if name in SINGLE]
        return len(names) != len(set(names))

    def _begin_timer(self) -> None:
        if self._timer is None and not self.transport.is_closing():
            self._timer = self.loop.call_later(HEAD_SECONDS, self._refuse, 408)
            if not self.connections_by_address.waits(self._address, trusted=self._trusted):
                self.transport.abort()

    def _refuse(self, status: int) -> None:
        """Answer and close; close silently where the client would match the answer to another request, or to none."""
        self._forget_timer()
        if self.transport.is_closing():
            return
        reading = self._in_body and not self.pipeline and not self.cycle.response_started
        if (reading or not self._answering) and (self._in_head or status != 408):
            body = json.dumps(problems.document(status, *STATUS_DETAILS[status])).encode()
            kind = f"content-type: {problems.MEDIA_TYPE}\r\ncontent-length: {len(body)}\r\nconnection: close\r\n\r\n"
            self.transport.write(STATUS_LINE[status] + kind.encode() + body)
        self.transport.close()

    def _forget_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
            self.connections_by_address.waits_no_more(self._address)


def options() -> dict[str, Any]:
    """uvicorn's options."""
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
