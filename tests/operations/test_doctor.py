"""``loop doctor`` finds every injected fault, with its fix, and reports nothing for a healthy home."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from pydantic import SecretStr
from sqlalchemy import select, text

from loop import access
from loop.asking import review
from loop.clock import utc_now
from loop.feed import authority
from loop.home.sections import Attest, Serving
from loop.home.settings import Settings
from loop.operations import doctor
from loop.operations.finding import Finding, Severity, worst
from loop.schedule import scheduler
from loop.store import schema, tables, values
from loop.store.asking.values import Arm, Word
from loop.store.nights import runs
from loop.store.service import health, heartbeats
from tests.asking.conftest import ask
from tests.helpers.attesting import APP, Authority
from tests.helpers.paths import ROOT
from tests.operations.conftest import WHY, Site, no_passphrase
from tests.operations.test_verify import artifact, flip

DAY = timedelta(days=1)
BROKEN, WARNING = Severity.BROKEN, Severity.WARNING


def everything(site: Site) -> list[Finding]:
    """All findings."""
    return doctor.examine(doctor.opened(site.home.settings), site.now)


def examined(site: Site) -> list[Finding]:
    """Warnings and broken findings."""
    return [each for each in everything(site) if each.severity >= WARNING]


def resettled(site: Site, **changes: object) -> None:
    """Change settings."""
    site.home = replace(site.home, settings=site.home.settings.model_copy(update=changes))


def beat(site: Site, holder: str, age: timedelta) -> None:
    """Write a scheduler's heartbeat."""
    with site.home.store.write() as tx:
        heartbeats.beat(tx, holder, scheduler.PROCESS_NAME, site.now - age)


@pytest.mark.slow
def test_a_healthy_home(site: Site) -> None:
    """A healthy home has no warning, with or without a scheduler, and the checks change nothing on disk."""
    beat(site, runs.me(), timedelta(seconds=10))
    before = sorted(site.home.settings.home.rglob("*"))
    findings = doctor.examine(doctor.opened(site.home.settings), site.now)
    assert worst(findings) < WARNING, findings
    looked = {*doctor.FIRST, *doctor.ROWLESS, *doctor.QUICK, *doctor.THOROUGH, *doctor.SLOW}
    assert {each.check for each in findings if each.severity is Severity.OK} >= looked - {"keys", "sqlite"}  # notes
    assert sorted(site.home.settings.home.rglob("*")) == before


def no_database(site: Site) -> None:
    """The database is another file, or a server that does not exist."""
    url = "sqlite:////nowhere/loop.db" if site.home.store.is_sqlite else "postgresql+psycopg://x@127.0.0.1:1/x"
    resettled(site, database_url=SecretStr(url))


def older_schema(site: Site) -> None:
    """The database was not migrated. What is sealed has no way back to that revision."""
    with site.home.store.write() as tx:
        tx.execute(text("DELETE FROM facts"))
        tx.execute(text("UPDATE hooks SET secret = ''"))
    schema.migrate(site.home.store, "0003")


def rotten_champion(site: Site) -> None:
    """One bit of the champion's model changed."""
    flip(artifact(site.home, 2))


def missing_weights(site: Site) -> None:
    """A file of an older version is missing."""
    artifact(site.home, 1, ".npz").unlink()


def file_for_folder(site: Site) -> None:
    """A file is in place of the folder for logs."""
    (site.home.settings.home / "logs").write_text("")


def no_feed_key(site: Site) -> None:
    """The feed key is missing."""
    for path in authority.folder(site.home).glob("feed-*"):
        path.unlink()


def open_feed_key(site: Site) -> None:
    """Others may read the feed key."""
    for path in authority.folder(site.home).glob("feed-*"):
        path.chmod(0o644)


def locked_feed_key(site: Site) -> None:
    """The feed key needs a passphrase that is not set."""
    authority.rotate(
        site.home,
        authority.RotationOptions(),
        [authority.folder(site.home)],
        no_passphrase,
        "a passphrase",
        WHY,
        site.now,
    )
    resettled(site, key_passphrase=None)


def ageing_feed_key(site: Site) -> None:
    """The feed key expires soon."""
    folders = [authority.folder(site.home)]
    authority.rotate(site.home, authority.RotationOptions(days=10), folders, no_passphrase, None, WHY, site.now)


def feed_expired(site: Site) -> None:
    """The feed was not renewed."""
    site.now += 8 * DAY


def feed_behind(site: Site) -> None:
    """The champion moved, but the feed was not published."""
    site.register()


def feed_missing(site: Site) -> None:
    """The published folder is empty."""
    (site.home.settings.published / "feed.json").unlink()


def clock_behind(site: Site) -> None:
    """The machine has the wrong time."""
    site.now -= timedelta(hours=3)


def corpus_missing(site: Site) -> None:
    """The base corpus is not in the folder of the settings."""
    resettled(site, corpus="mnist", mnist=Path("/nowhere/mnist"))


