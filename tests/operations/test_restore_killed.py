"""A restore that is killed at any point leaves the old home or the new one, and the next restore succeeds."""

import os
import signal
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from pydantic import SecretStr

from loop import home as homes
from loop.home import Home
from loop.home.artifacts import Artifacts
from loop.home.settings import Settings
from loop.intake import erasure
from loop.operations import backup, key_encryption, restore
from loop.store.backup import carried_over, dump, replacement
from loop.store.feedback import erasures
from tests.feed.client.test_killed import die_at
from tests.operations.conftest import Site, give_key
from tests.operations.test_backup import REPLACE, rows, sound

pytestmark = pytest.mark.slow

NO_STRIDE, STRIDE = 1, 7
WISH = restore.Options(replace=True)


def die() -> None:
    """End the process without handlers, ``finally`` or flush."""
    os.kill(os.getpid(), signal.SIGKILL)


def after(module: object, name: str, count: int = 1) -> Callable[[], None]:
    """Die once this function has returned for the ``count``-th time."""

    def arm() -> None:
        real, calls = getattr(module, name), 0

        def deadly(*rest: object, **named: object) -> object:
            nonlocal calls
            answer = real(*rest, **named)
            calls += 1
            if calls == count:
                die()
            return answer

        setattr(module, name, deadly)

    return arm


POINTS: dict[str, Callable[[], None]] = {
    "checked": after(restore, "_fits"),
    "first artifact": after(Artifacts, "put"),
    "last artifact": after(Artifacts, "put", 9),
    "keys": after(key_encryption, "write"),
    "old rows read": after(carried_over, "read"),
    "cleared": after(replacement, "clear"),
    "first table": after(dump, "load"),
    "tenth part": after(dump, "load", 10),
    "given back": after(carried_over, "give_back"),
    "erased again": after(erasures, "reapply"),
    "all but committed": after(replacement, "settle"),
    "committed": after(restore, "_rows"),
}


def opened(settings: Settings, url: str) -> Home:
    """The home, with connections of its own."""
    return homes.opened(settings.model_copy(update={"database_url": SecretStr(url)}), create=True)


def killed(url: str, home: Home, path: Path, site: Site, arm: Callable[[], None]) -> bool:
    """Restore in a child process; True if it was killed."""
    child = os.fork()
    if child == 0:
        arm()
        try:
            restore.restore(opened(home.settings, url), path, WISH, site.now)
        except BaseException as error:  # noqa: BLE001 (the child must not go on as a test runner)
            print(repr(error), file=sys.stderr)  # noqa: T201 (for the analysis of a failure)
            os._exit(3)
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0
    return os.WIFSIGNALED(status)


@pytest.mark.parametrize("point", POINTS)
def test_killed_in_the_middle(site: Site, tmp_path: Path, point: str) -> None:
    """After a kill before the commit all rows are old, after it all rows are new."""
    made = backup.backup(site.home, tmp_path / "b.tar.gz", site.now)
    new = rows(site.home)
    site.upload(first=50)
    site.register()
    old = rows(site.home)
    site.home.store.close()
    assert killed(site.url, site.home, made.path, site, POINTS[point])
    assert erasure.scrub(site.home)  # as every scheduler does; then the log of replaced rows is empty
    assert rows(site.home) == (new if point == "committed" else old)
    restore.restore(site.home, made.path, REPLACE, site.now)
    assert rows(site.home) == new
    sound(site.home, site.now)


def test_not_killed(site: Site, tmp_path: Path) -> None:
    """Control: the same child process restores if it is not killed."""
    made = backup.backup(site.home, tmp_path / "b.tar.gz", site.now)
    new = rows(site.home)
    site.upload(first=50)
    assert not killed(site.url, site.home, made.path, site, lambda: None)
    assert rows(site.home) == new


@pytest.mark.parametrize("stride", [STRIDE, pytest.param(NO_STRIDE, marks=pytest.mark.campaign)])
def test_killed_at_every_file(small: Site, tmp_path: Path, stride: int) -> None:
    """After a kill at any file operation every artifact has its digest, and the next restore completes."""
    made = backup.backup(small.home, tmp_path / "b.tar.gz", small.now)
    settings = small.home.settings.model_copy(update={"home": tmp_path / "new", "database_url": None})
    url = f"sqlite:///{tmp_path / 'new' / 'loop.db'}"
    home = opened(settings, url)
    give_key(small.home, home)
    point = kills = 0
    while killed(url, home, made.path, small, partial(die_at, point + 1, settings.home)):
        point, kills = point + stride, kills + 1
        for path in home.artifacts.root.glob("??/*"):
            if not path.name.startswith(".new-"):
                home.artifacts.get(path.stem, path.suffix)
                path.unlink()  # so that the next try writes it again
    assert kills > 40 / stride
    restored = opened(settings.model_copy(update={"feed_folder": small.home.settings.published}), url)
    sound(restored, small.now)
    assert rows(restored) == rows(small.home)
