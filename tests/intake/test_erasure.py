"""Erasing a source: no row and no file keeps it, no night publishes what it taught, no backup brings it back."""

import hashlib
import re
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import MetaData, delete, func, insert, select

from loop import home as homes
from loop import intake, registry
from loop.clock import utc_now
from loop.data.digits import digit
from loop.errors import LessonErased
from loop.home import Home
from loop.home.artifacts import Artifacts
from loop.home.settings import Settings
from loop.intake import Upload, erasure
from loop.intake.deciding import ERASURE_GRACE
from loop.intake.live_accuracy import score_waiting
from loop.night import choosing, publishing, retrain
from loop.night.lease import HeldRun
from loop.store import Store, tables
from loop.store.feedback import erasures, split
from loop.store.nights import snapshots, versions
from loop.store.service import key_values
from loop.store.values import Attribution, Role, RunStatus, Version
from tests.cli.test_cli import Shell
from tests.conftest import NOW
from tests.helpers import stores
from tests.night.test_retrain import champion, home, settings, write  # noqa: F401 (a fixture)

VICTIM = "person-1"


LONG_AGO = NOW - ERASURE_GRACE - timedelta(days=1)


def tainted(of: Home) -> list[int]:
    """The versions that were taught with uploads that were erased later."""
    with of.store.read() as tx:
        return erasures.tainted(tx)


def send(store: Store, source: str, seed: int, count: int = 15) -> list[bytes]:
    """Upload random pictures of one source, each under its own key; their rows."""
    pictures = [digit(each) for each in np.random.default_rng(seed).integers(1, 255, (count, 28, 28), np.uint8)]
    sent = [
        Upload(source, picture, row % 10, key=f"key of {source} {seed} {row}", predicted=(row + 1) % 10)
        for row, picture in enumerate(pictures)
    ]
    answers = intake.accept_many(store, sent, 0.2, NOW)
    assert all(isinstance(answer, intake.Receipt) for answer in answers), answers
    return [picture.pixels.tobytes() for picture in pictures]


def marks(source: str, pictures: list[bytes]) -> list[bytes]:
    """Byte strings that would reveal a source in a file: parts of its pictures, their digests, its keys, its name."""
    pieces = [picture[at : at + 24] for picture in pictures for at in range(0, 760, 24)]
    digests = [hashlib.sha256(picture).hexdigest().encode() for picture in pictures]
    return [*pieces, *digests, f"key of {source}".encode(), source.encode()]


def found_in(folder: Path, sought: list[bytes]) -> int:
    """How many of these byte strings occur in a file below a folder."""
    files = [path.read_bytes() for path in folder.rglob("*") if path.is_file()]
    return sum(any(mark in data for data in files) for mark in sought)


def rows(store: Store) -> str:
    """Every value of every table, as text."""
    known = MetaData()
    with store.engine.connect() as connection:
        known.reflect(connection)
        return str([list(connection.execute(table.select())) for table in known.sorted_tables])


def count(store: Store, table: type[tables.Base]) -> int:
    """How many rows."""
    with store.read() as tx:
        return tx.scalar(select(func.count()).select_from(table)) or 0


@pytest.fixture
def plain(store: Store, tmp_path: Path) -> Home:
    """A home on each database in turn, without versions."""
    return Home(Settings(home=tmp_path), store, Artifacts(tmp_path / "artifacts"))