def corpus_rotten(site: Site) -> None:
    """The base corpus has other bytes."""
    path = site.home.settings.home / "mnist.npz"
    path.write_bytes(b"not it")
    resettled(site, corpus="mnist", mnist=path)


def scheduler_silent(site: Site) -> None:
    """A scheduler on another machine had its last heartbeat an hour ago."""
    beat(site, "elsewhere:boot:1", timedelta(hours=1))


def scheduler_killed(site: Site) -> None:
    """A scheduler on this machine had a heartbeat ten seconds ago, but its process is dead."""
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    beat(site, f"{runs.me().rpartition(':')[0]}:{dead.pid}", timedelta(seconds=10))


def arrivals_wait(site: Site) -> None:
    """Uploads have waited for hours to be scored."""
    with site.home.store.write() as tx:
        if tx.get(tables.Arrival, 1) is None:
            tx.add(tables.Arrival(correction_id=1))
    site.now += timedelta(hours=3)


def deliveries_wait(site: Site) -> None:
    """Events were not delivered to a webhook."""
    with site.home.store.write() as tx:
        tx.execute(text("UPDATE deliveries SET status = 'waiting'"))
    site.now += timedelta(hours=3)


def run_abandoned(site: Site) -> None:
    """The machine of a night is down."""
    with site.home.store.exclusive() as tx:
        runs.claim(tx, "cnn", "night", "elsewhere:boot:1", 1, site.now - timedelta(minutes=5))


def nights_failing(site: Site) -> None:
    """Three nights in a row failed."""
    for _ in range(3):
        with site.home.store.exclusive() as tx:
            run = runs.claim(tx, "cnn", "night", runs.me(), 60, site.now)
            runs.finish(tx, run.id, values.RunStatus.FAILED, "no space", {}, site.now)


def key_expired(site: Site) -> None:
    """An app's key has expired."""
    ends = site.now + DAY
    access.create(site.home, "an app", access.Role.APP, expires=ends, actor="ops", now=site.now)
    site.now += 2 * DAY


def attestation_root_expired(site: Site) -> None:
    """The root certificate of attestations is no longer valid."""
    resettled(site, attest=Attest(mode="prefer", app_ids=APP))
    site.home.settings.attest_root_file.write_bytes(Authority(now=site.now - 5000 * DAY).pem)


def questions_stuck(site: Site) -> None:
    """The only reviewer skipped a question."""
    upload, question = tables.Correction, tables.Question
    with site.home.store.read() as tx:
        unasked = ~select(question.id).where(question.correction_id == upload.id).exists()
        number = tx.scalars(select(upload.id).where(upload.status == values.Status.ACCEPTED, unasked)).first()
    assert number is not None
    ask(site.home.store, [number], 2, Arm.DISPUTED)
    for each in review.hand_out(site.home.store, "ada", 100, site.now, 300):
        review.answer(site.home.store, "ada", each.id, Word(), site.now)


def public_without_keys(site: Site) -> None:
    """The address is public, and no API key exists."""
    [key] = access.every(site.home)
    access.revoke(site.home, key.id, site.now)
    resettled(site, serve=Serving(host="0.0.0.0"))  # noqa: S104 (that is the fault)


Fault = tuple[Callable[[Site], None], str, Severity, str]
IN_ROWS: dict[str, Fault] = {
    "no database": (no_database, "database", BROKEN, "loop"),
    "older schema": (older_schema, "schema", BROKEN, "loop migrate"),
    "missing weights": (missing_weights, "artifacts", BROKEN, "restore"),
    "clock behind": (clock_behind, "clock", BROKEN, "timedatectl"),
    "scheduler silent": (scheduler_silent, "scheduler", BROKEN, "loop up"),
    "scheduler killed": (scheduler_killed, "scheduler", BROKEN, "loop up"),
    "arrivals wait": (arrivals_wait, "arrivals", WARNING, "loop up"),
    "deliveries wait": (deliveries_wait, "deliveries", WARNING, "loop up"),
    "run abandoned": (run_abandoned, "runs", WARNING, "loop gc"),
    "nights failing": (nights_failing, "nights", BROKEN, "loop logs"),
    "questions stuck": (questions_stuck, "questions", WARNING, "loop keys create NAME --role reviewer"),
    "key expired": (key_expired, "API keys", WARNING, "loop keys create"),
}
"""Faults in the rows, tested on each database."""
IN_FILES: dict[str, Fault] = {
    "rotten champion": (rotten_champion, "artifacts", BROKEN, "restore"),
    "a file for a folder": (file_for_folder, "folders", BROKEN, "move"),
    "no feed key": (no_feed_key, "keys", BROKEN, "rotate"),
    "open feed key": (open_feed_key, "keys", BROKEN, "chmod 600"),
    "locked feed key": (locked_feed_key, "keys", WARNING, "LOOP_KEY_PASSPHRASE"),
    "ageing feed key": (ageing_feed_key, "keys", WARNING, "rotate"),
    "feed expired": (feed_expired, "feed", BROKEN, "loop feed publish"),
    "feed behind": (feed_behind, "feed", WARNING, "loop feed publish"),
    "feed missing": (feed_missing, "feed", WARNING, "loop feed publish"),
    "corpus missing": (corpus_missing, "corpus", BROKEN, "LOOP_MNIST"),
    "corpus rotten": (corpus_rotten, "corpus", BROKEN, "LOOP_MNIST"),
    "attestation root expired": (attestation_root_expired, "attestation", BROKEN, "Apple's current root"),
    "public without keys": (public_without_keys, "API keys", BROKEN, "loop keys create"),
}
"""Faults of files, keys and settings."""


