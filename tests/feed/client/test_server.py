"""A device with a real HTTP server: ranges, cut connections, endless and slow answers, redirects, errors."""

import http.server
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from loop.feed import client, refusals
from loop.feed.client import Timeouts
from loop.feed.client import source as sources
from loop.feed.client import state as states
from loop.feed.layout import FEED_FILE, model_path
from tests.feed.simulator import CHANNEL, NOW, Publisher, model, release


class Handler(http.server.BaseHTTPRequestHandler):
    """Serves a shelf. ``behave`` maps a path to a fault."""

    protocol_version = "HTTP/1.1"
    files: dict[str, bytes]
    behave: dict[str, str]
    asked: list[tuple[str, str | None]]

    def do_GET(self) -> None:
        """Send one file, or the test's fault."""
        path = self.path.removeprefix("/cdn/")
        wanted = self.headers.get("Range")
        self.asked.append((path, wanted))
        how = self.behave.get(path, "")
        if how.startswith("status"):
            return self.answer(int(how[6:]), b"", {"Location": "/cdn/elsewhere"})
        if path not in self.files:
            return self.answer(404, b"no")
        data = self.files[path]
        if wanted and how != "no ranges":
            start = int(wanted.removeprefix("bytes=").removesuffix("-"))
            begin = start if how != "other range" else start + 1
            span = {"Content-Range": f"bytes {begin}-{len(data) - 1}/{len(data)}"}
            return self.answer(206, data[start:], span)
        if how == "cut":
            return self.answer(200, data[: len(data) // 2], {}, len(data))
        if how == "flood":
            return self.flood()
        if how == "drip":
            return self.drip(data)
        return self.answer(200, data)

    def answer(
        self, status: int, data: bytes, headers: dict[str, str] | None = None, length: int | None = None
    ) -> None:
        """Send an answer; ``length`` overrides its Content-Length."""
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data) if length is None else length))
        self.end_headers()
        self.wfile.write(data)
        if length is not None:
            self.close_connection = True

    def flood(self) -> None:
        """Send bytes without an end and without a length."""
        self.send_response(200)
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True
        try:
            while True:
                self.wfile.write(b"\x00" * 65536)
        except OSError:
            self.server.flooded = True  # type: ignore[attr-defined]  # the client hung up

    def drip(self, data: bytes) -> None:
        """Send a byte every twentieth of a second, so that each single read is fast enough."""
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.close_connection = True
        try:
            for i in range(len(data)):
                self.wfile.write(data[i : i + 1])
                time.sleep(0.05)
        except OSError:
            return

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 (http.server's name)
        """Log nothing."""


class Site:
    """A running server and its device."""

    def __init__(self, folder: Path) -> None:
        self.publisher, self.folder = Publisher(), folder
        files = self.publisher.shelf.files
        self.handler = type("Bound", (Handler,), {"files": files, "behave": {}, "asked": []})
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), self.handler)
        self.server.daemon_threads = True
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True)
        self.thread.start()
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/cdn"

    def sync(self, timeout: float = 5, timeouts: Timeouts | None = None) -> client.Synced:
        """Sync once over the socket."""
        with client.at(self.url, timeout) as source:
            return client.sync(source, self.folder, CHANNEL, NOW, root=self.publisher.app_root, timeouts=timeouts)

    def version(self) -> int | None:
        """The version that the device runs."""
        state = states.load(self.folder)
        return None if state is None or state.current is None else state.current.version


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """A server with version 2, and a device on version 1."""
    made = Site(tmp_path / "phone")
    made.publisher.publish(1)
    made.sync()
    made.publisher.publish(2)
    yield made
    made.server.shutdown()
    made.server.server_close()


def two() -> str:
    """The path of version 2."""
    return model_path(release(2, *model(2)).digest)


def test_the_circle(site: Site) -> None:
    """Publish, sync, roll back and sync work over a socket as in memory."""
    assert site.sync().current.version == 2
    site.publisher.publish(1)
    assert site.sync().current.version == 1


def test_a_cut_connection_is_resumed_with_a_range(site: Site) -> None:
    """After a cut connection the next sync requests only the missing half."""
    site.handler.behave[two()] = "cut"
    with pytest.raises((refusals.Unavailable, refusals.Truncated)):
        site.sync()
    assert site.version() == 1
    site.handler.behave.clear()
    assert site.sync().current.version == 2
    half = len(model(2)[0]) // 2
    assert (two(), f"bytes={half}-") in site.handler.asked


@pytest.mark.parametrize("how", ["no ranges", "other range"])
def test_a_server_that_ignores_ranges(site: Site, how: str) -> None:
    """If a server sends the whole file, the download restarts; another range than requested is refused."""
    site.handler.behave[two()] = "cut"
    with pytest.raises((refusals.Unavailable, refusals.Truncated)):
        site.sync()
    site.handler.behave[two()] = how
    if how == "no ranges":
        assert site.sync().current.version == 2
        return
    with pytest.raises(refusals.Unavailable, match="206"):
        site.sync()
    assert site.version() == 1


@pytest.mark.parametrize("path", [FEED_FILE, "root/2.json", "model"])
def test_endless_data(site: Site, path: str) -> None:
    """The device disconnects soon after the declared or allowed length, and keeps none of the bytes."""
    path = two() if path == "model" else path
    site.publisher.shelf.files.setdefault(path, b"x")
    site.handler.behave[path] = "flood"
    with pytest.raises(refusals.TooLong):
        site.sync()
    assert site.version() == 1
    assert not [p for p in site.folder.rglob("*") if p.is_file() and p.stat().st_size > 64 << 10]
    until = time.monotonic() + 5
    while not getattr(site.server, "flooded", False) and time.monotonic() < until:
        time.sleep(0.01)
    assert site.server.flooded


def test_slow_retrieval(site: Site) -> None:
    """A slow answer ends by its average speed, a stalled one by the read timeout."""
    site.handler.behave[two()] = "drip"
    with pytest.raises(refusals.TooSlow):
        site.sync(timeouts=Timeouts(seconds=0.3, bytes_per_second=10_000))
    with pytest.raises(refusals.TooSlow):
        site.sync(timeout=0.02)
    assert site.version() == 1


@pytest.mark.parametrize("status", [301, 302, 307, 403, 410, 416, 500, 503])
def test_other_answers(site: Site, status: int) -> None:
    """A redirect is not followed, and an error page is not accepted as a file."""
    before = states.load(site.folder)
    site.handler.behave[FEED_FILE] = f"status{status}"
    with pytest.raises(refusals.Unavailable, match=str(status)):
        site.sync()
    assert states.load(site.folder) == before
    assert "elsewhere" not in [path for path, _ in site.handler.asked]


def test_a_closed_port() -> None:
    """A closed port gives an error of one line."""
    with client.at("http://127.0.0.1:1/") as source, pytest.raises(refusals.Unavailable, match="does not answer"):
        sources.read(source, FEED_FILE, 100, Timeouts())
