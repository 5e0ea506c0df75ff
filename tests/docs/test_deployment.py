"""The SQL and pg_hba.conf of docs/deployment.md work on a new server, and its units in a sandbox like theirs."""

import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import psycopg
import pytest

import models
from loop import access, registry, webhooks
from loop import home as homes
from loop.access import Role
from loop.clock import utc_now
from loop.feed import authority, upkeep
from loop.home import Home
from loop.intake import erasure
from loop.night import retrain
from loop.operations import doctor, verify
from loop.operations.finding import Severity
from loop.schedule import slots
from loop.store import Store, schema
from loop.store.feedback import split
from loop.store.service import health
from loop.store.values import Attribution, RunStatus
from loop.webhooks import hooks
from tests.api.conftest import picture
from tests.helpers import linear
from tests.helpers.paths import ROOT
from tests.night.test_retrain import settings, write

PAGE = (ROOT / "docs/deployment.md").read_text(encoding="utf-8")
UNITS = sorted((ROOT / "docs/systemd").glob("*.service"))
WHY = Attribution("ops", "a try")
AS_ROOT = os.geteuid() == 0


def blocks(language: str) -> list[str]:
    """The page's code blocks in a language."""
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


@dataclass(frozen=True, slots=True)
class Cluster:
    """A PostgreSQL server, set up as on the page."""

    port: int
    programs: Path
    folder: Path

    def url(self, role: str, database: str = "loop", password: str | None = None) -> str:
        """The URL of a role."""
        secret = password or {"loop_owner": "change%20me", "loop_app": "change%20me%20too"}.get(role, "none")
        return f"postgresql://{role}:{secret}@127.0.0.1:{self.port}/{database}"

    def psql(self, sql: str, database: str = "postgres") -> None:
        """Run a script as the administrator with ``psql -f``, as on the page."""
        command = [self.programs / "psql", "-h", self.folder, "-p", self.port, "-U", "postgres", "-d", database]
        command += ["-v", "ON_ERROR_STOP=1", "-q", "-f", "-"]
        subprocess.run([*map(str, command)], input=sql, text=True, check=True, capture_output=True)


def free_port() -> int:
    """A free port."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def as_user(name: str) -> list[str]:
    """The prefix that runs a command as another user, if the tests run as root."""
    return ["setpriv", f"--reuid={name}", f"--regid={name}", "--clear-groups"] if AS_ROOT else []


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """A server with the page's ``pg_hba.conf`` lines, then its SQL, then the tables, as their owner."""
    programs_found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not programs_found or (AS_ROOT and shutil.which("setpriv") is None):
        pytest.skip("no PostgreSQL server programs (initdb) here")
    programs, folder = programs_found[-1].parent, Path(tempfile.mkdtemp(prefix="loop-pg-"))
    if AS_ROOT:
        shutil.chown(folder, "postgres")
    data, port, user = folder / "data", free_port(), as_user("postgres")
    subprocess.run(
        [*user, programs_found[-1], "-D", data, "-U", "postgres", "-A", "trust", "--no-sync"],
        check=True,
        capture_output=True,
    )
    rules = data / "pg_hba.conf"
    rules.write_text(blocks("conf")[0] + rules.read_text())
    control = [*user, programs / "pg_ctl", "-D", data, "-w"]
    options = f"-p {port} -k {folder} -c listen_addresses=127.0.0.1"
    subprocess.run([*control, "-l", folder / "log", "-o", options, "start"], check=True, capture_output=True)
    made = Cluster(port, programs, folder)
    try:
        made.psql(blocks("sql")[0])
        store = Store(made.url("loop_owner").replace("postgresql:", "postgresql+psycopg:"))
        schema.migrate(store)
        store.close()
        made.psql(blocks("sql")[1], "loop")
        yield made
    finally:
        subprocess.run([*control, "-m", "immediate", "stop"], check=True, capture_output=True)
        shutil.rmtree(folder)


