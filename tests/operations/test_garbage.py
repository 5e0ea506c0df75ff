"""``loop gc``: it takes what lies about, and never what a version names, whatever happens at the same time."""

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

from loop.errors import OpsError
from loop.feed import authority
from loop.home import Home
from loop.operations import files, garbage, verify
from loop.operations.exclusive import exclusive
from loop.operations.finding import Severity, worst
from loop.store import Store, values
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
    """Written so long ago."""
    then = (site.now - timedelta(hours=hours)).timestamp()
    os.utime(path, (then, then))


def lying(home: Home) -> set[Path]:
    """The artifacts in the folder."""
    return {path for _, path in files.lying(home.artifacts)}


def named(home: Home) -> set[Path]:
    """The artifacts that versions name."""
    with home.store.read() as tx:
        return {home.artifacts.path(name.digest, name.suffix) for name in files.named(versions.every(tx))}


def mess(site: Site) -> None:
    """A little of everything that may go; the clock goes on past its age."""
    home = site.home
    for n in range(3):
        orphan(home, b"left %d" % n)
    (home.artifacts.root / "aa").mkdir(exist_ok=True)
    (home.artifacts.root / "aa" / ".new-x").write_bytes(b"half")
    (home.settings.home / "logs").mkdir()
    (home.settings.home / "logs" / "run-1.log").write_text("said")
    authority.withdraw(home, 1, WHY, site.now)
    with home.store.write() as tx:
        tx.execute(text("UPDATE deliveries SET status = 'delivered'"))
        heartbeats.beat(tx, "gone:x:1", "api", site.now)
    site.now += 40 * DAY


def test_what_goes(site: Site) -> None:
    """Everything that may go is counted by a dry run, goes in a real one, and is not there for a third."""
    mess(site)
    before = rows(site.home)
    counted = garbage.sweep(site.home, garbage.Options(dry_run=True), site.now)
    assert rows(site.home) == before
    assert len(lying(site.home)) == 12
    swept = garbage.sweep(site.home, garbage.Options(), site.now)
    found = {each.what: (each.count, each.bytes) for each in swept}
    assert found == {
        "unfinished files": (1, 4),
        "artifacts that no version names": (3, 18),
        "published files of withdrawn models": (0, 0),  # version 1 was never published
        "logs of old runs": (1, 4),
        "deliveries": (1, None),
        "events": (8, None),  # with the one of the withdrawal, and each version's two
        "replays": (1, None),
        "signs of life": (1, None),
    }
    assert {each.what: each.count for each in counted} | {"events": 8} == {each.what: each.count for each in swept}
    assert lying(site.home) == named(site.home)
    assert all(each.count == 0 for each in garbage.sweep(site.home, garbage.Options(), site.now))


def test_a_key_is_known_for_thirty_days(site: Site) -> None:
    """Whatever is wished: phones were promised that a key that they send again gets its first answer."""
    mess(site)
    before = rows(site.home)["replays"]
    garbage.sweep(site.home, garbage.Options(days=1), site.now - 11 * DAY)
    assert rows(site.home)["replays"] == before
    garbage.sweep(site.home, garbage.Options(days=1), site.now)
    assert rows(site.home)["replays"] != before


def test_published_files_of_withdrawn_models(small: Site) -> None:
    """Their vectors go from the published folder, too; those of the champion and of versions that may run stay."""
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
    """Nothing goes from a folder whose feed nobody can read, and the sweep says why; all else is swept."""
    (small.home.settings.published / "feed.json").write_text("{}")
    age(orphan(small.home, b"old"), small, 100)
    swept = garbage.sweep(small.home, garbage.Options(), small.now)
    assert (swept[1].count, swept[2].count) == (1, 0)
    assert "not a feed" in swept[2].why


def test_what_waits_is_not_forgotten(site: Site) -> None:
    """A delivery that still waits stays, with its event, however old."""
    with site.home.store.write() as tx:
        tx.execute(text("UPDATE deliveries SET status = 'waiting'"))
    garbage.sweep(site.home, garbage.Options(), site.now + 90 * DAY)
    assert rows(site.home)["deliveries"].count(b"\n") == rows(site.home)["events"].count(b"\n") == 1


