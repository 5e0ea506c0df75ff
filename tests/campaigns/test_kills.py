"""A server that is killed repeatedly under load keeps every acknowledged upload exactly once."""

import logging
import signal
from pathlib import Path

import pytest

from loop.store import Store
from tests.campaigns.checked import found, struck
from tests.campaigns.served import Served
from tests.helpers.phones import Heard

UPLOADS_PER_KILL = 125  # acknowledged uploads between two kills, on average

log = logging.getLogger(__name__)


def killed_under_load(served: Served, kills: int, seed: int) -> Heard:
    """Require that no upload is lost or duplicated; returns the answers."""

    def strike() -> None:
        served.stop(signal.SIGKILL)
        served.start()

    sent, heard = struck(served, strike, kills, UPLOADS_PER_KILL, seed)
    store = Store(served.settings.url)
    there = found(store, sent, heard)
    store.close()
    assert (there.lost, there.doubled, there.stored) == ([], [], len(sent))
    assert heard.reconnects >= kills
    assert set(heard.refusals) <= {503}
    log.info("%d kills, %d acknowledged, none lost, none doubled", kills, len(heard.answers))
    log.info("%d connections lost or refused, %d first answers given again", heard.reconnects, heard.replays)
    return heard


@pytest.mark.slow
def test_killed_a_few_times(url: str, tmp_path: Path) -> None:
    """After five kills and 1,500 uploads none is lost or duplicated."""
    killed_under_load(Served(tmp_path, tmp_path / "log", url), kills=5, seed=1)


@pytest.mark.campaign
def test_killed_two_hundred_times(url: str, tmp_path: Path) -> None:
    """After 200 kills and 50,250 uploads none is lost or duplicated."""
    heard = killed_under_load(Served(tmp_path, tmp_path / "log", url), kills=200, seed=2)
    assert len(heard.answers) > 50_000
    assert heard.replays > 0, "no kill was between a commit and its answer, so the test proves nothing"
