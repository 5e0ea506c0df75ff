"""Who may be called: a URL is taken apart once, its name is resolved once, and only what was looked at is connected to.

A webhook is a request that whoever holds an ops key makes this server send. So it must not reach what only this server
can: the machine itself, its network, a cloud's metadata service. Names are judged by the addresses that they resolve to
at the time of the call; a name with one private address among public ones is refused.
"""

import ipaddress
import re
import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from loop.errors import BadHook

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Resolve = Callable[[str, int], list[str]]

NAME = re.compile(r"(?=.{1,253}\Z)[a-z0-9]([a-z0-9.-]*[a-z0-9])?\.?", re.IGNORECASE)
PRINTABLE = re.compile(r"[!-\[\]-~]{1,500}")  # ASCII without spaces; no backslash, which some readers take for a slash
FORBIDDEN_NETWORKS = tuple(
    ipaddress.ip_network(text)
    for text in (
        "168.63.129.16/32",  # Azure's platform service, a public address that only machines inside reach
        "192.0.0.0/24",  # protocol assignments, Oracle's metadata service among them
        "192.88.99.0/24",  # 6to4 relays
        "2001::/23",  # protocol assignments, Teredo among them: an IPv4 address inside
        "2002::/16",  # 6to4: an IPv4 address inside
        "3fff::/20",  # documentation
    )
)
GLOBAL_6 = ipaddress.ip_network("2000::/3")
"""All that is given to the public; IPv4-mapped, NAT64, link-local and unique local addresses lie outside."""


@dataclass(frozen=True, slots=True)
class Target:
    """A URL in its parts; ``shown`` is what may be printed, for the path of a webhook is often its password."""

    scheme: str
    host: str
    port: int
    path: str
    authority: str
    shown: str


def parse(url: str) -> Target:
    """The parts of a URL. Raises ``BadHook``; the message does not repeat what may be secret."""
    if not PRINTABLE.fullmatch(url) or "#" in url:
        raise BadHook("expected a URL of at most 500 printable ASCII characters without # and backslash, got another")
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError as error:
        raise BadHook(f"expected a URL such as https://example.org/hook, got what cannot be read ({error})") from None
    if parts.scheme not in {"http", "https"}:
        raise BadHook(f"expected an http or https URL, got the scheme {parts.scheme[:20]!r}")
    if parts.username is not None or parts.password is not None:
        raise BadHook("expected a URL without user and password; the signature tells who is calling")
    if not (NAME.fullmatch(host) or _literal(host)):
        raise BadHook(f"expected a host name in ASCII (xn--… for others) or an address, got {host[:60]!r}")
    if port == 0:
        raise BadHook("expected a port from 1 to 65535, got 0")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    authority = (f"[{host}]" if ":" in host else host) + (f":{port}" if port else "")
    shown = f"{parts.scheme}://{authority}/{'…' if path != '/' else ''}"
    return Target(parts.scheme, host, port or {"http": 80, "https": 443}[parts.scheme], path, authority, shown)


def permitted(target: Target, *, private: bool, resolve: Resolve | None = None) -> list[str]:
    """The addresses of a target, to be connected to and no others. Raises ``BadHook`` where one may not be called;
    with ``private``, everything may.
    """
    found = (resolve or lookup)(target.host, target.port)
    for address in found:
        if not private and not public(address):
            raise BadHook(
                f"{target.shown}: expected a public address, {target.host} is {address}; set webhooks_private if it "
                "is meant"
            )
    return found


def public(text: str) -> bool:
    """Is this an address that anybody on the Internet may be asked to call?"""
    address = _literal(text)
    if address is None or not address.is_global or address.is_multicast or address.is_reserved:
        return False
    if any(address in network for network in FORBIDDEN_NETWORKS if network.version == address.version):
        return False
    return address.version == 4 or address in GLOBAL_6


def lookup(host: str, port: int) -> list[str]:
    """What the system resolves a name to, each address once, the preferred one first. Raises ``BadHook``."""
    try:
        found: list[Any] = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise BadHook(f"{host}: does not resolve ({error}); is the name right, does DNS answer?") from None
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


def _literal(text: str) -> Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None
