"""Sealed secrets: they open only with their key and for their purpose, and the database alone reveals none."""

import multiprocessing
from pathlib import Path

import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loop import home as homes
from loop.errors import BadKey
from loop.home import Home
from loop.home.settings import Settings
from loop.store import Store, schema, sealing, tables
from loop.store.feedback import split
from loop.store.service import hooks, secrets_at_rest
from loop.store.service.messages import Kind
from tests.conftest import NOW
from tests.helpers import stores

SALT, SECRET = "a salt that nobody may learn", "whsec_c2VjcmV0IG9mIGEgd2ViaG9vaw=="


def opened(url: str, folder: Path) -> Home:
    """A home with a migrated store."""
    home = homes.opened(Settings(home=folder / "home", database_url=url), create=True)
    stores.migrate(home.store)
    return home


def fill(store: Store) -> None:
    """A salt and a webhook."""
    with store.exclusive() as tx:
        split.set_salt(tx, SALT)
        hooks.add(tx, "https://example.org", SECRET, [Kind.TEST], "ops", NOW)


def everything(store: Store) -> bytes:
    """SQLite: all bytes of the file and its log. PostgreSQL: every row of every table as text, as a dump has it."""
    if store.is_sqlite:
        file = Path(str(store.url.database))
        return b"".join(path.read_bytes() for path in sorted(file.parent.glob(f"{file.name}*")))
    url = store.url.render_as_string(hide_password=False).replace("+psycopg", "")
    with psycopg.connect(url) as server:
        found = []
        for table in tables.Base.metadata.tables:
            with server.cursor().copy(f"COPY {table} TO STDOUT") as rows:
                found += [bytes(row) for row in rows]
    return b"".join(found)


def test_the_database_alone_reveals_no_secret(url: str, tmp_path: Path) -> None:
    """Neither file nor dump contains the salt or a webhook's secret, and both are read as they were stored."""
    home = opened(url, tmp_path)
    fill(home.store)
    found = everything(home.store)
    assert b"example.org" in found
    assert SALT.encode() not in found
    assert SECRET.encode() not in found
    with homes.opened(home.settings, create=False).store.read() as tx:
        assert split.set_salt(tx) == SALT
        assert secrets_at_rest.closed(tx) == []


def test_control_without_keys_the_database_reveals_them(url: str) -> None:
    """Control: the same search finds what a store without keys has stored."""
    store = Store(url)
    fill(store)
    assert SALT.encode() in everything(store)
    assert SECRET.encode() in everything(store)


def test_secrets_of_an_earlier_release_are_sealed_once(url: str, tmp_path: Path) -> None:
    """The step of `loop migrate` seals both; a second one finds nothing; no old byte stays in SQLite's files."""
    plain = Store(url)
    fill(plain)
    plain.close()
    home = opened(url, tmp_path)
    assert [homes.migrate(home), homes.migrate(home)] == [2, 0]
    assert SALT.encode() not in everything(home.store)
    assert SECRET.encode() not in everything(home.store)
    with home.store.read() as tx:
        assert split.set_salt(tx) == SALT


def migrated(url: str, folder: Path, start: object, results: object) -> None:
    """A process that seals."""
    home = homes.opened(Settings(home=folder / "home", database_url=url), create=True)
    start.wait()  # type: ignore[attr-defined]  # a barrier
    results.put(homes.migrate(home))  # type: ignore[attr-defined]  # a queue


@pytest.mark.slow
def test_two_processes_seal_exactly_once(url: str, tmp_path: Path) -> None:
    """Of two that migrate at once, one seals both secrets and the other none; both keep one key file."""
    plain = Store(url)
    fill(plain)
    plain.close()
    context = multiprocessing.get_context("spawn")
    start, results = context.Barrier(2), context.Queue()
    running = [context.Process(target=migrated, args=(url, tmp_path, start, results)) for _ in range(2)]
    for process in running:
        process.start()
    assert sorted(results.get(timeout=60) for _ in running) == [0, 2]
    for process in running:
        process.join()
    with opened(url, tmp_path).store.read() as tx:
        assert split.set_salt(tx) == SALT


def test_a_delivery_has_the_secret_and_a_list_has_not(url: str, tmp_path: Path) -> None:
    """The secret is opened for signing only."""
    home = opened(url, tmp_path)
    fill(home.store)
    with home.store.exclusive() as tx:
        hooks.outbox.record(tx, Kind.TEST, {"what": "a test"}, NOW)
        taken = hooks.take(tx, NOW, lambda _: NOW)
        assert taken is not None
        assert taken.hook.secret == SECRET
        assert [hook.secret for hook in hooks.live(tx)] == [""]


@pytest.mark.parametrize("how", ["missing", "another"])
def test_a_machine_without_the_key_is_told_what_to_do(url: str, tmp_path: Path, how: str) -> None:
    """It reads no secret and seals none, whether it has no key file or another installation's."""
    fill(opened(url, tmp_path).store)
    stranger = homes.opened(Settings(home=tmp_path / "elsewhere", database_url=url), create=True)
    if how == "another":
        homes.KeyFile(stranger.settings.sealing_key_file).create()
    with pytest.raises(BadKey, match="copy the file from the machine"), stranger.store.read() as tx:
        split.set_salt(tx)
    with pytest.raises(BadKey, match="copy the file from the machine"), stranger.store.exclusive() as tx:
        hooks.add(tx, "https://example.org", SECRET, [Kind.TEST], "ops", NOW)
    with pytest.raises(BadKey, match="copy the file from the machine"):
        homes.require_secrets(stranger)
    assert stranger.settings.sealing_key_file.exists() == (how == "another")


def test_a_sealed_value_opens_only_in_its_place(url: str, tmp_path: Path) -> None:
    """One webhook's secret that was copied to another row does not open there."""
    home = opened(url, tmp_path)
    fill(home.store)
    with home.store.exclusive() as tx:
        hooks.add(tx, "https://example.com", SECRET, [Kind.TEST], "ops", NOW)
        first, second = tx.get_one(tables.Hook, 1), tx.get_one(tables.Hook, 2)
        second.secret = first.secret
        tx.flush()
        assert [kept.hook for kept, _ in secrets_at_rest.closed(tx)] == [2]


@settings(max_examples=50, deadline=None)
@given(text=st.text(max_size=200), purpose=st.text(max_size=20), bit=st.integers(0))
def test_sealed_and_altered(text: str, purpose: str, bit: int) -> None:
    """What was sealed opens; with one bit of the data changed, another purpose or another key it does not."""
    key = sealing.new_key()
    sealed = sealing.seal_with(key, text, purpose)
    assert sealing.open_with(key, sealed, purpose) == text
    head, _, data = sealed.rpartition(":")
    raw = bytearray(sealing.base64.b64decode(data))
    raw[bit // 8 % len(raw)] ^= 1 << bit % 8
    for other, altered, wanted in (
        (key, f"{head}:{sealing.base64.b64encode(raw).decode()}", purpose),
        (key, sealed, purpose + "!"),
        (sealing.new_key(), sealed, purpose),
    ):
        with pytest.raises(BadKey):
            sealing.open_with(other, altered, wanted)


def test_sealed_secrets_do_not_go_back_to_an_older_revision(url: str, tmp_path: Path) -> None:
    """The code of that time would take the sealed salt for the salt."""
    home = opened(url, tmp_path)
    fill(home.store)
    with pytest.raises(RuntimeError, match="restore a backup from before"):
        schema.migrate(home.store, "0005")
