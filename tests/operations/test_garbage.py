"""``loop gc`` removes unused files and expired rows, and never a file that a version names."""

import os
import signal
import threading
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from sqlalchemy import text

from loop import durable, registry
from loop.errors import OpsError
from loop.feed import authority
from loop.home import Home
from loop.night import answers
from loop.operations import files, garbage, verify
from loop.operations.exclusive import exclusive
from loop.operations.finding import Severity, worst
from loop.store import Store, tables, values
from loop.store.nights import runs, versions
from loop.store.service import heartbeats
from tests.feed.client.test_killed import die_at
from tests.operations.conftest import HOUR, WHY, Site
from tests.operations.test_backup import rows, sound

DAY = timedelta(days=1)
NOW = garbage.Options(grace_hours=0)


def orphan(home: Home, what: bytes) -> Path:
    """An artifact that no version names."""
    return home.artifacts.path(home.artifacts.put(what, ".npz"), ".npz")


def age(path: Path, site: Site, hours: float) -> None:
    """Set the age of a file."""
    then = (site.now - timedelta(hours=hours)).timestamp()
    os.utime(path, (then, then))


def stored(home: Home) -> set[Path]:
    """The artifacts in the folder."""
    return {path for _, path in files.stored(home.artifacts)}


def named(home: Home) -> set[Path]:
    """The artifacts that versions name."""
    with home.store.read() as tx:
        return {home.artifacts.path(name.digest, name.suffix) for name in files.named(versions.every(tx))}


def mess(site: Site) -> None:
    """Create every kind of removable file and row, and advance the clock beyond its age."""
    home = site.home
    for n in range(3):
        orphan(home, b"left %d" % n)
    (home.artifacts.root / "aa").mkdir(exist_ok=True)
    (home.artifacts.root / "aa" / ".new-x").write_bytes(b"half")
    for name in ("a" * 64, registry.champion(home, "cnn").artifact_digest):
        durable.write_whole(answers.folder(home) / name, b"answers")
    (home.settings.home / "logs").mkdir()
    (home.settings.home / "logs" / "run-1.log").write_text("text")
    authority.withdraw(home, 1, WHY, site.now)
    with home.store.write() as tx:
        tx.execute(text("UPDATE deliveries SET status = 'delivered'"))
        heartbeats.beat(tx, "dead:x:1", "api", site.now)
        tx.add(tables.Quota(name_digest="d" * 64, day=site.now.date(), used=3))
    site.now += 40 * DAY


def test_what_is_removed(site: Site) -> None:
    """A dry run counts everything removable, the next run removes it, and a third finds nothing."""
    mess(site)
    before = rows(site.home)
    counted = garbage.sweep(site.home, garbage.Options(dry_run=True), site.now)
    assert rows(site.home) == before
    assert len(stored(site.home)) == 12
    swept = garbage.sweep(site.home, garbage.Options(), site.now)
    found = {each.what: (each.count, each.bytes) for each in swept}
    assert found == {
        "unfinished files": (1, 4),
        "artifacts that no version names": (3, 18),
        "published files of withdrawn models": (0, 0),  # version 1 was never published
        "answers of versions that no night compares with": (1, 7),  # not those of the champion
        "logs of old runs": (1, 4),
        "deliveries": (1, None),
        "events": (8, None),  # with the one of the withdrawal, and each version's two
        "replays": (1, None),
        "quotas": (1, None),
        "signs of life": (1, None),
    }
    assert {each.what: each.count for each in counted} | {"events": 8} == {each.what: each.count for each in swept}
    assert stored(site.home) == named(site.home)
    assert all(each.count == 0 for each in garbage.sweep(site.home, garbage.Options(), site.now))


def test_a_key_is_remembered_for_thirty_days(site: Site) -> None:
    """Idempotency keys are kept for thirty days for any options, because the API promises the first answer again."""
    mess(site)
    before = rows(site.home)["replays"]
    garbage.sweep(site.home, garbage.Options(days=1), site.now - 11 * DAY)
    assert rows(site.home)["replays"] == before
    garbage.sweep(site.home, garbage.Options(days=1), site.now)
    assert rows(site.home)["replays"] != before


def test_published_files_of_withdrawn_models(small: Site) -> None:
    """Golden vectors of withdrawn models are removed from the published folder; those of other versions stay."""
    small.register()
    small.publish()
    authority.withdraw(small.home, 2, WHY, small.now)
    small.publish()
    folder = small.home.settings.published
    assert len(list(folder.glob("golden/*"))) == 2
    assert garbage.sweep(small.home, NOW, small.now)[2].count == 1
    assert len(list(folder.glob("golden/*"))) == len(list(folder.glob("models/*"))) == 1
    sound(small.home, small.now)


def test_a_feed_that_cannot_be_read(small: Site) -> None:
    """If the published feed cannot be read, its folder is left alone with a reason; everything else is removed."""
    (small.home.settings.published / "feed.json").write_text("{}")
    age(orphan(small.home, b"old"), small, 100)
    swept = garbage.sweep(small.home, garbage.Options(), small.now)
    assert (swept[1].count, swept[2].count) == (1, 0)
    assert "not a feed" in swept[2].why


def test_waiting_deliveries_stay(site: Site) -> None:
    """A waiting delivery of any age stays, with its event."""
    with site.home.store.write() as tx:
        tx.execute(text("UPDATE deliveries SET status = 'waiting'"))
    garbage.sweep(site.home, garbage.Options(), site.now + 90 * DAY)
    assert rows(site.home)["deliveries"].count(b"\n") == rows(site.home)["events"].count(b"\n") == 1


