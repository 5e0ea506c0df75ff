"""One call to faulty servers, over real sockets."""

import datetime
import socket
import ssl
import threading
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from loop.webhooks import addresses, sending
from loop.webhooks.sending import Answer
from tests.webhooks.receiver import Receiver

BODY = b'{"type":"webhook.test"}'


def send(url: str, seconds: float = 0.6, **options: Any) -> Answer:
    """Make one call to this machine."""
    headers = {"content-type": "application/json", "webhook-id": "evt_1"}
    return sending.post(addresses.parse(url), headers, BODY, seconds=seconds, **{"private": True} | options)


def test_a_message_arrives_complete(receiver: Receiver) -> None:
    """Method, path with query, headers and body arrive unchanged, and Host is the URL's."""
    assert send(f"{receiver.url}/a/b?c=d") == Answer(True, "204")
    got = receiver.got[0]
    assert (got.path, got.body, got.headers["webhook-id"]) == ("/a/b?c=d", BODY, "evt_1")
    assert f"http://{got.headers['host']}" == receiver.url


@pytest.mark.parametrize("status", [200, 202, 299])
def test_any_2xx_is_accepted(receiver: Receiver, status: int) -> None:
    """Any status 2xx means accepted, as in the convention."""
    assert send(f"{receiver.url}/status/{status}") == Answer(True, str(status))


@pytest.mark.parametrize("status", [400, 401, 404, 410, 429, 500, 503])
def test_anything_else_is_not(receiver: Receiver, status: int) -> None:
    """Any other status means not accepted."""
    assert send(f"{receiver.url}/status/{status}") == Answer(False, str(status))


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(receiver: Receiver, status: int) -> None:
    """A redirect is not followed and means not accepted."""
    answer = send(f"{receiver.url}/status/{status}")
    assert not answer.accepted
    assert "redirect" in answer.text
    assert [got.path for got in receiver.got] == [f"/status/{status}"]


@pytest.mark.parametrize("how", ["silent", "drip", "early-hints"])
def test_slowness_ends_at_the_deadline(receiver: Receiver, how: str) -> None:
    """A silent server, or one that never ends its answer, costs no more time than the deadline."""
    begun = time.monotonic()
    assert send(f"{receiver.url}/{how}") == Answer(False, "no answer within 0.6 s")
    assert time.monotonic() - begun < 3


@pytest.mark.slow
def test_a_time_limit_for_each_read_would_not_do(receiver: Receiver) -> None:
    """Control: with a timeout per read, as usual, a slow server can prolong the call."""
    begun = time.monotonic()
    assert httpx.post(f"{receiver.url}/drip", timeout=0.6, trust_env=False).status_code == 200
    assert time.monotonic() - begun > 2.5


def test_an_endless_body_is_not_read(receiver: Receiver) -> None:
    """Only the status counts; a huge body is not read."""
    begun = time.monotonic()
    assert send(f"{receiver.url}/huge", seconds=5) == Answer(True, "200")
    assert time.monotonic() - begun < 3


def test_no_http_at_all(receiver: Receiver) -> None:
    """An invalid answer and a closed port give an answer of one line."""
    assert "RemoteProtocolError" in send(f"{receiver.url}/garbage").text
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # but does not listen
        answer = send(f"http://127.0.0.1:{taken.getsockname()[1]}/")
    assert "ConnectError" in answer.text
    assert "\n" not in answer.text


def test_proxies_of_the_environment_are_not_used(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    """Proxies are ignored, because a proxy would resolve the name again."""
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert send(f"{receiver.url}/").accepted


class Flipping:
    """An attacker's name server: it returns a public address first, then this machine."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.asked = 0
        self.called: list[str] = []
        self.real, self.connect = socket.getaddrinfo, socket.create_connection
        monkeypatch.setattr(socket, "getaddrinfo", self.answer)
        monkeypatch.setattr(socket, "create_connection", self.noticed)

    def answer(self, host: str, port: int, *rest: Any, **options: Any) -> Any:
        """Resolve the name."""
        if host not in {"rebind.example", b"rebind.example"}:
            return self.real(host, port, *rest, **options)
        self.asked += 1
        address = "93.184.216.34" if self.asked == 1 else "127.0.0.1"
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

    def noticed(self, address: tuple[str, int], *rest: Any, **options: Any) -> Any:
        """Connect, but only within this machine."""
        self.called.append(address[0])
        if address[0] == "93.184.216.34":
            raise ConnectionRefusedError("the test stays at home")
        return self.connect(address, *rest, **options)


def test_rebinding(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    """The call connects to the checked address: the name is resolved once."""
    names = Flipping(monkeypatch)
    url = receiver.url.replace("127.0.0.1", "rebind.example")
    assert not send(url, private=False).accepted
    assert (names.asked, names.called, receiver.got) == (1, ["93.184.216.34"], [])


def test_rebinding_works_on_whoever_looks_and_then_calls(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    """Control: the same check followed by an ordinary client reaches this machine."""
    names = Flipping(monkeypatch)
    url = receiver.url.replace("127.0.0.1", "rebind.example")
    addresses.permitted(addresses.parse(url), private=False)
    assert httpx.post(url, trust_env=False).status_code == 204
    assert names.called[-1] == "rebind.example"
    assert len(receiver.got) == 1


def test_a_dead_address_leaves_time_for_the_next(receiver: Receiver) -> None:
    """The first address of a name that answers is used."""
    url = receiver.url.replace("127.0.0.1", "many.example")
    assert send(url, resolve=lambda *_: ["127.0.0.2", "127.0.0.1"]).accepted
    assert receiver.got[0].headers["host"].startswith("many.example:")


@pytest.fixture
def certified(tmp_path: Path) -> Path:
    """A self-signed certificate for hooks.example, with its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "hooks.example")])
    now = datetime.datetime.now(datetime.UTC)
    day = datetime.timedelta(days=1)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now - day, now + day)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("hooks.example")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    form = (serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path = tmp_path / "hooks.pem"
    pem = serialization.Encoding.PEM
    path.write_bytes(key.private_bytes(pem, *form) + made.public_bytes(pem))
    return path


@pytest.mark.parametrize(("host", "taken"), [("hooks.example", True), ("other.example", False)])
def test_tls_is_for_the_name_not_for_the_address(
    certified: Path, monkeypatch: pytest.MonkeyPatch, host: str, taken: bool
) -> None:
    """TLS sends and verifies the URL's host name, although the connection is to an address."""
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server.load_cert_chain(certified)
    wanted: list[str | None] = []
    server.sni_callback = lambda _, name, __: wanted.append(name)
    trusting = ssl.create_default_context(cafile=str(certified))
    monkeypatch.setattr(sending, "_tls", lambda: trusting)
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with listener, listener.accept()[0] as plain:
            try:
                with server.wrap_socket(plain, server_side=True) as stream:
                    received = b""
                    while not received.endswith(BODY):
                        received += stream.recv(4096)
                    stream.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")
            except OSError:
                return  # the client refused the certificate

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    url = f"https://{host}:{listener.getsockname()[1]}/"
    answer = send(url, seconds=5, resolve=lambda *_: ["127.0.0.1"])
    thread.join(5)
    assert wanted == [host]
    assert answer.accepted is taken
    assert taken or "certificate" in answer.text