@pytest.mark.slow
@pytest.mark.parametrize("fault", IN_ROWS)
def test_a_fault_in_the_rows_is_found(site: Site, fault: str) -> None:
    """A fault in the rows is found by its check, with its severity, expected and actual state, and fix."""
    found_by_its_check(site, IN_ROWS[fault])


@pytest.mark.slow
@pytest.mark.parametrize("fault", IN_FILES)
def test_a_fault_in_the_files_is_found(small: Site, fault: str) -> None:
    """A fault in files, keys or settings is found by its check, with its severity and fix."""
    found_by_its_check(small, IN_FILES[fault])


def found_by_its_check(site: Site, fault: Fault) -> None:
    """Inject the fault, and check the findings."""
    inject, check, severity, fix = fault
    inject(site)
    findings = everything(site)
    mine = [each for each in findings if each.check == check and each.severity is not Severity.NOTE]
    assert {each.severity for each in mine} == {severity}, findings
    assert mine[0].expected
    assert mine[0].actual
    assert fix in mine[0].fix or fix in mine[0].actual, mine


@contextmanager
def mounted(folder: Path, options: str) -> Iterator[None]:
    """Mount a small file system; skips the test if this machine does not allow it."""
    folder.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], capture_output=True, check=False)  # noqa: S607 (the system's)
    if done.returncode:
        pytest.skip("this machine does not allow a mount")
    try:
        yield
    finally:
        subprocess.run(["umount", folder], check=True)  # noqa: S607 (the system's)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "check", "expected"),
    [
        ("size=50m", "disk", "GiB free"),
        ("size=2g,nr_inodes=500", "disk", "free inodes"),
        ("ro,size=2g", "folders", "writable"),
    ],
    ids=["bytes", "inodes", "read-only"],
)
def test_a_disk_that_is_full_or_read_only(small: Site, options: str, check: str, expected: str) -> None:
    """A file system without free bytes, without free inodes or without write access is found."""
    folder = small.home.settings.home / "published"
    with mounted(folder, options):
        resettled(small, feed_folder=folder)
        mine = [each for each in examined(small) if each.check == check]
        assert [(each.severity, expected in each.expected) for each in mine] == [(BROKEN, True)], mine


LOOK = """
import os, sys
from pathlib import Path
from loop.operations import doctor
from loop.home.settings import Settings
home = doctor.opened(Settings(home=Path(sys.argv[1])))
os.setuid(int(sys.argv[2]))
for found in doctor.machine.folders(doctor.Installation(home, None)):
    print(found.check, found.severity.name, found.fix)
"""


@pytest.mark.slow
def test_another_user(small: Site) -> None:
    """Another user gets a finding that the folders are not writable."""
    if os.geteuid() != 0:
        pytest.skip("only root may change the user")
    command = [sys.executable, "-c", LOOK, str(small.home.settings.home)]
    for user, expected in (("0", ""), ("65534", "folders BROKEN run this as the user of the loop")):
        done = subprocess.run([*command, user], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True)
        assert done.stdout.startswith(expected), done.stdout
        assert bool(done.stdout) == bool(expected)


def test_a_damaged_sqlite_file(small: Site) -> None:
    """Overwritten pages of the database file are found, even if queries still work."""
    path = Path(small.home.store.url.database or "")
    small.home.store.compact()
    small.home.store.close()
    data = bytearray(path.read_bytes())
    for page in range(6, len(data) // 4096, 5):
        data[page * 4096 : page * 4096 + 64] = os.urandom(64)
    path.write_bytes(data)
    assert worst(examined(small)) is BROKEN


def test_checks_create_no_file(tmp_path: Path) -> None:
    """Checking a folder without a home creates none."""
    findings = doctor.examine(doctor.opened(Settings(home=tmp_path / "no", corpus="digits")), utc_now())
    assert worst(findings) is BROKEN
    assert not (tmp_path / "no").exists()
    assert any(each.check == "not looked at" for each in findings)


def test_a_database_server_with_another_clock(site: Site) -> None:
    """A difference to PostgreSQL's clock is found; SQLite has no clock."""
    with site.home.store.read() as tx:
        server = health.server_clock(tx)
    assert (server is None) == site.home.store.is_sqlite
    site.now += timedelta(minutes=10)
    mine = [each for each in examined(site) if each.check == "clock"]
    assert [each.severity for each in mine] == ([] if site.home.store.is_sqlite else [BROKEN])
