"""A device sends a drawing or an answer to a real server, and says why the server refuses one."""

import threading
from collections.abc import Iterator
from dataclasses import asdict, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from loop.clock import utc_now
from loop.data.digits import digit
from loop.data.two_best import TwoBest
from loop.errors import BadSettings, UploadRefused
from loop.feed.asking import AskingPolicy
from loop.feed.client import sending
from loop.feed.client.asking import Considered, Decided
from loop.store.asking import policies
from loop.store.asking.policies import SetPolicy
from tests.api.conftest import Server, opened, serving
from tests.helpers import stripes

PIXELS = stripes.images()[3]
DECIDED = Decided(digit(PIXELS).digest, utc_now().replace(microsecond=0), True, True, 500_000)
CONSIDERED = Considered(TwoBest(3, 0.5, 8, 0.4), True, DECIDED)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A server that asks for half of the unsure drawings."""
    home = opened(f"sqlite:///{tmp_path / 'loop.db'}", tmp_path)
    with home.store.exclusive() as tx:
        document = asdict(AskingPolicy(300_000, 500_000, 10_000, True, 3))
        policies.add(tx, SetPolicy(document, ("a test",), "ops", utc_now()))
    with serving(home) as found:
        yield found


def at(server: Server, folder: Path, key: str | None = None) -> sending.Server:
    """The server as the device knows it."""
    return sending.Server(f"{server.url}/v1/", key or server.keys["app"], sending.own_secret(folder))


def test_a_drawing_and_then_the_answer(server: Server, tmp_path: Path) -> None:
    """The answer replaces the drawing; each again is a duplicate, as after a lost connection."""
    place = at(server, tmp_path)
    first = sending.send(place, PIXELS, CONSIDERED, None)
    assert first["digest"] == DECIDED.digest
    answer = sending.send(place, PIXELS, CONSIDERED, None, 8)
    assert answer["supersedes"] == first["id"]
    for said in (None, 8):
        again = sending.send(place, PIXELS, CONSIDERED, None, said)
        assert (again["id"], again["duplicate"]) == (answer["id"], True)


def test_a_refusal_names_its_rule(server: Server, tmp_path: Path) -> None:
    """A wrong key, a rate that no policy announced, a drawing that is kept: nothing is stored."""
    with pytest.raises(UploadRefused, match=r"drawings: refused with status 401 \(key-refused: "):
        sending.send(at(server, tmp_path, "loop_app_x"), PIXELS, CONSIDERED, None)
    rare = replace(CONSIDERED, decided=replace(DECIDED, rate_ppm=1_000))
    with pytest.raises(UploadRefused, match=r"rate-not-announced: rate: expected 0\.5"):
        sending.send(at(server, tmp_path), PIXELS, rare, None)
    kept = replace(CONSIDERED, decided=replace(DECIDED, send=False))
    with pytest.raises(BadSettings, match="send nothing"):
        sending.send(at(server, tmp_path), PIXELS, kept, None)


def test_what_is_no_server(tmp_path: Path) -> None:
    """Another protocol, nobody there, a page instead of JSON."""

    class Page(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"<html>")

        def log_message(self, *_: object) -> None:
            """Print nothing."""

    secret = sending.own_secret(tmp_path)
    for url in ("ftp://x/v1", "http://127.0.0.1:9/v1", "http://[", "nowhere"):
        with pytest.raises(BadSettings, match="expected a server"):
            sending.send(sending.Server(url, "key", secret), PIXELS, CONSIDERED, None)
    with ThreadingHTTPServer(("127.0.0.1", 0), Page) as page:
        threading.Thread(target=page.serve_forever, daemon=True).start()
        place = sending.Server(f"http://127.0.0.1:{page.server_address[1]}/v1", "key", secret)
        with pytest.raises(UploadRefused, match="expected JSON from the server, got status 200"):
            sending.send(place, PIXELS, CONSIDERED, None)
        page.shutdown()


def test_the_secret_stays(tmp_path: Path) -> None:
    """It is made once, and only its owner can read it."""
    assert sending.own_secret(tmp_path) == sending.own_secret(tmp_path)
    assert (tmp_path / sending.SECRET_FILE).stat().st_mode & 0o077 == 0