def test_young_files_stay(small: Site) -> None:
    """Files younger than the grace stay, and unfinished files stay for an hour."""
    path = orphan(small.home, b"young")
    writing = small.home.artifacts.root / ".new-w"
    writing.write_bytes(b"")
    garbage.sweep(small.home, garbage.Options(), small.now + HOUR / 2)
    assert path.exists()
    assert writing.exists()


@pytest.mark.slow
@hypothesis_settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), grace=st.floats(0, 100))
def test_never_what_a_version_names(small: Site, data: st.DataObject, grace: float) -> None:
    """Files that versions name stay at any age; others are removed once older than the grace."""
    home = small.home
    for path in stored(home) - named(home):  # of an example before, perhaps one that was given up
        path.unlink()
    count = data.draw(st.integers(0, 4))
    orphans = [orphan(home, b"unnamed %d" % n) for n in range(count)]
    hours = st.floats(0, 1000).filter(lambda value: abs(value - grace) > 0.01)
    ages = {path: data.draw(hours) for path in sorted(stored(home))}
    for path, old in ages.items():
        age(path, small, old)
    garbage.sweep(home, garbage.Options(grace_hours=grace), small.now)
    assert stored(home) == named(home) | {path for path in orphans if ages[path] < grace}


def test_a_night_between_files_and_row(site: Site) -> None:
    """Files of a running night stay before a row names them, even one that is days old."""
    old = orphan(site.home, b"weights 3")  # of a killed night: the next one makes the same weights
    age(old, site, 100)
    new = site.begin()
    swept = garbage.sweep(site.home, NOW, site.now)
    assert swept[1].count == 0
    assert f"run {new.run_id} is under way" in swept[1].why
    site.publish_version(new)
    site.publish()
    sound(site.home, site.now)


@pytest.mark.slow
def test_age_alone_is_not_enough(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Control: without the check for a running night, a day's grace removes a file that the night will name."""
    age(orphan(site.home, b"weights 3"), site, 100)
    new = site.begin()
    monkeypatch.setattr(garbage, "_running", lambda tx, options, now: None)
    assert garbage.sweep(site.home, garbage.Options(), site.now)[1].count == 1
    site.publish_version(new)
    assert worst(verify.verify(site.home, site.now).findings) is Severity.BROKEN


@pytest.mark.slow
def test_while_nights_publish(site: Site) -> None:
    """With nights and sweeps at once and no grace, every version keeps its files."""
    stop, failed = threading.Event(), []

    def nights() -> None:
        try:
            for _ in range(8):
                new = site.begin()
                stop.wait(0.03)
                site.publish_version(new)
                stop.wait(0.02)
        except Exception as error:  # noqa: BLE001 (raised again in the test's thread)
            failed.append(error)
        finally:
            stop.set()

    night = threading.Thread(target=nights)
    night.start()
    sweeps = removed = 0
    while not stop.is_set():
        orphan(site.home, b"thrown away %d" % sweeps)
        removed += garbage.sweep(site.home, NOW, site.now + HOUR / 120)[1].count
        sweeps += 1
    night.join()
    assert not failed, failed
    site.publish()
    sound(site.home, site.now)
    assert removed > 0, "no sweep ran between two nights, so the test tests nothing"


def test_a_run_with_a_dead_process(site: Site) -> None:
    """A run with a dead process is ended and its files are removed; a dry run changes nothing."""
    new = site.begin()
    with site.home.store.write() as tx:
        tx.execute(text("UPDATE runs SET holder = 'elsewhere:x:1'"))
    later = site.now + DAY
    assert garbage.sweep(site.home, garbage.Options(grace_hours=0, dry_run=True), later)[1].count == 4
    with site.home.store.read() as tx:
        assert runs.get(tx, new.run_id).status is values.RunStatus.RUNNING
    assert garbage.sweep(site.home, NOW, later)[1].count == 4
    with site.home.store.read() as tx:
        assert runs.get(tx, new.run_id).status is values.RunStatus.FAILED
    with pytest.raises(OpsError):
        site.publish_version(new)
    assert stored(site.home) == named(site.home)


def test_one_at_a_time(small: Site) -> None:
    """A second sweep is refused while one runs."""
    with exclusive(small.home), pytest.raises(OpsError, match="another"):
        garbage.sweep(small.home, NOW, small.now)


def swept_and_killed(site: Site, point: int) -> bool:
    """Sweep in a child process that dies at the point; False if the sweep ended before it."""
    child = os.fork()
    if child == 0:
        store = Store(site.url)  # connections are not shared with the parent
        home = Home(site.home.settings, store, site.home.artifacts)
        die_at(point, home.settings.home)
        garbage.sweep(home, NOW, site.now)
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0
    return os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL


@pytest.mark.slow
def test_killed_anywhere(site: Site) -> None:
    """After SIGKILL at each file operation the home stays intact, and the last sweep finishes."""
    mess(site)
    site.publish()
    kills = 0
    while swept_and_killed(site, kills % 7 + 1) and kills < 60:
        kills += 1
        assert worst(verify.verify(site.home, site.now).findings) < Severity.WARNING
    assert kills >= 5
    garbage.sweep(site.home, NOW, site.now)
    assert stored(site.home) == named(site.home)
    sound(site.home, site.now)