@pytest.fixture(scope="module")
def state() -> Iterator[Path]:
    """The folder in place of ``/var/lib/digit-loop``: writable by the service's user."""
    folder = Path(tempfile.mkdtemp(prefix="loop-state-"))
    if AS_ROOT:
        shutil.chown(folder, "nobody", "nogroup")
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def home(cluster: Cluster, state: Path, small_corpus: Path) -> Iterator[Home]:
    """A home with a base that connects with the service's role; its CNN family is the linear one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(models, "get", models.get)
        patch.setattr(homes, "corpus", homes.corpus)
        linear.install(small_corpus)
        made = settings(cluster.url("loop_app"), state).model_copy(update={"home": state, "webhooks_private": True})
        opened = homes.at(made)
        with opened.store.write() as tx:
            split.set_salt(tx, "salt")  # a split of eight people depends much on the salt
        retrain.create_base(opened)
        yield opened
        opened.store.close()


@pytest.mark.slow
def test_the_service_s_role_does_all_that_the_service_does(home: Home) -> None:
    """A night, a rollback, the feed, keys, webhooks, an erasure, a pause, doctor and verify work with the role."""
    write(home)
    assert retrain.run(home).status is RunStatus.FINISHED
    authority.create(home, 2, 1, 30, None, WHY, utc_now())
    upkeep.follow(home, WHY, utc_now())
    hooks.add(home, "http://127.0.0.1:9/", [], "ops", utc_now())
    registry.rollback(home, "cnn", None, WHY, utc_now())
    assert webhooks.deliver_due(home) == 0
    upkeep.follow(home, WHY, utc_now())
    secret, _ = access.create(home, "ops", Role.OPS, actor="ops", now=utc_now())
    assert secret.startswith("loop_ops_")
    assert erasure.erase(home, "person-0", "ops", utc_now()).uploads > 0
    slots.pause(home, WHY, utc_now())
    slots.resume(home)
    wrong = [each for each in doctor.examine(home, utc_now()) if each.severity is Severity.BROKEN]
    assert [each.check for each in wrong] == []
    assert verify.verify(home, utc_now()).findings == ()


@pytest.mark.slow
@pytest.mark.parametrize(
    "attack",
    [
        "DROP TABLE corrections",
        "TRUNCATE corrections CASCADE",
        "ALTER TABLE moves DISABLE TRIGGER ALL",
        "DROP TRIGGER moves_append_only ON moves",
        "SET session_replication_role = replica",
        "UPDATE moves SET actor = 'nobody'",
        "DELETE FROM versions",
        "UPDATE alembic_version SET version_num = '0001'",
        "CREATE TABLE mine (id int)",
        "CREATE SCHEMA mine",
        "CREATE TEMPORARY TABLE mine (id int)",
        "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "ALTER ROLE loop_app CONNECTION LIMIT -1",
        "SET ROLE loop_owner",
        "COPY corrections TO PROGRAM 'cat'",
        "SELECT pg_read_file('/etc/passwd')",
    ],
)
@pytest.mark.usefixtures("home")
def test_the_service_s_role_can_do_no_more(cluster: Cluster, attack: str) -> None:
    """The role cannot drop, empty, unlock or rewrite append-only tables, nor create anything."""
    with psycopg.connect(cluster.url("loop_app")) as connection:
        assert connection.execute("SELECT count(*) FROM moves").fetchone() != (0,)
        with pytest.raises((psycopg.errors.InsufficientPrivilege, psycopg.errors.RaiseException)):
            connection.execute(attack.encode())


@pytest.mark.slow
@pytest.mark.usefixtures("home")
def test_the_owner_could(cluster: Cluster) -> None:
    """Control: the owner's role is allowed what the service's role is refused."""
    with psycopg.connect(cluster.url("loop_owner")) as connection:
        connection.execute("ALTER TABLE moves DISABLE TRIGGER USER")
        connection.execute("TRUNCATE deliveries")
        connection.rollback()


@pytest.mark.slow
def test_permitted_connections(cluster: Cluster) -> None:
    """Both roles connect only to their database, and only with their own passwords."""
    for role in ("loop_owner", "loop_app"):
        psycopg.connect(cluster.url(role)).close()
        elsewhere = [cluster.url(role, database) for database in ("postgres", "template1")]
        for refused in (*elsewhere, cluster.url(role, "loop", "guess")):
            with pytest.raises(psycopg.OperationalError, match=r"reject|authentication failed"):
                psycopg.connect(refused)


@pytest.mark.slow
@pytest.mark.parametrize("unit", UNITS, ids=lambda path: path.name)
def test_a_unit_is_valid_and_restricted(unit: Path, tmp_path: Path) -> None:
    """systemd accepts the unit, and its exposure is at most the figure on the page."""
    tool = shutil.which("systemd-analyze")
    if tool is None:
        pytest.skip("no systemd-analyze here")
    tried = tmp_path / unit.name
    tried.write_text(unit.read_text().replace("/opt/digit-loop/.venv/bin/loop", sys.executable))
    done = subprocess.run([tool, "verify", tried], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    rated = subprocess.run([tool, "security", "--offline=true", tried], capture_output=True, text=True, check=True)
    exposure = re.search(r"exposure level for \S+: ([\d.]+)", rated.stdout)
    assert exposure is not None
    assert float(exposure[1]) <= 1.4
    assert exposure[1] in PAGE


def test_units_agree_with_the_page() -> None:
    """The units use the user, folders and environment files of the page, and our commands."""
    for unit in UNITS:
        text = unit.read_text(encoding="utf-8")
        assert "User=digit-loop" in text
        for path in re.findall(r"(?:EnvironmentFile|WorkingDirectory)=-?(\S+)", text):
            assert path in PAGE
        assert re.search(r"^ExecStart=/opt/digit-loop/\.venv/bin/loop (serve|schedule)$", text, re.MULTILINE)


SANDBOX = """
set -e
mount --bind "$STATE" "$STATE"
mount --bind "$PYTHON" /mnt
mount -t tmpfs -o mode=0755 tmpfs /root
mkdir -p "$PYTHON"
mount --bind /mnt "$PYTHON"
mount -o remount,bind,ro /
mount -t tmpfs -o mode=1777 tmpfs /var/tmp
if [ -n "$HIDDEN" ] && [ -d "$HIDDEN" ]; then mount -t tmpfs -o ro,mode=000 tmpfs "$HIDDEN"; fi
umask 0027
exec setpriv --reuid=nobody --regid=nogroup --clear-groups --no-new-privs --bounding-set=-all --inh-caps=-all "$@"
"""
"""The units' restrictions without systemd: a read-only system, no home folders, one writable folder, no privileges.
Only this Python stays visible, in case it is in a home folder.
"""

NO_NEW_CODE = "import ctypes, os, sys; ctypes.CDLL(None).prctl(65, 1, 0, 0, 0); os.execv(sys.argv[1], sys.argv[1:])"
"""MemoryDenyWriteExecute=yes as Linux's own option (6.3 and later; older kernels ignore option 65)."""


