"""The door: what a stranger without a key can make the server hold or do."""

import contextlib
import json
import re
import socket
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from loop.api import connections, heartbeat, protocol
from loop.api.connections import Connections
from loop.clock import utc_now
from loop.errors import StoreUnavailable
from tests.api import wire
from tests.api.conftest import Server, opened, serving
from tests.api.test_corrections import correction, stored

STRANGER = "127.0.0.2"  # the address of a client; 127.0.0.1 is a trusted proxy
HEAD = b"POST /v1/corrections HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server for all that follows."""
    folder = tmp_path_factory.mktemp("door")
    with serving(opened(f"sqlite:///{folder / 'loop.db'}", folder)) as found:
        yield found


@pytest.fixture(autouse=True)
def serves_on(small: Server) -> Iterator[None]:
    """After every test the next client is served."""
    yield
    assert httpx.get(f"{small.url}/healthz").text == "ok\n"


def stranger(server: Server) -> socket.socket:
    """A connection from an address that is no proxy's."""
    port = urlsplit(server.url).port
    assert port is not None
    return socket.create_connection(("127.0.0.1", port), 10, source_address=(STRANGER, 0))


def is_open(line: socket.socket) -> bool:
    """Whether the server kept a connection on which it has nothing to send."""
    line.settimeout(0.3)
    try:
        return line.recv(1) != b""
    except TimeoutError:
        return True
    except ConnectionError:
        return False


def settled(server: Server) -> None:
    """Wait until the server has noticed that the stranger's connections are closed."""
    deadline = time.monotonic() + 20
    while protocol.Bounded.connections_by_address.counts(STRANGER) != (0, 0):
        assert time.monotonic() < deadline
        httpx.get(f"{server.url}/healthz")


def sent_until_refused(line: socket.socket, piece: bytes, most: int) -> int:
    """How many bytes could be sent before the server closed the connection."""
    count = 0
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        while count < most:
            line.sendall(piece)
            count += len(piece)
    return count


@pytest.mark.parametrize(
    ("name", "piece"),
    [
        ("one endless trailer", b"a" * 4096),
        ("many trailers", b"A: b\r\n" * 600),
        ("chunks of one byte", b"1\r\nx\r\n" * 600),
    ],
)
def test_framing_is_limited(small: Server, name: str, piece: bytes) -> None:
    """A body's framing ends at its limit, with a key or without, and the rest is not read."""
    keyed = b"".join(f"{key}: {value}\r\n".encode() for key, value in small.phone().headers.items())
    for headers in (b"", keyed):
        with wire.connect(small.url) as line:
            line.sendall(HEAD + headers + b"Transfer-Encoding: chunked\r\n\r\n")
            if "trailer" in name:
                line.sendall(b"0\r\n" + (b"T: " if "endless" in name else b""))
            count = sent_until_refused(line, piece, 64 << 20)
        assert count < 16 << 20  # what the kernel's buffers hold; without the limit all of it is read


def keyed(server: Server) -> bytes:
    """The headers of a phone."""
    return b"".join(f"{key}: {value}\r\n".encode() for key, value in server.phone().headers.items())


def in_chunks(body: bytes, size: int) -> bytes:
    """A body in chunks of this size."""
    chunks = [body[start : start + size] for start in range(0, len(body), size)]
    return b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n\r\n"


