"""API keys: identify the caller of a request and the source that the caller acts for.

Rules:
- A key is ``loop_<role>_<43 characters>``: 256 random bits. It is shown once; the store keeps its SHA-256. Nobody can
  guess such a secret, so a slow hash would add no protection.
- The API looks keys up in memory (``KeyRing``); every process refuses a revoked key within ``STALE_SECONDS``. If the
  database does not answer, the keys in memory stay valid for ``OUTAGE_SECONDS``.
- A key that is bound to a source acts for that source only. An app's shared key is in every copy of the app and proves
  nothing about a phone: the phone sends a secret of its own, and the name of its source is a hash of that secret. Only
  the holder of a secret can add to its source or erase it, and no phone has to be enrolled.
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

__all__ = ["Caller", "Key", "KeyRing", "Role", "create", "every", "first_key", "revoke", "source_name", "source_of"]

STALE_SECONDS = 2.0
OUTAGE_SECONDS = 60.0
REFRESH_SECONDS = STALE_SECONDS / 2  # the other half is for a slow answer of the database
MAX_NAME_CHARACTERS = 96  # the ledger has 100 characters for ``Caller.actor``

_BEARER = re.compile(r"(?i:bearer) +(loop_(?:app|reviewer|ops)_[A-Za-z0-9_-]{43}) *", re.ASCII)
_SOURCE_SECRET = re.compile(r"[A-Za-z0-9_-]{43}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Caller:
    """The holder of a request's key. With a ``source``, the key acts for that source only."""

    key_id: int
    name: str
    role: Role
    source: str | None

    @property
    def actor(self) -> str:
        """The name that the ledger records."""
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
    """Create a key: its secret, which cannot be shown again, and the stored key. Raises ``BadReason``."""
    _check(name, role, source, expires, now)
    secret = _secret(role)
    with home.store.write() as tx:
        return secret, keys.add(tx, _digest(secret), name, role, source, actor, expires, now)


def first_key(home: Home, now: datetime) -> str | None:
    """The secret of a new key for ops, or None if the store has or had a key. The caller shows it once."""
    secret = _secret(Role.OPS)
    with home.store.exclusive() as tx:
        if keys.count(tx):
            return None
        keys.add(tx, _digest(secret), "first key", Role.OPS, None, home.actor, None, now)
    return secret


def every(home: Home) -> list[Key]:
    """All keys, oldest first, including revoked and expired ones."""
    with home.store.read() as tx:
        return list(keys.every(tx).values())


def revoke(home: Home, key_id: int, now: datetime) -> Key:
    """Revoke a key; revoking it again changes nothing. Raises ``OpsError`` if the key is unknown."""
    with home.store.write() as tx:
        return keys.revoke(tx, key_id, now)


def source_of(caller: Caller, secret: str | None) -> str:
    """The source that the caller acts for. ``secret`` is the ``Loop-Source`` header; a bound key does not need it.

    Raises ``NotAllowed`` for the key of a reviewer or of ops, ``NoSource`` if the header is missing or malformed.
    """
    if caller.role is not Role.APP:
        raise NotAllowed(
            f"expected a key with the role app, got one with the role {caller.role}; only an app's key has a source"
        )
    if caller.source is not None:
        return caller.source
    if secret is None or not _SOURCE_SECRET.fullmatch(secret):
        got = "nothing" if secret is None else f"{len(secret)} characters"
        raise NoSource(
            f"Loop-Source: expected 43 characters of base64url, got {got}; send 32 random bytes that this phone keeps"
        )
    return source_name(secret)


def source_name(secret: str) -> str:
    """The name of the source that holds this secret."""
    return "s" + hashlib.sha256(b"digit-loop source\n" + secret.encode("ascii")).hexdigest()[:40]


class KeyRing:
    """All keys in memory, by the digests of their secrets; the API looks up the key of each request here.

    Between ``start`` and ``close`` a thread reads them from the store every ``REFRESH_SECONDS``, so that no request
    waits for the database.
    """

    def __init__(self, store: Store, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._store, self._monotonic = store, monotonic
        self._keys: Mapping[str, Key] = {}
        self._read_at = float("-inf")
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._keep_fresh, name="key ring", daemon=True)

    def start(self) -> None:
        """Read the keys, then keep them fresh in a thread. Raises ``StoreUnavailable``."""
        self.refresh()
        self._thread.start()

    def close(self) -> None:
        """Stop the thread."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()

    def refresh(self) -> None:
        """Read the keys now. Raises ``StoreUnavailable``; then the keys in memory stay as they were."""
        asked_at = self._monotonic()
        with self._store.read() as tx:
            self._keys = keys.every(tx)
        self._read_at = asked_at

    def caller(self, authorization: str | None, now: datetime) -> Caller:
        """The holder of the key in an ``Authorization`` header.

        Raises ``NoKey``, ``KeyRefused``, ``StoreUnavailable``. No message repeats the secret.
        """
        if self._monotonic() - self._read_at > OUTAGE_SECONDS:
            raise StoreUnavailable(f"keys: the database has not answered for {OUTAGE_SECONDS:.0f} seconds; try later")
        if authorization is None:
            raise NoKey("Authorization: expected Bearer and a key (loop_…), got nothing; `loop keys create` makes one")
        bearer = _BEARER.fullmatch(authorization)
        if bearer is None:
            raise KeyRefused(
                "Authorization: expected Bearer and a key (loop_<role>_ and 43 characters), got another form; "
                "send the key as `loop keys create` printed it"
            )
        # The time of this lookup depends on a SHA-256 digest, which no sender can choose: no need to compare in
        # constant time.
        key = self._keys.get(hashlib.sha256(bearer[1].encode()).hexdigest())
        if key is None:
            raise KeyRefused("expected a key of this server, got an unknown one; `loop keys create` makes one")
        if key.revoked_at is not None:
            raise KeyRefused(f"key {key.id} was revoked on {key.revoked_at:%Y-%m-%d}; ask the operator for another")
        if key.expires_at is not None and key.expires_at <= now:
            raise KeyRefused(f"key {key.id} expired on {key.expires_at:%Y-%m-%d}; ask the operator for another")
        return Caller(key.id, key.name, key.role, key.source)

    def _keep_fresh(self) -> None:
        while not self._stop.wait(REFRESH_SECONDS):
            try:
                self.refresh()
            except DeploymentError:
                continue  # ``caller`` raises once the keys are too old


def _check(name: str, role: Role, source: str | None, expires: datetime | None, now: datetime) -> None:
    for field, value, longest in (("name", name, MAX_NAME_CHARACTERS), ("source", source, 128)):
        if value is not None and not (0 < len(value.strip()) <= len(value) <= longest and value.isprintable()):
            raise BadReason(f"{field}: expected 1 to {longest} printable characters, got {len(value)}; correct it")
    if source is not None and role is not Role.APP:
        raise BadReason(f"source: expected none for a key with the role {role}, got one; only apps have one")
    if expires is not None and expires <= now:
        raise BadReason(f"expires: expected a time in the future, got {expires:%Y-%m-%d %H:%M}Z; choose a later one")


def _secret(role: Role) -> str:
    return f"loop_{role}_{secrets.token_urlsafe(32)}"


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
