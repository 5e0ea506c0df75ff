"""Where a device gets files from: an HTTP server, or a folder of the same layout.

Only ``feed.json``, numbered roots and digests become part of a URL or path. Requests ask for uncompressed bytes.
Redirects are not followed, and a server must keep a minimum speed.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

import httpx

from loop.feed.refusals import TooLong, TooSlow, Unavailable

CHUNK_BYTES = 64 << 10


class Missing(Unavailable):
    """The file does not exist: the normal end of the chain of roots."""


class Source(Protocol):
    """A place with files."""

    def open(self, path: str, offset: int = 0) -> AbstractContextManager[tuple[int, Iterator[bytes]]]:
        """The file from ``offset`` on: the offset at which it really begins (``offset`` or 0), and its bytes in pieces.

        Raises ``Missing``, ``Unavailable`` and ``TooSlow``, also while the pieces are read.
        """
        ...


@dataclass(frozen=True, slots=True)
class Timeouts:
    """How slow a source may be: ``seconds``, plus one second for each ``bytes_per_second`` received."""

    seconds: float = 30
    bytes_per_second: float = 1000
    clock: Callable[[], float] = time.monotonic

    def timed(self, pieces: Iterator[bytes]) -> Iterator[bytes]:
        """The pieces. Raises ``TooSlow`` once they arrive too slowly."""
        begun, received = self.clock(), 0
        for piece in pieces:
            received += len(piece)
            spent, allowed = self.clock() - begun, self.seconds + received / self.bytes_per_second
            if spent > allowed:
                raise TooSlow(f"expected {received:,} bytes within {allowed:.0f} s, got them after {spent:.0f} s")
            yield piece


def read(source: Source, path: str, most: int, timeouts: Timeouts) -> bytes:
    """A small file. Raises ``TooLong`` beyond ``most`` bytes, and the errors of ``Source.open``."""
    data = bytearray()
    with source.open(path) as (_, pieces):
        for piece in timeouts.timed(pieces):
            data += piece
            if len(data) > most:
                raise TooLong(f"{path}: expected at most {most:,} bytes, got more")
    return bytes(data)


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder written by ``loop feed publish``."""

    root: Path

    @contextmanager
    def open(self, path: str, offset: int = 0) -> Iterator[tuple[int, Iterator[bytes]]]:
        """See ``Source``."""
        try:
            file = (self.root / path).open("rb")
        except FileNotFoundError:
            raise Missing(f"{self.root / path}: no such file") from None
        except OSError as error:
            raise Unavailable(f"{self.root / path}: cannot read ({error.strerror})") from None
        with file:
            file.seek(offset)
            yield offset, self._pieces(file)

    def _pieces(self, file: BinaryIO) -> Iterator[bytes]:
        try:
            while piece := file.read(CHUNK_BYTES):
                yield piece
        except OSError as error:
            raise Unavailable(f"{self.root}: cannot read ({error.strerror})") from None


@dataclass(frozen=True, slots=True, eq=False)
class Server:
    """An HTTP server or CDN. The caller that made ``client`` closes it (``at``)."""

    client: httpx.Client

    @contextmanager
    def open(self, path: str, offset: int = 0) -> Iterator[tuple[int, Iterator[bytes]]]:
        """See ``Source``."""
        headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={offset}-"} if offset else {})
        try:
            with self.client.stream("GET", path, headers=headers) as response:
                yield (
                    _begins(response, path, offset),
                    response.iter_raw(),
                )  # one at a time, so that a slow server is noticed
        except httpx.TimeoutException:
            raise TooSlow(f"{path}: expected an answer within the time limit, got none") from None
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise Unavailable(f"{path}: the server does not answer ({type(error).__name__})") from None


@contextmanager
def at(place: str, timeout_seconds: float = 20) -> Iterator[Source]:
    """The source at a URL or in a folder."""
    if "://" not in place:
        yield Folder(Path(place))
        return
    if not place.startswith(("http://", "https://")):
        raise Unavailable(f"expected an http or https URL, or a folder; got {place[:80]!r}")
    try:
        client = httpx.Client(base_url=place.rstrip("/") + "/", timeout=timeout_seconds, follow_redirects=False)
    except httpx.InvalidURL as error:
        raise Unavailable(f"expected a URL, got {place[:80]!r} ({error})") from None
    with client:
        yield Server(client)


def _begins(response: httpx.Response, path: str, offset: int) -> int:
    """The offset at which the answer begins. A server may ignore a range and send the whole file."""
    status = response.status_code
    if status == 404:
        raise Missing(f"{path}: the server has no such file")
    if status == 206 and response.headers.get("Content-Range", "").startswith(f"bytes {offset}-"):
        return offset
    if status != 200:
        raise Unavailable(f"{path}: expected status 200{' or 206' if offset else ''}, got {status}")
    return 0
