"""Access: keys are stored as hashes, roles and times are enforced, and a phone's secret names its source."""

import logging
import re
import string
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import MetaData, text

from loop import access
from loop.access import Caller, KeyRing, Role
from loop.errors import BadReason, KeyRefused, NoKey, NoSource, NotAllowed, OpsError, StoreUnavailable
from loop.home import Home
from loop.home.artifacts import Artifacts
from loop.home.settings import Settings
from loop.store import Store
from loop.store.values import Attribution
from tests.cli.test_cli import Shell
from tests.conftest import NOW

ALPHABET = string.ascii_letters + string.digits + "-_"
SECRET = "A" * 43
UNBOUND = Caller(1, "app", Role.APP, None)


@pytest.fixture
def home(store: Store, tmp_path: Path) -> Home:
    """A migrated home without keys."""
    return Home(Settings(home=tmp_path, actor="tester"), store, Artifacts(tmp_path / "artifacts"))


@pytest.fixture
def ring(home: Home) -> KeyRing:
    """The home's keys in memory, read on demand."""
    return KeyRing(home.store)


@pytest.fixture
def loop(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Shell:
    """The command line in an empty home."""
    shell = Shell(monkeypatch, capsys, tmp_path, None)
    shell("migrate")
    return shell


def make(home: Home, role: Role = Role.APP, **options: object) -> tuple[str, access.Key]:
    """A key, made now by the tester."""
    return access.create(home, "somebody", role, actor="tester", now=NOW, **options)  # type: ignore[arg-type]


def test_a_key_identifies_its_caller(home: Home, ring: KeyRing) -> None:
    """Its number, name, role and source; the scheme's case and spaces do not matter."""
    secret, key = make(home, source="lab-1")
    ring.refresh()
    assert re.fullmatch(r"loop_app_[A-Za-z0-9_-]{43}", secret)
    for header in (f"Bearer {secret}", f"bearer   {secret} "):
        assert ring.caller(header, NOW) == Caller(key.id, "somebody", Role.APP, "lab-1")


def test_a_missing_key_and_an_unknown_one(home: Home, ring: KeyRing) -> None:
    """A missing key and a wrong one have different errors; neither message repeats the key."""
    secret, _ = make(home)
    ring.refresh()
    with pytest.raises(NoKey, match="loop keys create"):
        ring.caller(None, NOW)
    wrong = [secret[:-1] + ("A" if secret[-1] != "A" else "B"), secret.replace("app", "ops"), secret[:-1], secret + "A"]
    for header in [
        *(f"Bearer {each}" for each in wrong),
        secret,
        f"Basic {secret}",
        "",
        "Bearer ",
        f"Bearer\n{secret}",
    ]:
        with pytest.raises(KeyRefused) as caught:
            ring.caller(header, NOW)
        assert secret[10:40] not in str(caught.value)


@given(st.text(max_size=200))
def test_no_header_but_a_key_opens(header: str) -> None:
    """Any text is refused, never with another error."""
    ring = KeyRing(None, lambda: 0.0)  # type: ignore[arg-type]  # it has been read, and holds nothing
    ring._read_at = 0.0
    with pytest.raises(KeyRefused):
        ring.caller(header, NOW)


def test_an_expired_key_is_refused_to_the_second(home: Home, ring: KeyRing) -> None:
    """The key is valid before its expiry and refused from then on."""
    secret, _ = make(home, expires=NOW + timedelta(days=1))
    ring.refresh()
    assert ring.caller(f"Bearer {secret}", NOW + timedelta(hours=23, minutes=59, seconds=59)).role is Role.APP
    with pytest.raises(KeyRefused, match="expired on 2026-05-04"):
        ring.caller(f"Bearer {secret}", NOW + timedelta(days=1))


def test_a_revoked_key_stops_within_two_seconds_in_another_process(home: Home) -> None:
    """A running key ring, which shares only the database with the revoking process, refuses it in time."""
    secret, key = make(home)
    elsewhere = KeyRing(Store(home.store.engine.url.render_as_string(hide_password=False)))
    elsewhere.start()
    try:
        assert elsewhere.caller(f"Bearer {secret}", NOW).key_id == key.id
        access.revoke(home, key.id, NOW)
        revoked = time.monotonic()
        assert _waits_for(lambda: _refused(elsewhere, secret), access.STALE_SECONDS)
        assert time.monotonic() - revoked <= access.STALE_SECONDS
    finally:
        elsewhere.close()


def test_revoking_twice_keeps_the_first_time(home: Home) -> None:
    """An unknown key is an operator's mistake."""
    _, key = make(home)
    access.revoke(home, key.id, NOW)
    assert access.revoke(home, key.id, NOW + timedelta(days=1)).revoked_at == NOW
    for unknown in (0, 99, -1, 2**63):
        with pytest.raises(OpsError, match="loop keys list"):
            access.revoke(home, unknown, NOW)


def test_a_silent_database_is_outlived_for_a_minute(home: Home) -> None:
    """The keys in memory serve for 60 s, then the answer is StoreUnavailable; without a first reading it is, too."""
    secret, key = make(home)
    clock = [1000.0]
    ring = KeyRing(home.store, lambda: clock[0])
    with pytest.raises(StoreUnavailable):
        ring.caller(f"Bearer {secret}", NOW)
    ring.refresh()
    with home.store.engine.begin() as connection:
        connection.execute(text("ALTER TABLE keys RENAME TO gone"))
    clock[0] += access.OUTAGE_SECONDS
    with pytest.raises(StoreUnavailable):
        ring.refresh()
    assert ring.caller(f"Bearer {secret}", NOW).key_id == key.id
    clock[0] += 1
    with pytest.raises(StoreUnavailable, match="60 seconds"):
        ring.caller(f"Bearer {secret}", NOW)


def test_the_thread_outlives_a_silent_database(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """A failed reading in the background is repeated; keys that were revoked in the meantime are then refused."""
    monkeypatch.setattr(access, "REFRESH_SECONDS", 0.02)
    secret, key = make(home)
    ring = KeyRing(home.store)
    ring.start()
    try:
        with home.store.engine.begin() as connection:
            connection.execute(text("ALTER TABLE keys RENAME TO gone"))
        time.sleep(0.2)
        assert not _refused(ring, secret)
        with home.store.engine.begin() as connection:
            connection.execute(text("ALTER TABLE gone RENAME TO keys"))
        access.revoke(home, key.id, NOW)
        assert _waits_for(lambda: _refused(ring, secret), 5)
    finally:
        ring.close()


def test_only_the_hash_of_a_secret_is_stored(home: Home, ring: KeyRing, caplog: pytest.LogCaptureFixture) -> None:
    """No table, no file of the database and no log holds the secret, or its part after the role."""
    caplog.set_level(logging.DEBUG)
    logging.getLogger("sqlalchemy.engine").setLevel(logging.INFO)  # it then logs every parameter
    try:
        secrets = [make(home)[0], access.create(home, "x", Role.OPS, actor="y", now=NOW)[0]]
        ring.refresh()
        for secret in secrets:
            ring.caller(f"Bearer {secret}", NOW)
    finally:
        logging.getLogger("sqlalchemy.engine").setLevel(logging.NOTSET)
    assert "INSERT INTO keys" in caplog.text
    tables = MetaData()
    with home.store.engine.connect() as connection:
        tables.reflect(connection)
        stored = str([list(connection.execute(table.select())) for table in tables.sorted_tables])
    files = b"".join(path.read_bytes() for path in home.settings.home.rglob("*") if path.is_file())
    for secret in secrets:
        assert secret[-43:] not in stored
        assert secret[-43:].encode() not in files
        assert secret[-43:] not in caplog.text


def test_the_first_key_is_made_once(home: Home, ring: KeyRing) -> None:
    """An ops key if the store never had a key; afterwards none, even if it was revoked."""
    secret = access.first_key(home, NOW)
    assert secret is not None
    ring.refresh()
    caller = ring.caller(f"Bearer {secret}", NOW)
    assert caller.role is Role.OPS
    assert access.first_key(home, NOW) is None
    access.revoke(home, caller.key_id, NOW)
    assert access.first_key(home, NOW) is None


SENSELESS: list[dict[str, object]] = [
    {"name": ""},
    {"name": " "},
    {"name": "a\nb"},
    {"name": "x" * (access.MAX_NAME_CHARACTERS + 1)},
    {"source": ""},
    {"source": "x" * 129},
    {"role": Role.OPS, "source": "s"},
    {"role": Role.REVIEWER, "source": "s"},
    {"expires": NOW},
]


@pytest.mark.parametrize("changes", SENSELESS)
def test_a_key_that_makes_no_sense_is_not_made(home: Home, changes: dict[str, object]) -> None:
    """Unprintable names, sources for roles without one, and a past expiry are refused."""
    wish: dict[str, object] = {"name": "n", "role": Role.APP, "source": None, "expires": None} | changes
    with pytest.raises(BadReason):
        access.create(home, wish.pop("name"), wish.pop("role"), actor="a", now=NOW, **wish)  # type: ignore[arg-type]
    assert access.every(home) == []


def test_the_ledger_has_room_for_every_key(home: Home, ring: KeyRing) -> None:
    """The ledger can record a key with the longest name."""
    secret, _ = access.create(home, "x" * access.MAX_NAME_CHARACTERS, Role.OPS, actor="a", now=NOW)
    ring.refresh()
    assert Attribution(ring.caller(f"Bearer {secret}", NOW).actor, "why").actor.startswith("key x")


@given(st.text(ALPHABET, min_size=43, max_size=43), st.text(ALPHABET, min_size=43, max_size=43))
def test_a_source_certifies_itself(secret: str, other: str) -> None:
    """The name is a fixed hash of the secret; two secrets never give one name."""
    name = access.source_of(UNBOUND, secret)
    assert re.fullmatch("s[0-9a-f]{40}", name)
    assert (name == access.source_of(UNBOUND, other)) == (secret == other)


def test_a_source_name_is_the_documented_one() -> None:
    """Phones compute it, too: it must never change."""
    assert access.source_of(UNBOUND, SECRET) == "scce35bd9f5f2a54cb68d19445757fadd7ac8079f"


@pytest.mark.parametrize(
    "secret", [None, "", "A" * 42, "A" * 44, "A" * 42 + "=", "A" * 42 + "+", "é" * 43, "A" * 43 + "\n"]
)
def test_a_shared_key_without_a_phone_secret_names_no_source(secret: str | None) -> None:
    """Missing and malformed secrets are refused, without repeating them."""
    with pytest.raises(NoSource, match="43 characters"):
        access.source_of(UNBOUND, secret)


def test_a_bound_key_speaks_for_its_source_alone() -> None:
    """Whatever secret is sent with it, a bound key acts for its own source."""
    assert access.source_of(replace(UNBOUND, source="lab-1"), SECRET) == "lab-1"
    assert access.source_of(replace(UNBOUND, source="lab-1"), None) == "lab-1"


@pytest.mark.parametrize("role", [Role.REVIEWER, Role.OPS])
def test_reviewers_and_ops_have_no_source(role: Role) -> None:
    """They cannot upload for any source, not even with a phone's secret."""
    with pytest.raises(NotAllowed, match="app's key"):
        access.source_of(replace(UNBOUND, role=role), SECRET)


def test_keys_on_the_command_line(loop: Shell) -> None:
    """Keys are created, listed and revoked; only the creation prints the secret."""
    secret = loop("keys", "create", "the app").strip()
    assert re.fullmatch(r"loop_app_[A-Za-z0-9_-]{43}", secret)
    assert secret not in loop.err
    made = loop.json("keys", "create", "ann", "--role", "ops", "--days", "30")
    assert made["role"] == "ops"
    later = loop("keys", "list") + str(loop.json("keys", "list")) + loop("keys", "revoke", 1) + loop("keys", "list")
    assert "revoked" in later
    assert "until" in later
    for each in (secret, made["secret"]):
        assert each[-43:] not in later
        assert each[-20:] not in later
    assert "keys list" in loop.refused("keys", "revoke", 9)
    assert "role reviewer" in loop.refused("keys", "create", "x", "--role", "reviewer", "--source", "s")


def _refused(ring: KeyRing, secret: str) -> bool:
    try:
        ring.caller(f"Bearer {secret}", NOW)
    except KeyRefused:
        return True
    return False


def _waits_for(holds: Callable[[], bool], seconds: float) -> bool:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if holds():
            return True
        time.sleep(0.02)
    return holds()