@pytest.mark.slow
def test_nothing_is_left_in_any_row(home: Home) -> None:  # noqa: F811 (the fixture)
    """Its uploads, replays, scores and snapshot items are deleted; the rows of other sources do not change."""
    write(home)
    again = Upload(VICTIM, digit(np.eye(28, dtype=np.uint8) * 255), 3, key="one", predicted=4)
    intake.accept_many(home.store, [again, replace(again, key="two")], 0.4, NOW)
    while score_waiting(home, NOW):
        pass
    assert retrain.run(home).version is not None
    before = {name: count(home.store, getattr(tables, name)) for name in ("Correction", "Arrival", "Source")}
    gone = erasure.erase(home, VICTIM, "ops", NOW)
    assert gone.uploads == 41
    after = {name: count(home.store, getattr(tables, name)) for name in before}
    assert {name: before[name] - after[name] for name in before} == {"Correction": 41, "Arrival": 41, "Source": 1}
    assert count(home.store, tables.Replay) == 0
    assert VICTIM not in rows(home.store)
    assert "person-2" in rows(home.store)
    with home.store.read() as tx:
        (kept,) = tx.scalars(select(tables.Erasure))
        assert (kept.uploads, kept.actor, kept.erased_at) == (41, "ops", NOW)


@pytest.mark.slow
def test_what_had_learned_from_it_is_said(home: Home) -> None:  # noqa: F811 (the fixture)
    """Each version with a snapshot that lost uploads is tainted, then and later; the base never is."""
    write(home)
    with home.store.read() as tx:
        teachers = list(tx.scalars(select(tables.Source.name).where(tables.Source.role == "train")))
        judges = list(tx.scalars(select(tables.Source.name).where(tables.Source.role == "holdout")))
    assert retrain.run(home).version is not None
    assert erasure.erase(home, judges[0], "ops", NOW).taught == ()
    assert tainted(home) == []
    assert erasure.erase(home, teachers[0], "ops", NOW).taught == (2,)
    assert erasure.erase(home, teachers[1], "ops", NOW).taught == (2,)
    assert tainted(home) == [2]
    with home.store.read() as tx:
        found = versions.get(tx, 2)
        assert found.snapshot_id is not None
        assert snapshots.erased(tx, found.snapshot_id) == 80


@pytest.mark.slow
def test_the_next_night_has_not_learned_from_it(home: Home, tmp_path: Path) -> None:  # noqa: F811 (the fixture)
    """The next night is not skipped, and gives the same weights as a store that never contained the source."""
    last = next(who for who in range(7, 0, -1) if split.role_of(f"person-{who}", "salt", 0.4) is Role.TRAIN)
    write(home, people=last + 1)
    assert retrain.run(home).version is not None
    assert erasure.erase(home, f"person-{last}", "ops", NOW).uploads == 40
    done = retrain.run(home)
    assert done.version is not None, done.reason
    assert tainted(home) == [2]
    innocent = homes.at(settings(f"sqlite:///{tmp_path / 'innocent.db'}", tmp_path / "innocent"), migrated=False)
    stores.migrate(innocent.store)
    with innocent.store.write() as tx:
        split.set_salt(tx, "salt")
    retrain.create_base(innocent)
    write(innocent, people=last)
    never = retrain.run(innocent)
    innocent.store.close()
    assert never.version is not None
    assert done.version.weights_digest == never.version.weights_digest
    assert done.version.snapshot_digest == never.version.snapshot_digest


def test_erasing_twice_and_what_never_was(plain: Home) -> None:
    """A second erasure answers 0 uploads; a name has one tombstone then, and one that no source can have has none."""
    send(plain.store, "somebody", 1)
    assert erasure.erase(plain, "somebody", "a phone", NOW).uploads == 15
    for name in ("somebody", "nobody", "nobody", "", "x" * 10_000, "a\0b", "'; DROP TABLE sources --"):
        assert erasure.erase(plain, name, "a phone", NOW) == erasure.Erased(0, (), (), True)
    assert count(plain.store, tables.Erasure) == 3
    assert count(plain.store, tables.Source) == 0


def test_whoever_comes_back_is_new(plain: Home) -> None:
    """Long after an erasure the phone may send the same pictures again; its side of the split is as before."""
    send(plain.store, "somebody", 1)
    with plain.store.read() as tx:
        before = tx.scalar(select(tables.Source.role).where(tables.Source.name == "somebody"))
    erasure.erase(plain, "somebody", "a phone", LONG_AGO)
    send(plain.store, "somebody", 1)
    with plain.store.read() as tx:
        assert tx.scalar(select(tables.Source.role).where(tables.Source.name == "somebody")) == before
    assert erasure.erase(plain, "somebody", "a phone", NOW).uploads == 15


