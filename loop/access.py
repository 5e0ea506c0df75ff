"""Who is calling, and for which source.

Rules:
- A key is ``loop_<role>_<43 characters>``: 256 random bits. It is shown once; the store keeps its SHA-256. Nobody can
  guess such a secret, so a slow hash would protect nothing.
- The API looks keys up in memory (``Ring``); a revoked one is refused within ``STALE_SECONDS`` in every process. A
  database that does not answer does not lock everybody out at once: the last ring serves for ``BLIND_SECONDS``.
- A key bound to a source speaks for that source alone. An app's shared key is in every copy of the app and proves
  nothing about a phone: the phone brings a secret of its own, and its source's name is a hash of that. Nobody can add
  to, or erase, a source whose secret they do not hold, and nothing has to be enrolled.
"""

import hashlib
import re
import secrets
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from loop.errors import BadReason, DeploymentError, KeyRefused, NoKey, NoSource, NotAllowed, StoreUnavailable
from loop.home import Home
from loop.store import Store
from loop.store.service import keys
from loop.store.service.keys import Key, Role

__all__ = ["Caller", "Key", "Ring", "Role", "create", "every", "first_key", "revoke", "source_name", "source_of"]

STALE_SECONDS = 2.0
OUTAGE_SECONDS = 60.0
REFRESH_SECONDS = STALE_SECONDS / 2  # the other half is for a slow answer of the database
MAX_NAME_CHARACTERS = 96  # the ledger has 100 characters for ``Caller.actor``

