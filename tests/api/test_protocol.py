"""HTTP itself, as bytes on a socket: requests that no proxy or browser sends, and 1,000 silent connections."""

import http.client
import json
import re
import time
from collections.abc import Iterator

import httpx
import pytest

from loop.api import protocol
from tests.api import wire
from tests.api.conftest import Server, opened, serving
from tests.api.test_corrections import correction, stored

PING = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server for all tests below; each test leaves it unchanged."""
    folder = tmp_path_factory.mktemp("protocol")
    with serving(opened(f"sqlite:///{folder / 'loop.db'}", folder)) as found:
        yield found


@pytest.fixture
def nothing_stored(small: Server) -> Iterator[None]:
    """The number of stored uploads is unchanged."""
    before = stored(small)
    yield
    assert stored(small) == before


@pytest.fixture(autouse=True)
def goes_on(small: Server) -> Iterator[None]:
    """After each test the next client is served."""
    yield
    assert httpx.get(f"{small.url}/healthz").text == "ok\n"


def statuses(server: Server, sent: bytes, seconds: float = 5) -> list[int]:
    """The status of every answer on one connection, which is then closed by the server."""
    with wire.connect(server.url, seconds) as line:
        line.sendall(sent)
        return [int(each) for each in re.findall(rb"HTTP/1.1 (\d{3}) ", wire.rest(line))]


def upload(server: Server, *more: bytes, body: bytes | None = None) -> bytes:
    """A valid upload with additional headers."""
    body = json.dumps(correction()).encode() if body is None else body
    known = [f"{name}: {value}".encode() for name, value in server.phone().headers.items()]
    head = [b"POST /v1/corrections HTTP/1.1", b"Host: x", b"Content-Type: application/json", *known, *more]
    return b"\r\n".join([*head, b"", body])


LONG = 60 * 1024
MALFORMED = {
    "no HTTP": b"garbage\r\n\r\n",
    "a TLS greeting": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(100),
    "HTTP/9": b"GET /healthz HTTP/9.9\r\n\r\n",
    "bare line feeds": b"GET /healthz HTTP/1.1\nHost: x\n\n",
    "a bare carriage return": b"GET /healthz HTTP/1.1\r\nHost: x\r\nA: b\rc\r\n\r\n",
    "a folded header": b"GET /healthz HTTP/1.1\r\nHost: x\r\n folded: y\r\n\r\n",
    "a header without a name": b"GET /healthz HTTP/1.1\r\n: x\r\n\r\n",
    "a space before the colon": b"GET /healthz HTTP/1.1\r\nHost : x\r\n\r\n",
    "NUL in the target": b"GET /\x00 HTTP/1.1\r\nHost: x\r\n\r\n",
    "NUL in a header": b"GET / HTTP/1.1\r\nHost: x\x00\r\n\r\n",
    "no path": b"GET ? HTTP/1.1\r\nHost: x\r\n\r\n",
    "a port beyond": b"GET http://a:99999999/ HTTP/1.1\r\nHost: x\r\n\r\n",
    "CONNECT": b"CONNECT inside:80 HTTP/1.1\r\nHost: x\r\n\r\n",
    "an unknown method": b"STEAL /healthz HTTP/1.1\r\nHost: x\r\n\r\n",
}
LENGTHS = {  # two readers must never disagree where a body ends
    "two lengths": [b"Content-Length: 4", b"Content-Length: 5"],
    "the same twice": [b"Content-Length: 4", b"Content-Length: 4"],
    "a list": [b"Content-Length: 4, 4"],
    "a sign": [b"Content-Length: +4"],
    "negative": [b"Content-Length: -1"],
    "hexadecimal": [b"Content-Length: 0x4"],
    "beyond 64 bits": [b"Content-Length: 99999999999999999999"],
    "length and chunked": [b"Content-Length: 4", b"Transfer-Encoding: chunked"],
    "chunked and length": [b"Transfer-Encoding: chunked", b"Content-Length: 4"],
    "chunked, disguised": [b"Transfer-Encoding : chunked"],
    "chunked twice": [b"Transfer-Encoding: chunked, chunked"],
    "an unknown coding": [b"Transfer-Encoding: xchunked"],
    "chunked, not last": [b"Transfer-Encoding: chunked, identity"],
}
CHUNKS = {
    "no size": b"zz\r\nabc\r\n0\r\n\r\n",
    "a negative size": b"-1\r\n\r\n",
    "a size beyond 64 bits": b"f" * 17 + b"\r\nabc\r\n",
    "longer than said": b"1\r\nabc\r\n0\r\n\r\n",
    "bare line feeds": b"3\nabc\n0\n\n",
}


@pytest.mark.parametrize("name", MALFORMED)
def test_what_is_no_request_is_refused(small: Server, name: str) -> None:
    """400 and the connection closes: nothing after it is read as another request."""
    assert statuses(small, MALFORMED[name] + PING) == [400]


@pytest.mark.usefixtures("nothing_stored")
@pytest.mark.parametrize("name", LENGTHS)
def test_a_body_has_one_length(small: Server, name: str) -> None:
    """400 and the connection closes: what a proxy might take for a body is never served as a request."""
    assert statuses(small, upload(small, *LENGTHS[name], body=b"0\r\n\r\n" + PING)) == [400]


@pytest.mark.usefixtures("nothing_stored")
@pytest.mark.parametrize("name", CHUNKS)
def test_malformed_chunks(small: Server, name: str) -> None:
    """400 and the connection closes."""
    assert statuses(small, upload(small, b"Transfer-Encoding: chunked", body=CHUNKS[name] + PING)) == [400]


def test_a_refusal_is_a_problem_document(small: Server) -> None:
    """The parser's refusals are problem documents, too."""
    answer = wire.ask(small.url, b"garbage\r\n\r\n")
    assert answer is not None
    assert answer.headers["content-type"] == "application/problem+json"
    assert json.loads(answer.body)["status"] == answer.status == 400


