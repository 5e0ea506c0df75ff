"""One call: to an address that was looked at, within one deadline, without following anybody anywhere.

Of the answer only the status is read; a body, however long, is left where it is. Proxies of the environment are not
used: a proxy would resolve the name again.
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
"""For everything: connecting, TLS, sending, and the last header of the answer."""


@dataclass(frozen=True, slots=True)
class Answer:
    """Was the message taken, and the status or why there was none."""

    taken: bool
    said: str


def post(
    target: Target,
    headers: dict[str, str],
    body: bytes,
    *,
    private: bool,
    seconds: float = TIMEOUT_SECONDS,
    resolve: Resolve | None = None,
) -> Answer:
    """Send a message once. What goes wrong is an answer, not an error."""
    said = {"host": target.authority} | headers
    url = httpcore.URL(scheme=target.scheme, host=target.host, port=target.port, target=target.path)
    try:
        backend = _Pinned(permitted(target, private=private, resolve=resolve), time.monotonic() + seconds)
        with (
            httpcore.ConnectionPool(ssl_context=_tls(), network_backend=backend) as pool,
            pool.stream("POST", url, headers=[*said.items()], content=body) as response,
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
        return Answer(False, f"{status}: expected the address itself, not a redirect")
    return Answer(200 <= status < 300, str(status))


@lru_cache(maxsize=1)
def _tls() -> ssl.SSLContext:
    """Certificates that the system trusts; reading them takes tens of milliseconds."""
    return ssl.create_default_context()


class _Pinned(httpcore.NetworkBackend):
    """Connects to the given addresses whatever the host is called; the URL's host stays in Host and in TLS."""

    def __init__(self, addresses: list[str], deadline: float) -> None:
        self._addresses = addresses
        self._deadline = deadline

    def connect_tcp(
        self,
        host: str,  # noqa: ARG002 (the pool's word for whom to connect to; ours are the addresses)
        port: int,
        timeout: float | None = None,  # noqa: ARG002 (one deadline holds for all)
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        """The first address that answers."""
        for hope, address in zip(range(len(self._addresses), 0, -1), self._addresses, strict=True):
            share = _left(self._deadline) / hope  # a silent address leaves time for those after it
            try:
                stream = httpcore.SyncBackend().connect_tcp(address, port, share, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                if hope == 1:
                    raise
            else:
                return _Timed(stream, self._deadline)
        raise httpcore.ConnectError("the name has no address")


class _Timed(httpcore.NetworkStream):
    """A stream whose every step must end before one deadline: a server that drips gains nothing by it."""

    def __init__(self, stream: httpcore.NetworkStream, deadline: float) -> None:
        self._stream = stream
        self._deadline = deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ARG002 (as above)
        """Some bytes."""
        return self._stream.read(max_bytes, _left(self._deadline))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ARG002 (as above)
        """All of the bytes."""
        self._stream.write(buffer, _left(self._deadline))

    def close(self) -> None:
        """Hang up."""
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
        """Whatever the stream knows of itself."""
        return self._stream.get_extra_info(info)


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise httpcore.ReadTimeout("the deadline has passed")
    return left
