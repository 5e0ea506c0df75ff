"""Make one call: to a checked address, within one deadline, without following redirects.

Only the status of the answer is read; its body is not. Proxies from the environment are not used, because a proxy would
resolve the name again.
"""

import ssl
import time
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import httpcore

from loop.errors import BadHook, one_line
from loop.webhooks.addresses import Resolve, Target, permitted

TIMEOUT_SECONDS = 10.0
"""The limit for the whole call: connecting, TLS, sending, and the answer's headers."""


@dataclass(frozen=True, slots=True)
class Answer:
    """Whether the message was accepted, and the status, or why no status was received."""

    accepted: bool
    text: str


def post(
    target: Target,
    headers: dict[str, str],
    body: bytes,
    *,
    private: bool,
    seconds: float = TIMEOUT_SECONDS,
    resolve: Resolve | None = None,
) -> Answer:
    """Send a message once. A failure is an answer, not an error."""
    sent_headers = {"host": target.authority} | headers
    url = httpcore.URL(scheme=target.scheme, host=target.host, port=target.port, target=target.path)
    try:
        backend = _Pinned(permitted(target, private=private, resolve=resolve), time.monotonic() + seconds)
        with (
            httpcore.ConnectionPool(ssl_context=_tls(), network_backend=backend) as pool,
            pool.stream("POST", url, headers=[*sent_headers.items()], content=body) as response,
        ):
            return _answer(response.status)
    except BadHook as error:
        return Answer(False, str(error)[:200])
    except httpcore.TimeoutException:
        return Answer(False, f"no answer within {seconds:g} s")
    except (httpcore.NetworkError, httpcore.ProtocolError, ssl.SSLError, OSError) as error:
        return Answer(False, f"{type(error).__name__}: {one_line(error)}"[:200])


def _answer(status: int) -> Answer:
    if 300 <= status < 400:
        return Answer(False, f"{status}: expected an answer of the address itself, got a redirect")
    return Answer(200 <= status < 300, str(status))


@lru_cache(maxsize=1)
def _tls() -> ssl.SSLContext:
    """The system's trusted certificates, cached because reading them takes tens of milliseconds."""
    return ssl.create_default_context()


class _Pinned(httpcore.NetworkBackend):
    """Connects only to the given addresses. The URL's host is still used in the Host header and in TLS."""

    def __init__(self, addresses: list[str], deadline: float) -> None:
        self._addresses = addresses
        self._deadline = deadline

    def connect_tcp(
        self,
        host: str,  # noqa: ARG002 (the checked addresses replace it)
        port: int,
        timeout: float | None = None,  # noqa: ARG002 (one deadline holds for all)
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        """Connect to the first address that answers."""
        for remaining, address in zip(range(len(self._addresses), 0, -1), self._addresses, strict=True):
            share = _left(self._deadline) / remaining  # a silent address leaves time for the next ones
            try:
                stream = httpcore.SyncBackend().connect_tcp(address, port, share, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                if remaining == 1:
                    raise
            else:
                return _Timed(stream, self._deadline)
        raise httpcore.ConnectError("the name has no address")


class _Timed(httpcore.NetworkStream):
    """A stream with one deadline for all steps, so that a slow server cannot prolong the call."""

    def __init__(self, stream: httpcore.NetworkStream, deadline: float) -> None:
        self._stream = stream
        self._deadline = deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ARG002 (as above)
        """Read some bytes."""
        return self._stream.read(max_bytes, _left(self._deadline))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ARG002 (as above)
        """Write all bytes."""
        self._stream.write(buffer, _left(self._deadline))

    def close(self) -> None:
        """Close the connection."""
        self._stream.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ARG002 (as above)
    ) -> httpcore.NetworkStream:
        """The same stream, encrypted; the certificate must be the host's."""
        return _Timed(self._stream.start_tls(ssl_context, server_hostname, _left(self._deadline)), self._deadline)

    def get_extra_info(self, info: str) -> Any:
        """Information about the stream, such as its TLS object."""
        return self._stream.get_extra_info(info)


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise httpcore.ReadTimeout("the deadline has passed")
    return left
