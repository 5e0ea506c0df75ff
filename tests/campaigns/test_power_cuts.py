"""After repeated power cuts under load every acknowledged upload is on the disk."""

import asyncio
import logging
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from loop.errors import DiskFull, StoreUnavailable
from loop.store import Store
from tests.campaigns.checked import Found, found, struck
from tests.campaigns.disk import Disk, Unavailable
from tests.campaigns.served import Served
from tests.helpers import stores
from tests.intake.test_group_commit import each, home_of, upload, writing

pytestmark = pytest.mark.slow

UPLOADS_PER_CUT = 150  # acknowledged uploads between two cuts, on average

log = logging.getLogger(__name__)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    """A drive for one test; skips the test if none can be mounted."""
    made = Disk(tmp_path / "drive.img", tmp_path / "drive")
    try:
        made.make()
    except Unavailable as reason:
        pytest.skip(f"no disk for a simulated power cut: {reason}")
    yield made
    made.unmount()


def test_a_disk_that_fails(disk: Disk, tmp_path: Path) -> None:
    """Once the disk refuses writes, no upload is acknowledged, and every sender gets the reason."""
    store = Store(f"sqlite:///{disk.folder / 'loop.db'}")
    stores.migrate(store)
    with writing(home_of(store, tmp_path)) as commits:
        assert asyncio.run(each(commits, [upload(i) for i in range(20)]))
        disk.cut()
        for place in (20, 40, 0):  # new uploads, more new ones, and stored ones again
            with pytest.raises((DiskFull, StoreUnavailable)):
                asyncio.run(each(commits, [upload(place + i) for i in range(20)]))
    store.close()


def cut_under_load(served: Served, disk: Disk, cuts: int, seed: int) -> Found:
    """The content of the disk after this many cuts and recoveries."""

    def strike() -> None:
        served.freeze()  # without power no upload may be acknowledged, not even one that is being written
        disk.cut()
        served.stop(signal.SIGKILL)
        disk.unmount()
        disk.mount()
        served.start()

    sent, heard = struck(served, strike, cuts, UPLOADS_PER_CUT, seed)
    store = Store(served.settings.url)
    there = found(store, sent, heard)
    store.close()
    assert set(heard.refusals) <= {503}
    log.info("%d cuts, %d acknowledged, %d lost", cuts, len(heard.answers), len(there.lost))
    log.info("%d connections lost or refused, %d first answers given again", heard.reconnects, heard.replays)
    return there


def test_cut_a_few_times(disk: Disk, tmp_path: Path) -> None:
    """After three cuts no upload is lost or duplicated."""
    there = cut_under_load(Served(disk.folder, tmp_path / "log"), disk, cuts=3, seed=1)
    assert (there.lost, there.doubled) == ([], [])


def test_a_careless_server_loses_uploads(disk: Disk, tmp_path: Path) -> None:
    """Control: with ``synchronous=NORMAL`` three cuts lose acknowledged uploads."""
    there = cut_under_load(Served(disk.folder, tmp_path / "log", careless=True), disk, cuts=3, seed=1)
    assert there.lost


@pytest.mark.campaign
@pytest.mark.parametrize("careless", [False, True], ids=["FULL", "NORMAL"])
def test_cut_thirty_times(disk: Disk, tmp_path: Path, careless: bool) -> None:
    """After thirty cuts no upload is lost with the default, and some are with ``synchronous=NORMAL``."""
    there = cut_under_load(Served(disk.folder, tmp_path / "log", careless=careless), disk, cuts=30, seed=2)
    assert bool(there.lost) == careless
    assert there.doubled == []