@contextmanager
def service(home: Home, unit: str, **environment: str) -> Iterator[subprocess.Popen[str]]:
    """Run a unit's command in a sandbox like the unit's; at the end of the block SIGTERM must end it."""
    if not AS_ROOT or shutil.which("unshare") is None or shutil.which("setpriv") is None:
        pytest.skip("a sandbox like the units' needs root, unshare and setpriv")
    text = (ROOT / "docs/systemd" / unit).read_text(encoding="utf-8")
    start = re.search(r"^ExecStart=\S+ (\S+)$", text, re.MULTILINE)
    hidden = re.search(r"^InaccessiblePaths=-/var/lib/digit-loop/(\S+)$", text, re.MULTILINE)
    stop = re.search(r"^TimeoutStopSec=(\d+)$", text, re.MULTILINE)
    assert start is not None
    assert stop is not None
    command = [sys.executable, "-m", "loop", start[1]]
    if "MemoryDenyWriteExecute=yes" in text:
        command = [sys.executable, "-c", NO_NEW_CODE, *command]
    environ = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(ROOT),
        "PYTHONDONTWRITEBYTECODE": "1",
        "TMPDIR": "/var/tmp",  # noqa: S108 (a tmpfs of the sandbox's own)
        "STATE": str(home.settings.home),
        "PYTHON": sys.base_prefix,
        "HIDDEN": str(home.settings.home / hidden[1]) if hidden else "",
        "LOOP_HOME": str(home.settings.home),
        "LOOP_DATABASE_URL": home.settings.url,
        "LOOP_ACTOR": "service",
    } | environment
    shell = ["unshare", "--mount", "--propagation", "private", "sh", "-c", SANDBOX, "sandbox", *command]
    process = subprocess.Popen(
        shell, cwd=home.settings.home, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        yield process
        process.send_signal(signal.SIGTERM)
        assert process.wait(int(stop[1])) in {0, 128 + signal.SIGTERM}
    finally:
        process.kill()
        process.wait()


def owned(home: Home) -> None:
    """Give files that this test created as root to the service's user."""
    for path in [home.settings.home, *home.settings.home.rglob("*")]:
        shutil.chown(path, "nobody", "nogroup")


@pytest.mark.slow
def test_the_api_s_unit(home: Home) -> None:
    """In its sandbox the API stores an upload, promotes without access to the feed's keys, and stops cleanly."""
    ops, _ = access.create(home, "the ops", Role.OPS, actor="ops", now=utc_now())
    app, _ = access.create(home, "the app", Role.APP, actor="ops", now=utc_now())
    owned(home)
    port = free_port()
    with service(home, "loop-api.service", LOOP_SERVE__PORT=str(port)) as process:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=20) as client:
            until = time.monotonic() + 30
            while True:
                assert process.poll() is None, process.stdout and process.stdout.read()
                assert time.monotonic() < until
                try:
                    assert client.get("/readyz").status_code == 200
                    break
                except httpx.ConnectError:
                    time.sleep(0.1)
            phone = {"Authorization": f"Bearer {app}", "Loop-Source": secrets.token_urlsafe(32)}
            image = {"image": ("digit.png", picture(1), "image/png")}
            assert client.post("/v1/corrections", data={"label": "4"}, files=image, headers=phone).status_code == 201
            wanted = {"version": 2, "reason": "back again", "override": True}
            moved = client.post("/v1/promotions", json=wanted, headers={"Authorization": f"Bearer {ops}"})
            assert moved.status_code == 201, moved.text
            assert moved.json()["sequence"] is None  # the scheduler publishes it
        status = Path(f"/proc/{process.pid}/status").read_text()
        assert re.search(r"^NoNewPrivs:\s+1$", status, re.MULTILINE)
        assert re.search(r"^CapBnd:\s+0+$", status, re.MULTILINE)


@pytest.mark.slow
def test_the_scheduler_s_unit(home: Home) -> None:
    """In its sandbox the scheduler writes heartbeats, publishes the API's promotion, and stops cleanly."""
    owned(home)
    now = utc_now()
    slots.pause(home, WHY, now)  # no night: TensorFlow is slow, and is tested elsewhere
    before = upkeep.published(home)
    assert before is not None
    try:
        with service(home, "loop-schedule.service") as process:
            until = time.monotonic() + 40
            while True:
                assert process.poll() is None, process.stdout and process.stdout.read()
                with home.store.read() as tx:
                    alive = any(beat.what == "scheduler" and beat.beat_at > now for beat in health.beats(tx))
                feed = upkeep.published(home)
                if alive and feed is not None and feed.sequence > before.sequence:
                    break
                assert time.monotonic() < until, f"alive: {alive}"
                time.sleep(0.2)
    finally:
        slots.resume(home)
    assert feed.channels["cnn.mlmodel"].version == 2
