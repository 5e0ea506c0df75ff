"""Which addresses may be called: attacks on a server that sends requests on demand."""

import socket

import pytest

from loop.errors import BadHook
from loop.webhooks import addresses
from loop.webhooks.addresses import parse, permitted, public

PRIVATE = [
    "0.0.0.0",  # noqa: S104 (an address that is refused)
    "0.1.2.3",
    "10.0.0.1",
    "10.255.255.255",
    "100.64.0.1",
    "100.100.100.200",
    "100.127.255.255",
    "127.0.0.1",
    "127.9.9.9",
    "169.254.0.1",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.1",
    "192.0.0.192",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.0.1",
    "198.18.0.1",
    "198.19.255.255",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
    "168.63.129.16",
    "::",
    "::1",
    "::ffff:127.0.0.1",
    "::ffff:8.8.8.8",
    "::ffff:a00:1",
    "::127.0.0.1",
    "64:ff9b::7f00:1",
    "64:ff9b:1::1",
    "100::1",
    "2001::1",
    "2001:0:a00:1::",
    "2001:db8::1",
    "2001:10::1",
    "2002:7f00:1::",
    "2002:a9fe:a9fe::",
    "3fff::1",
    "5f00::1",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fe80::1%eth0",
    "febf::1",
    "fec0::1",
    "ff02::1",
    "ff0e::1",
]
PUBLIC = [
    "1.1.1.1",
    "8.8.8.8",
    "100.63.255.255",
    "100.128.0.1",
    "172.32.0.1",
    "192.167.1.1",
    "198.20.0.1",
    "2606:4700::1111",
    "2a00:1450::1",
]


@pytest.mark.parametrize("address", PRIVATE)
def test_private_addresses_are_refused(address: str) -> None:
    """Every kind of non-public address is refused, as a literal and resolved, alone and beside a public one."""
    assert not public(address)
    for resolved in ([address], ["8.8.8.8", address]):
        with pytest.raises(BadHook, match="expected a public address"):
            permitted(parse("https://example.org/hook"), private=False, resolve=lambda *_, resolved=resolved: resolved)


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_are_permitted(address: str) -> None:
    """Control: ordinary addresses are permitted, some of them next to refused ones."""
    assert public(address)
    assert permitted(parse("https://example.org/"), private=False, resolve=lambda *_: [address]) == [address]


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "[::1]", "localhost", "127.1", "0x7f.1", "2130706433", "0177.0.0.1", "[::ffff:127.0.0.1]"]
)
def test_spellings_of_this_machine(host: str) -> None:
    """Every spelling of a loopback address is refused, because the resolved address is checked."""
    with pytest.raises(BadHook, match=r"public address|does not resolve"):
        permitted(parse(f"http://{host}/hook"), private=False)
    assert permitted(parse("http://127.0.0.1/hook"), private=True) == ["127.0.0.1"]


@pytest.mark.parametrize(
    "url",
    [
        "",
        "example.org/hook",
        "ftp://example.org/",
        "file:///etc/passwd",
        "gopher://example.org/",
        "javascript:alert(1)",
        "http://",
        "http:///hook",
        "http://user:geheim@example.org/",
        "http://geheim@example.org/",
        "https://example.org:0/",
        "https://example.org:65536/",
        "https://example.org:x/",
        "https://exa mple.org/",
        "https://example.org/a b",
        "https://example.org/a\r\nX-Injected:1",
        "https://example.org/ü",
        "https://bücher.example/",
        "https://[::1/",
        "https://[zz]/",
        "https://example.org\\@127.0.0.1/",
        "https://example.org#@127.0.0.1/",
        "https://127.0.0.1%2f@example.org/",
        "https://-example.org/",
        "https://example.org/" + "a" * 500,
        "https://" + "a" * 254 + "/",
    ],
)
def test_urls_that_are_refused(url: str) -> None:
    """Other schemes, credentials, control characters and ambiguous URLs are refused, and the message hides secrets."""
    with pytest.raises(BadHook) as refused:
        parse(url)
    assert "geheim" not in str(refused.value)
    assert "\n" not in str(refused.value)


def test_what_is_shown_of_a_url() -> None:
    """Only scheme, host and port of a URL are printed, because a path or query may be a password."""
    found = parse("https://hooks.example.org:8443/services/T0/B0/geheim?token=geheim")
    assert (found.scheme, found.host, found.port) == ("https", "hooks.example.org", 8443)
    assert found.path == "/services/T0/B0/geheim?token=geheim"
    assert found.masked == "https://hooks.example.org:8443/…"
    assert parse("http://[2606:4700::1111]").authority == "[2606:4700::1111]"
    assert parse("http://example.org").path == "/"


def test_a_name_that_does_not_resolve(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that does not resolve gives an error of one line."""

    def nothing(*_: object, **__: object) -> None:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", nothing)
    with pytest.raises(BadHook, match="does not resolve"):
        addresses.lookup("nowhere.example", 80)