def test_a_long_actor_does_not_stop_an_erasure(plain: Home) -> None:
    """The actor is cut to the length of the column."""
    send(plain.store, "somebody", 1)
    assert erasure.erase(plain, "somebody", "key " + "x" * 100, NOW).uploads == 15


@pytest.mark.slow
def test_erasing_while_phones_send_and_the_champion_speaks(plain: Home) -> None:
    """Six threads at the same three sources for two seconds: nobody fails or waits for ever, and a last erasure of each
    leaves nothing.
    """
    until, failed, names = time.monotonic() + 2, [], [f"somebody {number}" for number in range(3)]

    def work(one: Callable[[int], object]) -> None:
        turn = 0
        while time.monotonic() < until and not failed:
            try:
                one(turn)
            except Exception as error:  # noqa: BLE001 (told below)
                failed.append(error)
            turn += 1

    jobs: list[Callable[[int], object]] = [
        lambda turn: send(plain.store, names[turn % 3], turn, 20),
        lambda turn: send(plain.store, names[-turn % 3], 10_000 + turn, 20),
        lambda turn: erasure.erase(plain, names[turn % 3], "a phone", LONG_AGO),
        lambda turn: erasure.erase(plain, names[-turn % 3], "another", LONG_AGO),
        *[lambda turn: score_waiting(plain, NOW, 50)] * 2,
    ]
    threads = [threading.Thread(target=work, args=(job,)) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert not any(thread.is_alive() for thread in threads)
    assert failed == []
    for name in names:
        erasure.erase(plain, name, "ops", NOW)
    assert [count(plain.store, table) for table in (tables.Source, tables.Correction, tables.Arrival)] == [0, 0, 0]


@pytest.fixture
def sqlite(tmp_path: Path) -> Iterator[Home]:
    """A home on SQLite with a folder of its own."""
    store = Store(f"sqlite:///{tmp_path / 'database' / 'loop.db'}")
    stores.migrate(store)
    yield Home(None, store, None)  # type: ignore[arg-type]  # erasing needs the store only
    store.close()


@pytest.mark.slow
def test_nothing_is_left_in_the_files(sqlite: Home, tmp_path: Path) -> None:
    """Of three among two dozen, whose uploads came in turns: no piece of a picture, no digest, no key, no name, in the
    database or its log. Before, all of it was there; and the others' still is.
    """
    people = [f"somebody-{number}-with-a-long-name" for number in range(24)]
    pictures: dict[str, list[bytes]] = {name: [] for name in people}
    for turn in range(5):
        for name in people:
            pictures[name] += send(sqlite.store, name, hash((turn, people.index(name))) % 2**32, 3)
    folder = tmp_path / "database"
    victims, witness = people[3::8], people[0]
    for name in victims:
        assert found_in(folder, marks(name, pictures[name])) == len(marks(name, pictures[name]))
    for name in victims:
        assert erasure.erase(sqlite, name, "ops", NOW) == erasure.Erased(15, (), (), True)
    for name in victims:
        assert found_in(folder, marks(name, pictures[name])) == 0
    assert found_in(folder, marks(witness, pictures[witness])) == len(marks(witness, pictures[witness]))


@pytest.mark.parametrize("protection", ["secure_delete", "compact"])
def test_without_either_protection_something_is_left(
    sqlite: Home, tmp_path: Path, protection: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control: a plain DELETE leaves the bytes in the file's free pages or in the log."""
    others = send(sqlite.store, "a witness", 1)
    pictures = send(sqlite.store, "somebody", 2)
    assert others != pictures
    sqlite.store.compact()
    if protection == "secure_delete":
        raw = sqlite.store.engine.raw_connection()
        raw.cursor().execute("PRAGMA secure_delete = OFF")
        raw.close()
    else:
        monkeypatch.setattr(Store, "compact", lambda self: True)
    erasure.erase(sqlite, "somebody", "ops", NOW)
    assert found_in(tmp_path / "database", marks("somebody", pictures)) > 0


def test_a_long_reader_delays_the_scrubbing_and_nothing_else(sqlite: Home, tmp_path: Path) -> None:
    """While a backup reads, the rows go at once and the answer says that the log is not empty yet; the next scrub,
    also after a kill, empties it.
    """
    pictures = send(sqlite.store, "somebody", 1)
    with sqlite.store.read() as reader:
        assert reader.scalar(select(func.count()).select_from(tables.Correction)) == 15
        assert erasure.erase(sqlite, "somebody", "ops", NOW) == erasure.Erased(15, (), (), False)
        assert not erasure.scrub(sqlite)
        send(sqlite.store, "another", 2)  # the writer is not held up
    assert found_in(tmp_path / "database", marks("somebody", pictures)) > 0
    assert erasure.scrub(sqlite)
    assert found_in(tmp_path / "database", marks("somebody", pictures)) == 0
    with sqlite.store.read() as tx:
        assert key_values.get(tx, erasures.UNSCRUBBED_KEY) is None


@pytest.mark.slow
def test_a_night_that_teaches_it_is_not_published(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    """Erased after the snapshot, before the publication: the same night begins again, without the source."""
    write(home)
    with home.store.read() as tx:
        teacher = tx.scalars(select(tables.Source.name).where(tables.Source.role == "train")).first()
    assert teacher is not None
    publish, refused = publishing.publish, []

    def erased_before(held: HeldRun, *rest: object) -> Version:
        erasure.erase(home, teacher, "a phone", utc_now())
        try:
            return publish(held, *rest)  # type: ignore[arg-type]
        except LessonErased as error:
            refused.append(str(error))
            raise

    with monkeypatch.context() as patch:
        patch.setattr(publishing, "publish", erased_before)
        done = retrain.run(home)
    (reason,) = refused
    assert re.match(r"40 of the \d+ uploads that this night taught were erased", reason)
    assert done.version is not None
    with home.store.read() as tx:
        assert [found.number for found in versions.every(tx)] == [2, 1]  # the reserved number, once
    assert tainted(home) == []


@pytest.mark.slow
def test_erased_between_the_choice_and_the_snapshot(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    """An upload that is erased between the read and the write of a snapshot is left out of it."""
    write(home)
    with home.store.read() as tx:
        teacher = tx.scalars(select(tables.Source.name).where(tables.Source.role == "train")).first()
    assert teacher is not None
    choose, chosen = choosing.choose, []

    def and_erase(*asked: object) -> choosing.Chosen:
        found = choose(*asked)  # type: ignore[arg-type]
        chosen.append(len(found.pool))
        if len(chosen) == 1:
            erasure.erase(home, teacher, "a phone", utc_now())
        return found

    monkeypatch.setattr(choosing, "choose", and_erase)
    done = retrain.run(home)
    assert done.version is not None
    with home.store.read() as tx:
        size = tx.scalar(select(tables.Snapshot.size).where(tables.Snapshot.id == done.version.snapshot_id))
    assert (len(chosen), size) == (1, chosen[0] - 40)
    assert tainted(home) == []


@pytest.mark.slow
def test_a_lesson_that_comes_again_is_whole_again(home: Home) -> None:  # noqa: F811 (the fixture)
    """Erased and sent again: the same digest names the same snapshot, with the new uploads in it; nothing is tainted,
    and no second version is made of the same lesson.
    """
    write(home)
    first = retrain.run(home).version
    assert first is not None
    with home.store.read() as tx:
        teacher = tx.scalars(select(tables.Source.name).where(tables.Source.role == "train")).first()
    assert teacher is not None
    erasure.erase(home, teacher, "a phone", LONG_AGO)
    assert tainted(home) == [first.number]
    write(home)  # the others' uploads are known already
    again = retrain.run(home)
    assert (again.status, again.version) == (RunStatus.SKIPPED, None)
    assert f"version {first.number}" in str(again.reason)
    assert tainted(home) == []
    with home.store.read() as tx:
        items = tx.scalars(select(tables.SnapshotItem.correction_id)).all()
        size = tx.scalar(select(tables.Snapshot.size).where(tables.Snapshot.id == first.snapshot_id))
        assert len(items) == size
        assert set(items) <= set(tx.scalars(select(tables.Correction.id)))


def test_a_restored_backup_does_not_bring_it_back(plain: Home) -> None:
    """Rows of before the erasure go again; whoever came anew after it stays, as does everybody else."""
    send(plain.store, "gone for good", 1)
    send(plain.store, "came back", 2)
    send(plain.store, "never left", 3)
    with plain.store.read() as tx:
        backup = [dict(row) for row in tx.execute(select(tables.Base.metadata.tables["sources"])).mappings()]
        uploads = [dict(row) for row in tx.execute(select(tables.Base.metadata.tables["corrections"])).mappings()]
    erasure.erase(plain, "gone for good", "ops", NOW + timedelta(days=1))
    erasure.erase(plain, "came back", "ops", NOW - timedelta(days=1))  # its row says that it came after this
    with plain.store.exclusive() as tx:
        for table in (tables.Arrival, tables.Correction, tables.Source):
            tx.execute(delete(table))
        tx.execute(insert(tables.Base.metadata.tables["sources"]), backup)
        tx.execute(insert(tables.Base.metadata.tables["corrections"]), uploads)
        assert erasures.reapply(tx) == 15
        assert erasures.reapply(tx) == 0
        assert sorted(tx.scalars(select(tables.Source.name))) == ["came back", "never left"]
    assert count(plain.store, tables.Correction) == 30


def test_the_name_cannot_be_tried_without_the_salt(plain: Home) -> None:
    """The stored hash is neither a plain hash of the name nor the hash that decides the split."""
    send(plain.store, "somebody", 1)
    erasure.erase(plain, "somebody", "ops", NOW)
    with plain.store.write() as tx:
        kept, salt = tx.scalar(select(tables.Erasure.name_digest)), split.set_salt(tx)
    assert kept not in {hashlib.sha256(text.encode()).hexdigest() for text in ("somebody", f"{salt}\0somebody")}
    assert salt not in str(kept)


@pytest.mark.slow
def test_erasing_on_the_command_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """The command asks first unless --yes is given, prints the number of uploads, and may be repeated."""
    loop = Shell(monkeypatch, capsys, tmp_path, None)
    loop("migrate")
    store = Store(f"sqlite:///{tmp_path / 'home' / 'loop.db'}")
    send(store, "somebody", 1)
    monkeypatch.setattr("sys.stdin", (tmp_path / "answer").open("w+"))
    loop("erase", "somebody", status=1)
    assert count(store, tables.Correction) == 15
    assert "erased 15 uploads" in loop("erase", "somebody", "--yes")
    assert loop.json("erase", "somebody", "--yes") == {"uploads": 0, "taught": [], "considered": [], "scrubbed": True}
    assert count(store, tables.Correction) == 0
    store.close()


@pytest.mark.slow
def test_a_registry_that_knows_nothing_of_it(home: Home) -> None:  # noqa: F811 (the fixture)
    """Operators may still roll back from and to a version that was taught with erased uploads."""
    write(home)
    assert retrain.run(home).version is not None
    with home.store.read() as tx:
        teacher = tx.scalars(select(tables.Source.name).where(tables.Source.role == "train")).first()
    assert teacher is not None
    erasure.erase(home, teacher, "ops", NOW)
    order = Attribution("ops", "it learned from what was erased")
    assert registry.rollback(home, "cnn", None, order, NOW + timedelta(days=400)).after == 1
