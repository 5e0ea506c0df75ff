"""uvicorn's HTTP/1.1, with limits on connections, on a request's head, and on what surrounds the chunks of its body.

uvicorn itself accepts headers of any length, at any pace, and keeps silent connections open. ``bodies`` limits the
content of bodies; the bytes around it, chunk sizes and trailers, are limited here. Trailers are dropped: uvicorn would
add them to the headers of a request that is already checked. After a request to upgrade, uvicorn's parser treats what
follows as another protocol: it would read a body there as the next request, so such a body is refused.

A body in chunks costs the parser a call for each chunk, however small. So what arrives is parsed a piece at a time: of
such a body nothing beyond the piece with the head until the endpoint asks for it, which is after the key was checked,
then a piece whenever it asks. Others are served in between. If the answer is complete before such a body is, the
connection ends: what the client still sends is dropped unread for ``LINGER_SECONDS``, so that it can read the answer.
"""

import asyncio
import json
from typing import Any, ClassVar

from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from loop.api import problems
from loop.api.connections import Connections

MAX_HEAD_BYTES = 32 * 1024
HEAD_SECONDS = 15.0
MAX_FRAMING_BYTES = 64 * 1024
"""Chunk sizes, line ends and trailers of one body; 16 MiB in chunks of 4 KiB need 36 KiB."""
HEAD_PIECE_BYTES, CHUNKS_PIECE_BYTES = 4 * 1024, 16 * 1024
"""Parsed at once: of heads, and of a body in chunks. In chunks of one byte the latter takes about 3 ms."""
LINGER_SECONDS, LINGER_BYTES = 1.0, 256 * 1024
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
    _held = b""  # arrived, and not parsed yet
    _in_chunks = False  # within a body in chunks
    _asked = False  # whether its endpoint waits for more of it
    _keep_alive = True  # what the client of this body wants after the answer
    _dropped: int | None = None  # bytes dropped unread since the answer; None: no answer was given too early
    _linger: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's own
        """A client connected."""
        super().connection_made(transport)
        self.flow = _Flow(transport, self)
        self._address = self.client[0] if self.client else "local"
        self._trusted = isinstance(self.app, ProxyHeadersMiddleware) and self._address in self.app.trusted_hosts
        if self.connections_by_address.opened(self._address, trusted=self._trusted):
            self._begin_timer()
        else:
            transport.abort()

    def data_received(self, data: bytes) -> None:
        """The next bytes of the connection arrived."""
        if self._dropped is None:
            self._held += data
            self.parse()
            return
        self._dropped += len(data)
        if self._dropped > LINGER_BYTES:
            self.flow.pause_reading()

    def asks(self) -> bool:
        """The endpoint waits for its body, or a request has ended; whether more may be read from the connection."""
        self._asked = True
        if self._held:
            self.loop.call_soon(self.parse)  # others first
        return not self._held

    def parse(self) -> None:
        """Parse what arrived, a piece at a time, up to a body in chunks that nobody asks for."""
        while self._held and not self.transport.is_closing():
            if self.pipeline or (self._in_chunks and not self._asked):
                self.flow.pause_reading()
                return
            size = CHUNKS_PIECE_BYTES if self._in_chunks else HEAD_PIECE_BYTES
            if (self._reading_body and not self._in_chunks) or len(self._held) <= size:
                size = len(self._held)
            piece, self._held = self._held[:size], self._held[size:]
            self._parse(piece)
        if self._asked:
            FlowControl.resume_reading(self.flow)

    def _parse(self, data: bytes) -> None:
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

    def shutdown(self) -> None:
        """The server stops: the connection ends after this answer."""
        self._keep_alive = False
        super().shutdown()

    def end(self, cycle: RequestResponseCycle) -> None:
        """The answer to a request with a body in chunks is complete, and the connection does not stay open."""
        if self.transport.is_closing() or cycle is not self.cycle or not self._in_chunks:
            self.transport.close()
            return
        self._held, self._dropped = b"", 0
        self.transport.write_eof()
        self._linger = self.loop.call_later(LINGER_SECONDS, self.transport.close)

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is closed."""
        self._forget_timer()
        if self._linger is not None:
            self._linger.cancel()
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
        self._asked = False
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The body is complete, with its trailers."""
        if self._in_chunks and not self.cycle.response_started:
            self.cycle.keep_alive = self._keep_alive
        self._reading_body = self._in_chunks = self._asked = False
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
        self._asked = False
        self._in_chunks = any(name == b"transfer-encoding" for name, _ in self.headers)
        if self._in_chunks:
            self._keep_alive, self.cycle.keep_alive = self.cycle.keep_alive, False  # until the body is complete
            self.cycle.transport = _Lingering(self, self.cycle)

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


class _Flow(FlowControl):
    """Reads on only when the protocol has parsed what it holds."""

    def __init__(self, transport: asyncio.Transport, protocol: Bounded) -> None:
        super().__init__(transport)
        self._protocol = protocol

    def resume_reading(self) -> None:
        if self._protocol.asks():
            super().resume_reading()


class _Lingering(asyncio.Transport):
    """The transport of one answer; the protocol decides how its connection ends."""

    def __init__(self, protocol: Bounded, cycle: RequestResponseCycle) -> None:
        super().__init__()
        self._protocol, self._cycle = protocol, cycle

    def write(self, data: Any) -> None:
        self._protocol.transport.write(data)

    def is_closing(self) -> bool:
        return self._protocol.transport.is_closing()

    def close(self) -> None:
        self._protocol.end(self._cycle)


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