def test_control_without_the_limit_all_of_it_is_read(small: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """The limit is what ends it: without one the server reads trailers as long as they arrive, if it has the key."""
    monkeypatch.setattr(protocol, "MAX_FRAMING_BYTES", 1 << 40)
    with wire.connect(small.url) as line:
        line.sendall(HEAD + keyed(small) + b"Transfer-Encoding: chunked\r\n\r\n0\r\n")
        count = sent_until_refused(line, b"A: b\r\n" * 600, 16 << 20)
    assert count >= 16 << 20


@pytest.mark.parametrize("has_key", [False, True])
def test_chunks_are_parsed_only_with_a_key(small: Server, monkeypatch: pytest.MonkeyPatch, has_key: bool) -> None:
    """Of a stranger's chunks only those beside the head are parsed; with a key (the control) up to the limit."""
    parsed = Counter[bytes]()
    plain = protocol.Bounded.on_body

    def counting(self: protocol.Bounded, body: bytes) -> None:
        parsed.update([body])
        plain(self, body)

    monkeypatch.setattr(protocol.Bounded, "on_body", counting)
    with wire.connect(small.url) as line:
        line.sendall(HEAD + (keyed(small) if has_key else b"") + b"Transfer-Encoding: chunked\r\n\r\n")
        sent_until_refused(line, b"1\r\nx\r\n" * 600, 16 << 20)
    if has_key:
        assert parsed[b"x"] > protocol.MAX_FRAMING_BYTES // 8
    else:
        assert parsed[b"x"] <= protocol.HEAD_PIECE_BYTES // 6


@pytest.mark.parametrize("size", [1, 7, 5_000])
def test_small_chunks_of_an_honest_client_are_accepted(small: Server, size: int) -> None:
    """A correction of many pieces is accepted, and the next request on the connection is served."""
    body = json.dumps(correction(seed=size)).encode() + b" " * 6_000
    head = HEAD + keyed(small) + b"Idempotency-Key: %d\r\nTransfer-Encoding: chunked\r\n\r\n" % size
    with wire.connect(small.url) as line:
        line.sendall(head + in_chunks(body, size) + b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        answers = wire.rest(line)
    assert re.findall(rb"HTTP/1.1 (\d{3}) ", answers) == [b"201", b"200"], answers
    assert answers.lower().count(b"connection: close") == 1  # the second one's


def test_a_batch_in_chunks(small: Server) -> None:
    """A body of many times what the connection holds at once is read to its end."""
    items = [correction(seed, key=f"batch-{seed}") for seed in range(20)]
    body = json.dumps({"corrections": items}).encode() + b" " * (1 << 20)
    head = HEAD.replace(b"corrections", b"corrections:batch") + keyed(small) + b"Transfer-Encoding: chunked\r\n\r\n"
    answer = wire.ask(small.url, head + in_chunks(body, 4096))
    assert answer is not None
    assert answer.status == 200, answer.body


def test_who_is_refused_early_reads_the_answer(small: Server) -> None:
    """A client that sends its whole body first gets the 401 and learns that the connection ends."""
    with wire.connect(small.url) as line:
        line.sendall(CHUNKED)
        for _ in range(40):
            time.sleep(0.005)
            line.sendall(b"400\r\n%b\r\n" % (b"x" * 1024))
        line.sendall(b"0\r\n\r\n")
        answer = wire.rest(line)
    assert re.findall(rb"HTTP/1.1 (\d{3}) ", answer) == [b"401"]
    assert b"connection: close" in answer.lower()


def test_an_unread_body_does_not_hold_the_connection(small: Server) -> None:
    """A stranger that never stops is closed."""
    settled(small)
    with stranger(small) as line:
        sent_until_refused(line, CHUNKED + b"1\r\nx\r\n" * 600, 64 << 20)
    settled(small)


def test_framing_of_an_honest_client_fits(small: Server) -> None:
    """A correction in chunks of 64 bytes is accepted."""
    body = json.dumps(correction()).encode()
    chunks = [body[start : start + 64] for start in range(0, len(body), 64)]
    framed = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\nChecksum: ignored\r\n\r\n"
    keyed = b"".join(f"{key}: {value}\r\n".encode() for key, value in small.phone().headers.items())
    answer = wire.ask(small.url, HEAD + keyed + b"Transfer-Encoding: chunked\r\n\r\n" + framed)
    assert answer is not None
    assert answer.status == 201


def test_a_trailer_is_no_header(small: Server) -> None:
    """A key that follows the body opens nothing."""
    before = stored(small)
    keyed = b"".join(f"{key}: {value}\r\n".encode() for key, value in small.phone().headers.items())
    body = json.dumps(correction(seed=77)).encode()
    with wire.connect(small.url) as line:
        line.sendall(CHUNKED + b"%x\r\n%b\r\n0\r\n%b\r\n" % (len(body), body, keyed))
        answer = wire.read(line)
    assert answer is None or answer.status == 401
    assert stored(small) == before


@pytest.mark.parametrize("name", [b"Host", b"Authorization", b"Loop-Source", b"Idempotency-Key", b"Content-Type"])
def test_a_header_that_is_repeated_is_refused(small: Server, name: bytes) -> None:
    """400: a proxy and this server might believe different ones."""
    known = {b"Host": b"x", b"Content-Type": b"application/json", b"Idempotency-Key": b"k"}
    known |= {key.encode().title(): value.encode() for key, value in small.phone().headers.items()}
    lines = [b"%b: %b\r\n" % pair for pair in known.items()]
    again = b"%b: %b\r\n" % (name, known[name])
    body = json.dumps(correction()).encode()
    sent = b"POST /v1/corrections HTTP/1.1\r\n" + b"".join(lines) + again + b"Content-Length: %d\r\n\r\n" % len(body)
    with wire.connect(small.url) as line:
        line.sendall(sent + body)
        answer = wire.rest(line)
    assert re.findall(rb"HTTP/1.1 (\d{3}) ", answer) == [b"400"]


@pytest.mark.slow
def test_an_address_holds_a_bounded_number_of_connections(small: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """The connection past the limit is closed at once; the others go on, and a trusted proxy has no limit."""
    monkeypatch.setattr(connections, "MAX_PER_ADDRESS", 5)
    settled(small)
    lines = [stranger(small) for _ in range(8)]
    try:
        assert sum(is_open(line) for line in lines) == 5
        proxied = [wire.connect(small.url) for _ in range(8)]
        assert all(is_open(line) for line in proxied)
        for line in proxied:
            line.close()
    finally:
        for line in lines:
            line.close()
    settled(small)
    with stranger(small) as line:
        assert is_open(line)


@pytest.mark.parametrize("trusted", [False, True])
def test_half_open_heads_are_bounded(small: Server, monkeypatch: pytest.MonkeyPatch, trusted: bool) -> None:
    """Heads that never end are limited for each address, and in all where they arrive through a proxy."""
    monkeypatch.setattr(connections, "MAX_WAITING" if trusted else "MAX_WAITING_PER_ADDRESS", 4)
    settled(small)
    lines = [wire.connect(small.url) if trusted else stranger(small) for _ in range(7)]
    try:
        for line in lines:
            with contextlib.suppress(ConnectionError):
                line.sendall(HEAD)
        assert sum(is_open(line) for line in lines) == 4
    finally:
        for line in lines:
            line.close()
    settled(small)


def test_the_counts_return_to_nothing() -> None:
    """Every count that rises falls again, in whatever order connections end."""
    counted = Connections()
    for _ in range(3):
        counted.opened("a", trusted=False)
        counted.waits("a", trusted=False)
    for _ in range(3):
        counted.waits_no_more("a")
        counted.closed("a")
    assert counted.counts("a") == (0, 0)
    assert not counted._open
    assert not counted._waiting


def test_a_network_of_trusted_proxies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``FORWARDED_ALLOW_IPS`` exempts the networks that uvicorn trusts, not only single addresses."""
    monkeypatch.setenv("FORWARDED_ALLOW_IPS", "10.0.0.0/8, 127.0.0.0/8")
    monkeypatch.setattr(connections, "MAX_PER_ADDRESS", 5)
    with serving(opened(f"sqlite:///{tmp_path / 'loop.db'}", tmp_path)) as server:
        lines = [stranger(server) for _ in range(8)]
        try:
            assert all(is_open(line) for line in lines)
        finally:
            for line in lines:
                line.close()


def test_readiness_does_not_wait_behind_a_locked_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While one request writes, another is refused after a bounded time, and it succeeds once the write has ended."""
    monkeypatch.setattr(heartbeat, "WAIT_SECONDS", 0.05)
    proof = heartbeat.Heartbeat(opened(f"sqlite:///{tmp_path / 'loop.db'}", tmp_path), utc_now)
    with proof._writing, pytest.raises(StoreUnavailable, match="has taken more than"):
        proof.prove()
    proof.prove()
