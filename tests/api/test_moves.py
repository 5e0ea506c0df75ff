"""The ledger over HTTP: who moved which alias, when and why."""

from loop.clock import utc_now
from loop.registry import promote
from loop.store.values import Attribution
from tests.api.conftest import serving
from tests.feed.conftest import Office, office

__all__ = ["office"]  # pytest finds the fixture by its name


def test_the_ledger_is_read_newest_first(office: Office) -> None:
    """All entries, or those of one family, up to the limit; an overridden verdict is marked."""
    office.register()
    office.register("svm")
    promote(office.home, 1, Attribution("ops", "twos were better", override=True), utc_now())
    with serving(office.home) as server, server.client("reviewer") as client:
        every = client.get("/v1/moves").json()
        last = client.get("/v1/moves", params={"limit": 1}).json()
        svm = client.get("/v1/moves", params={"family": "svm"}).json()
    assert [move["id"] for move in every] == sorted((move["id"] for move in every), reverse=True)
    assert last == every[:1]
    assert (last[0]["alias"], last[0]["verb"], last[0]["before"], last[0]["after"]) == ("champion", "promote", 2, 1)
    assert (last[0]["actor"], last[0]["reason"], last[0]["override"]) == ("ops", "twos were better", True)
    assert {move["family"] for move in svm} == {"svm"}
    assert len(every) == 2 * 3 + 1