def test_young_files_stay(small: Site) -> None:
    """Within the grace nothing goes; what is being written is not touched for an hour."""
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
    """However old its files: all that versions name stays, all that none names and is older than the grace goes."""
    home = small.home
    count = data.draw(st.integers(0, 4))
    orphans = [orphan(home, b"nobody's %d" % n) for n in range(count)]
    hours = st.floats(0, 1000).filter(lambda value: abs(value - grace) > 0.01)
    ages = {path: data.draw(hours) for path in sorted(lying(home))}
    for path, old in ages.items():
        age(path, small, old)
    garbage.sweep(home, garbage.Options(grace_hours=grace), small.now)
    assert lying(home) == named(home) | {path for path in orphans if ages[path] < grace}
    for path in lying(home) - named(home):
        path.unlink()


def test_a_night_between_files_and_row(site: Site) -> None:
    """A night has written its files, one of which lay there for days already; no row names them yet: all stay."""
    old = orphan(site.home, b"weights 3")  # of a night that was killed: the next one makes the same weights
    age(old, site, 100)
    new = site.begin()
    swept = garbage.sweep(site.home, NOW, site.now)
    assert swept[1].count == 0
    assert f"run {new.run_id} is under way" in swept[1].why
    site.publish_version(new)
    site.publish()
    sound(site.home, site.now)


def test_age_alone_would_not_do(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """The control: where the living run is not asked for, even a day's grace takes a file that the night will name."""
    age(orphan(site.home, b"weights 3"), site, 100)
    new = site.begin()
    monkeypatch.setattr(garbage, "_living", lambda tx, wish, now: None)
    assert garbage.sweep(site.home, garbage.Options(), site.now)[1].count == 1
    site.publish_version(new)
    assert worst(verify.verify(site.home, site.now).findings) is Severity.BROKEN


@pytest.mark.slow
def test_while_nights_publish(site: Site) -> None:
    """Nights and sweeps at once, without any grace: every version's files are there at the end."""
    stop, failed = threading.Event(), []

    def nights() -> None:
        try:
            for _ in range(8):
                new = site.begin()
                stop.wait(0.03)
                site.publish_version(new)
                stop.wait(0.02)
        except Exception as error:  # noqa: BLE001 (told by the test's own thread)
            failed.append(error)
        finally:
            stop.set()

    night = threading.Thread(target=nights)
    night.start()
    sweeps = gone = 0
    while not stop.is_set():
        orphan(site.home, b"thrown away %d" % sweeps)
        gone += garbage.sweep(site.home, NOW, site.now + HOUR / 120)[1].count
        sweeps += 1
    night.join()
    assert not failed, failed
    site.publish()
    sound(site.home, site.now)
    assert gone > 0, "no sweep ever fell between two nights: the test tests nothing"


def test_a_run_whose_process_is_gone(site: Site) -> None:
    """It is ended as the next night would end it, its files go, and a dry run leaves it alone."""
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
    assert lying(site.home) == named(site.home)


def test_one_at_a_time(small: Site) -> None:
    """A second sweep, or a restoration, is refused while one is at work."""
    with exclusive(small.home), pytest.raises(OpsError, match="another"):
        garbage.sweep(small.home, NOW, small.now)


def swept_and_killed(site: Site, point: int) -> bool:
    """A sweep in a process of its own that dies at the point; False if it was done before."""
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
    """SIGKILL at every operation on a file, one after the other: the home stays sound, and the last sweep ends it."""
    mess(site)
    site.publish()
    kills = 0
    while swept_and_killed(site, kills % 7 + 1) and kills < 60:
        kills += 1
        assert worst(verify.verify(site.home, site.now).findings) < Severity.WARNING
    assert kills >= 5
    garbage.sweep(site.home, NOW, site.now)
    assert lying(site.home) == named(site.home)
    sound(site.home, site.now)