_BEARER = re.compile(r"bearer +(\S+) *", re.ASCII | re.IGNORECASE)
_KEY = re.compile(r"loop_(?:app|reviewer|ops)_[A-Za-z0-9_-]{43}", re.ASCII)
_SOURCE_SECRET = re.compile(r"[A-Za-z0-9_-]{43}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Caller:
    """Whom a request's key belongs to; with a ``source``, it speaks for that source alone."""

    key_id: int
    name: str
    role: Role
    source: str | None

    @property
    def actor(self) -> str:
        """Who the ledger names."""
        return f"key {self.name}"


def create(
    home: Home,
    name: str,
    role: Role,
    *,
    source: str | None = None,
    expires: datetime | None = None,
    actor: str,
    now: datetime,
) -> tuple[str, Key]:
    """A new key: its secret, which nobody can show a second time, and what is stored. Raises ``BadReason``."""
    _check(name, role, source, expires, now)
    secret = _secret(role)
    with home.store.write() as tx:
        return secret, keys.add(tx, _digest(secret), name, role, source, actor, expires, now)


def first_key(home: Home, now: datetime) -> str | None:
    """The secret of a new key for ops, if the store never had a key: whoever calls shows it once."""
    secret = _secret(Role.OPS)
    with home.store.exclusive() as tx:
        if keys.count(tx):
            return None
        keys.add(tx, _digest(secret), "first key", Role.OPS, None, home.actor, None, now)
    return secret


def every(home: Home) -> list[Key]:
    """All keys, oldest first; revoked and expired ones too."""
    with home.store.read() as tx:
        return list(keys.every(tx).values())


def revoke(home: Home, key_id: int, now: datetime) -> Key:
    """Refuse a key from now on; revoking it again changes nothing. Raises ``OpsError`` for an unknown one."""
    with home.store.write() as tx:
        return keys.revoke(tx, key_id, now)


def source_of(caller: Caller, secret: str | None) -> str:
    """The source that the caller speaks for; ``secret`` is the ``Loop-Source`` header, which a bound key needs not.

    Raises ``NotAllowed`` for a reviewer's or ops's key, ``NoSource`` where the header is missing or malformed.
    """
    if caller.role is not Role.APP:
        raise NotAllowed(f"a key of role {caller.role} speaks for no source; use an app's key")
    if caller.source is not None:
        return caller.source
    if secret is None or not _SOURCE_SECRET.fullmatch(secret):
        came = "nothing" if secret is None else f"{len(secret)} characters"
        raise NoSource(
            f"Loop-Source: expected 43 characters of base64url (32 random bytes that this phone keeps), got {came}"
        )
    return source_name(secret)


def source_name(secret: str) -> str:
    """The name that a phone's own secret certifies."""
    return "s" + hashlib.sha256(b"digit-loop source\n" + secret.encode("ascii")).hexdigest()[:40]


class Ring:
    """The keys in memory, by the digests of their secrets; what the API asks on each request.

    A thread reads them anew every ``REFRESH_SECONDS`` between ``start`` and ``close``, so no request waits for the
    database.
    """

    def __init__(self, store: Store, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._store, self._monotonic = store, monotonic
        self._keys: Mapping[str, Key] = {}
        self._read_at = float("-inf")
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._keep_fresh, name="key ring", daemon=True)

    def start(self) -> None:
        """Read the keys, then go on in the background. Raises ``StoreUnavailable``."""
        self.refresh()
        self._thread.start()

    def close(self) -> None:
        """Stop reading."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()

    def refresh(self) -> None:
        """Read the keys now. Raises ``StoreUnavailable``; then the ring stays as it was."""
        asked_at = self._monotonic()
        with self._store.read() as tx:
            self._keys = keys.every(tx)
        self._read_at = asked_at

    def who(self, authorization: str | None, now: datetime) -> Caller:
        """Who sent this ``Authorization`` header. Raises ``NoKey``, ``KeyRefused``, ``StoreUnavailable``."""
        if self._monotonic() - self._read_at > OUTAGE_SECONDS:
            raise StoreUnavailable(f"keys: the database has not answered for {OUTAGE_SECONDS:.0f} seconds; try later")
        secret = _bearer(authorization)
        # Whoever times this lookup learns about SHA-256 digests of what was sent, which nobody can steer: no need
        # to compare in constant time.
        key = self._keys.get(_digest(secret))
        if key is None:
            raise KeyRefused("this key is not known here; `loop keys create` makes one")
        if key.revoked_at is not None:
            raise KeyRefused(f"key {key.id} was revoked on {key.revoked_at:%Y-%m-%d}; ask for another")
        if key.expires_at is not None and key.expires_at <= now:
            raise KeyRefused(f"key {key.id} expired on {key.expires_at:%Y-%m-%d}; ask for another")
        return Caller(key.id, key.name, key.role, key.source)

    def _keep_fresh(self) -> None:
        while not self._stop.wait(REFRESH_SECONDS):
            try:
                self.refresh()
            except DeploymentError:
                continue  # ``who`` says so once the ring is too old


def _bearer(authorization: str | None) -> str:
    """The secret in the header, of the right form. The message never repeats it."""
    if authorization is None:
        raise NoKey("Authorization: expected Bearer and a key (loop_…), got nothing; `loop keys create` makes one")
    found = _BEARER.fullmatch(authorization)
    if found is None or not _KEY.fullmatch(found[1]):
        raise KeyRefused("Authorization: expected Bearer and a key (loop_<role>_ and 43 characters), got another form")
    return found[1]


def _check(name: str, role: Role, source: str | None, expires: datetime | None, now: datetime) -> None:
    for field, value, longest in (("name", name, MAX_NAME_CHARACTERS), ("source", source, 128)):
        if value is not None and not (0 < len(value.strip()) <= len(value) <= longest and value.isprintable()):
            raise BadReason(f"{field}: expected 1 to {longest} printable characters, got {len(value)}; say it again")
    if source is not None and role is not Role.APP:
        raise BadReason(f"source: expected none for a key of role {role}, which speaks for no source; leave it out")
    if expires is not None and expires <= now:
        raise BadReason(f"expires: expected a time to come, got {expires:%Y-%m-%d %H:%M}Z")


def _secret(role: Role) -> str:
    return f"loop_{role}_{secrets.token_urlsafe(32)}"


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