@pytest.mark.usefixtures("nothing_stored")
def test_a_body_is_not_read_as_a_request_after_an_upgrade(small: Server) -> None:
    """The parser would take a body after ``Upgrade`` for what follows the request: 426, and nothing more is read."""
    body = PING + json.dumps(correction()).encode()
    sent = upload(small, b"Connection: Upgrade", b"Upgrade: h2c", b"Content-Length: %d" % len(body), body=body)
    assert statuses(small, sent) == [426]
    for body in (b"", PING):
        asked = b"POST /healthz HTTP/1.1\r\nConnection: upgrade\r\nUpgrade: h2c\r\nTransfer-Encoding: chunked\r\n\r\n"
        assert statuses(small, asked + body) == [426]


def test_a_websocket_is_not_to_be_had(small: Server) -> None:
    """The upgrade is ignored, as HTTP allows, and the request is answered."""
    asked = b"GET /healthz HTTP/1.1\r\nConnection: Upgrade, close\r\nUpgrade: websocket\r\nSec-WebSocket-Key: x\r\n\r\n"
    assert statuses(small, asked) == [200]


@pytest.mark.parametrize("pieces", [1, 50])
def test_a_head_has_a_longest(small: Server, pieces: int) -> None:
    """431, whether it arrives at once or in pieces; a head just below the limit is accepted."""
    long = b"GET /healthz HTTP/1.1\r\nConnection: close\r\nA: " + b"a" * LONG + b"\r\n\r\n"
    with wire.connect(small.url) as line:
        for start in range(0, len(long), step := len(long) // pieces + 1):
            try:
                line.sendall(long[start : start + step])
            except (BrokenPipeError, ConnectionResetError):
                break
            time.sleep(0.002)
        answer = wire.read(line)
    assert answer is None or answer.status == 431  # None: reset while we were still sending
    fits = long.replace(b"a" * LONG, b"a" * (protocol.MAX_HEAD_BYTES - 1000))
    assert statuses(small, fits) == [200]


def test_a_flood_of_headers(small: Server) -> None:
    """Many short headers together exceed the limit, too."""
    assert statuses(small, b"GET /healthz HTTP/1.1\r\n" + b"A: b\r\n" * 12_000 + b"\r\n") == [431]


def test_a_long_target(small: Server) -> None:
    """A long path counts, too."""
    assert statuses(small, b"GET /" + b"a" * LONG + b" HTTP/1.1\r\n\r\n") == [431]


def test_a_head_that_drips_is_given_up(small: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """408 when the time is over, no matter how many pieces arrived."""
    monkeypatch.setattr(protocol, "HEAD_SECONDS", 0.4)
    with wire.connect(small.url) as line:
        begun = time.monotonic()
        for piece in [b"GET /healthz HTTP/1.1\r\n"] + [b"A: b\r\n"] * 20:
            try:
                line.sendall(piece)
            except (BrokenPipeError, ConnectionResetError):
                break
            time.sleep(0.05)
        answer = wire.read(line)
        assert answer is None or answer.status == 408
        assert time.monotonic() - begun < 3


@pytest.mark.parametrize("before", [b"", PING])
@pytest.mark.parametrize("sent", [b"", b"\r\n", b"\r\n\r\n"])
def test_an_idle_connection_ends(small: Server, monkeypatch: pytest.MonkeyPatch, before: bytes, sent: bytes) -> None:
    """A connection without data, or with only line ends, which stop uvicorn's timer, is closed without an answer."""
    monkeypatch.setattr(protocol, "HEAD_SECONDS", 0.3)
    with wire.connect(small.url, 3) as line:
        if before:
            line.sendall(before)
            assert wire.read(line) is not None
        if before and not sent:  # between two requests there is more time
            time.sleep(0.6)
            line.sendall(PING.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
            assert b"200 OK" in wire.rest(line)
            return
        line.sendall(sent)
        assert wire.rest(line) == b""


def test_an_upload_is_not_hurried(small: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """The limit is for heads: a body has a limit of its own."""
    monkeypatch.setattr(protocol, "HEAD_SECONDS", 0.3)
    body = json.dumps(correction()).encode()
    with wire.connect(small.url) as line:
        line.sendall(upload(small, b"Content-Length: %d" % len(body), body=b""))
        time.sleep(0.6)
        line.sendall(body)
        answer = wire.read(line)
    assert answer is not None
    assert answer.status == 201


def test_pipelined_requests_are_answered_in_order(small: Server) -> None:
    """Ten at once on one connection, each with its own answer."""
    asked = [b"GET /v1/root/%d.json HTTP/1.1\r\n\r\n" % i for i in range(9)]
    with wire.connect(small.url) as line:
        line.sendall(b"".join(asked) + PING.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        said = wire.rest(line).split(b"HTTP/1.1 ")[1:]
    assert [part[:3] for part in said] == [b"404"] * 9 + [b"200"]
    assert [b"root/%d.json" % i in part for i, part in enumerate(said[1:9], 1)] == [True] * 8


def test_no_refusal_stands_in_for_another_answer(small: Server) -> None:
    """An upload followed by garbage in one segment: the client must not read 400 as the answer to the upload."""
    body = json.dumps(correction()).encode()
    with wire.connect(small.url) as line:
        line.sendall(upload(small, b"Content-Length: %d" % len(body), body=body) + b"garbage\r\n\r\n")
        answer = wire.read(line)
    assert answer is None or answer.status == 201


def test_continue_comes_before_a_body_and_not_before_a_refusal(small: Server) -> None:
    """``Expect: 100-continue``: a client without a key is refused before it sends the body."""
    body = json.dumps(correction()).encode()
    more = (b"Expect: 100-continue", b"Content-Length: %d" % len(body))
    with wire.connect(small.url) as line:
        line.sendall(upload(small, *more, body=b""))
        go = wire.read(line)
        assert go is not None
        assert go.status == 100
        line.sendall(body)
        answer = wire.read(line)
        assert answer is not None
        assert answer.status == 201
    with wire.connect(small.url) as line:
        line.sendall(upload(small, *more, body=b"").replace(b"Authorization", b"X-Nobody"))
        refused = wire.read(line)
        assert refused is not None
        assert refused.status == 401


def test_http_1_0(small: Server) -> None:
    """The request is answered, and the connection closes."""
    assert statuses(small, b"GET /healthz HTTP/1.0\r\n\r\n") == [200]


@pytest.mark.parametrize(
    ("target", "status"),
    [
        (b"http://elsewhere/healthz", 200),  # absolute form: the path counts, nothing is fetched from elsewhere
        (b"http://elsewhere/v1/versions", 401),
        (b"//healthz", 404),
        (b"/v1/../healthz", 404),
        (b"/v1//feed", 404),
        (b"*", 404),
        (b"/healthz?" + b"a=b&" * 5000, 200),
        (b"/healthz#fragment", 200),
        (b"/%68ealthz", 200),
        (b"/healthz%00", 404),
        (b"/%ff%fe", 404),
    ],
)
def test_targets(small: Server, target: bytes, status: int) -> None:
    """No form of a target bypasses the guard."""
    assert statuses(small, b"GET " + target + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n") == [status]


@pytest.mark.parametrize("verb", ["HEAD", "PUT", "PATCH", "TRACE", "OPTIONS", "DELETE"])
@pytest.mark.parametrize("path", ["/v1/versions", "/v1/promotions", "/metrics", "/v1/runs"])
def test_other_methods_lead_nowhere(small: Server, verb: str, path: str) -> None:
    """405: no method but the described ones reaches a handler."""
    assert httpx.request(verb, small.url + path).status_code == 405


@pytest.mark.slow
def test_a_thousand_idle_connections(small: Server) -> None:
    """Other clients are served in the meantime, and their uploads are stored."""
    idle = [wire.connect(small.url) for _ in range(1000)]
    try:
        for line in idle[::2]:
            line.sendall(b"POST /v1/corrections HTTP/1.1\r\nHost: x\r\n")
        begun = time.monotonic()
        assert [small.send(small.phone(), seed).status_code for seed in range(10)] == [201] * 10
        assert time.monotonic() - begun < 5
    finally:
        for line in idle:
            line.close()


def test_answers_say_their_length(small: Server) -> None:
    """A truncated answer is detected: http.client raises ``IncompleteRead``."""
    for path in ("/healthz", "/v1/feed", "/openapi.json", "/v1/versions"):
        connection = http.client.HTTPConnection(small.url.removeprefix("http://"))
        connection.request("GET", path)
        answer = connection.getresponse()
        assert answer.length == len(answer.read())
        connection.close()
