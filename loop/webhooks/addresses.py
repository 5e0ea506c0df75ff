"""Which addresses may be called. A URL is parsed once, its name is resolved once, and only checked addresses are used.

The holder of an ops key can make this server send a webhook. So a webhook must not reach what only this server can
reach: the machine itself, its network, a cloud's metadata service. The addresses to which a name resolves at the time
of the call are checked, and a name with one private address among public ones is refused.
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
PRINTABLE = re.compile(r"[!-\[\]-~]{1,500}")  # ASCII without spaces; no backslash, which some parsers take for a slash
FORBIDDEN_NETWORKS = tuple(
    ipaddress.ip_network(text)
    for text in (
        "168.63.129.16/32",  # Azure's platform service, a public address that only its machines can reach
        "192.0.0.0/24",  # protocol assignments, including Oracle's metadata service
        "192.88.99.0/24",  # 6to4 relays
        "2001::/23",  # protocol assignments, including Teredo, which embeds an IPv4 address
        "2002::/16",  # 6to4, which embeds an IPv4 address
        "3fff::/20",  # documentation
    )
)
GLOBAL_6 = ipaddress.ip_network("2000::/3")
"""The global unicast range; IPv4-mapped, NAT64, link-local and unique local addresses are outside it."""


@dataclass(frozen=True, slots=True)
class Target:
    """A parsed URL. ``masked`` may be printed; the path of a webhook is often its password."""

    scheme: str
    host: str
    port: int
    path: str
    authority: str
    masked: str


def parse(url: str) -> Target:
    """Parse a URL. Raises ``BadHook`` with a message that contains nothing secret."""
    if not PRINTABLE.fullmatch(url) or "#" in url:
        raise BadHook("expected a URL of at most 500 printable ASCII characters without # and backslash")
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError as error:
        raise BadHook(f"expected a URL such as https://example.org/hook, but it cannot be parsed ({error})") from None
    if parts.scheme not in {"http", "https"}:
        raise BadHook(f"expected an http or https URL, got the scheme {parts.scheme[:20]!r}")
    if parts.username is not None or parts.password is not None:
        raise BadHook("expected a URL without user and password; the signature identifies the caller")
    if not (NAME.fullmatch(host) or _literal(host)):
        raise BadHook(f"expected a host name in ASCII (xn--… for others) or an address, got {host[:60]!r}")
    if port == 0:
        raise BadHook("expected a port from 1 to 65535, got 0")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    authority = (f"[{host}]" if ":" in host else host) + (f":{port}" if port else "")
    masked = f"{parts.scheme}://{authority}/{'…' if path != '/' else ''}"
    return Target(parts.scheme, host, port or {"http": 80, "https": 443}[parts.scheme], path, authority, masked)


def permitted(target: Target, *, private: bool, resolve: Resolve | None = None) -> list[str]:
    """The addresses of a target; connect only to these. Raises ``BadHook`` if one may not be called.

    With ``private`` every address may be called.
    """
    resolved = (resolve or lookup)(target.host, target.port)
    for address in resolved:
        if not private and not public(address):
            raise BadHook(
                f"{target.masked}: expected a public address, but {target.host} is {address}; set webhooks_private to "
                "allow it"
            )
    return resolved


def public(text: str) -> bool:
    """Whether an address is a public address of the Internet."""
    address = _literal(text)
    if address is None or not address.is_global or address.is_multicast or address.is_reserved:
        return False
    if any(address in network for network in FORBIDDEN_NETWORKS if network.version == address.version):
        return False
    return address.version == 4 or address in GLOBAL_6


def lookup(host: str, port: int) -> list[str]:
    """The addresses to which the system resolves a name, each once, in order of preference. Raises ``BadHook``."""
    try:
        infos: list[Any] = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise BadHook(f"{host}: does not resolve ({error}); check the name and the DNS server") from None
    return list(dict.fromkeys(str(address[0]) for *_, address in infos))


def _literal(text: str) -> Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None
