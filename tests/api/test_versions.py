"""Versions, promotions, rollbacks and predictions, over HTTP with real small models; both databases."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from loop.cli import output
from loop.cli import versions as cli_versions
from loop.feed import authority
from loop.feed import client as device
from tests.api.conftest import Server, picture, serving
from tests.feed.conftest import Office, office

__all__ = ["office"]  # pytest finds the fixture by its name


TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


@pytest.fixture
def site(office: Office) -> Iterator[tuple[Server, Office]]:
    """A server whose store has two versions, the second champion, and feed keys."""
    office.create()
    office.register()
    with serving(office.home) as server:
        yield server, office


def test_versions_are_listed(site: tuple[Server, Office]) -> None:
    """Newest first, the champion marked."""
    with site[0].client("reviewer") as client:
        found = client.get("/v1/versions").json()
        assert [(each["number"], each["alias"]) for each in found] == [(2, "champion"), (1, None)]
        whole = client.get("/v1/versions/2").json()
        assert whole["verdicts"][0]["outcome"] == "passed"
        assert client.get("/v1/versions/7").status_code == 404


def test_the_command_line_shows_what_the_api_shows(
    site: tuple[Server, Office], capsys: pytest.CaptureFixture[str]
) -> None:
    """``loop versions --json`` has the API's document of each version, and adds ``path`` and ``live``."""
    server, _ = site
    with server.client("reviewer") as client:
        found = client.get("/v1/versions").json()
    output.emit(cli_versions.documents(server.home))
    printed = json.loads(capsys.readouterr().out)
    assert [{name: value for name, value in each.items() if name not in {"path", "live"}} for each in printed] == found
    assert all(Path(each["path"]).read_bytes() for each in printed)
    assert TIMESTAMP.fullmatch(found[0]["registered_at"])


@pytest.mark.slow
def test_a_rollback_reaches_a_phone_before_it_is_answered(site: tuple[Server, Office], tmp_path: Path) -> None:
    """Promote, sync, roll back, sync: each answer names the feed that the phone then sees."""
    server, office = site
    root = authority.first(office.home)
    seen = []
    with server.client("ops") as client:
        for verb, body in (("rollbacks", {}), ("promotions", {"version": 2}), ("rollbacks", {"to": 1})):
            moved = client.post(f"/v1/{verb}", json=body | {"reason": "because"})
            assert moved.status_code == 201, moved.text
            assert moved.json()["actor"] == "key the ops's"
            with device.at(f"{server.url}/v1") as source:
                done = device.sync(source, tmp_path / "phone", "cnn.mlmodel", office.now, root=root)
            assert done.current is not None
            assert (done.current.version, done.sequence) == (moved.json()["after"], moved.json()["sequence"])
            seen.append(done.current.version)
    assert seen == [1, 2, 1]


def test_moves_that_are_refused(site: tuple[Server, Office]) -> None:
    """409 where the loop's state does not allow it, 404 for a version that is not there, 422 for a bad reason."""
    with site[0].client("ops") as client:
        champion = client.post("/v1/promotions", json={"version": 2, "reason": "again"})
        unknown = client.post("/v1/promotions", json={"version": 9, "reason": "new"})
        silent = client.post("/v1/promotions", json={"version": 1, "reason": " "})
        nameless = client.post("/v1/promotions", json={"version": 1})
    assert [each.status_code for each in (champion, unknown, silent, nameless)] == [409, 404, 422, 422]
    assert champion.json()["type"] == "urn:digit-loop:not-promotable"


def test_a_move_stands_though_the_feed_cannot_be_published(site: tuple[Server, Office]) -> None:
    """The answer reports it without a path; the scheduler publishes later."""
    server, office = site
    for key in authority.folder(office.home).glob("feed-*.pem"):
        key.unlink()
    with server.client("ops") as client:
        moved = client.post("/v1/rollbacks", json={"reason": "because"}).json()
    assert (moved["after"], moved["sequence"], moved["feed"]) == (1, None, "not published")


def test_the_champion_reads(site: tuple[Server, Office]) -> None:
    """Ten probabilities, the version, and the digest of its pixels; after a promotion, the new version answers."""
    server, _ = site
    body = {"content": picture(3), "headers": {"Content-Type": "image/png"}}
    with server.client("app") as client:
        said = client.post("/v1/predictions", **body).json()
        assert (len(said["probabilities"]), said["version"], said["normalised"]) == (10, 2, False)
        assert said["label"] == max(range(10), key=said["probabilities"].__getitem__)
        assert sum(said["probabilities"]) == pytest.approx(1, abs=1e-3)
        refused = client.post("/v1/predictions", content=b"GIF89a", headers={"Content-Type": "image/gif"})
        broken = client.post("/v1/predictions", content=b"GIF89a", headers={"Content-Type": "image/png"})
        assert (refused.status_code, broken.status_code) == (415, 422)


def test_a_night_is_asked_for_once(site: tuple[Server, Office]) -> None:
    """202; the same Idempotency-Key is the same slot; the server itself trains nothing."""
    with site[0].client("ops") as client:
        answer = client.post("/v1/runs", json={})
        assert answer.status_code in {202, 409}, answer.text  # 409: this home has models, but no base to teach
        assert client.post("/v1/runs", json={"family": "transformer"}).status_code == 422
        listed = client.get("/v1/runs").json()
        assert [run["status"] for run in listed] == ["finished", "finished"]
        assert client.get(f"/v1/runs/{listed[0]['id']}").json() == listed[0]
        assert client.get("/v1/runs/99").status_code == 404


def test_openapi_is_complete(site: tuple[Server, Office]) -> None:
    """Every operation has a summary, its roles, and a problem document for what it refuses."""
    found = httpx.get(f"{site[0].url}/openapi.json").json()
    operations = {f"{verb} {path}": each for path, verbs in found["paths"].items() for verb, each in verbs.items()}
    assert len(operations) >= 15
    for name, each in operations.items():
        assert each["summary"], name
        assert "x-loop-roles" in each, name
        for status, said in each["responses"].items():
            if status.startswith(("4", "5")):
                assert list(said["content"]) == ["application/problem+json"], (name, status)
