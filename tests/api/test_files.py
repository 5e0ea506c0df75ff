"""Feed and models over HTTP: whole, in ranges, cached, withdrawn, damaged."""

import json
from collections.abc import Iterator

import httpx
import pytest

from loop.feed import authority, upkeep
from loop.home.artifacts import digest
from loop.store.nights import versions
from tests.api.conftest import Server, serving
from tests.feed.conftest import WHY, Office, small

__all__ = ["small"]  # pytest finds the fixture by its name


@pytest.fixture
def site(small: Office) -> Iterator[tuple[Server, Office]]:
    """A server with a published feed of one small model."""
    small.create()
    small.folder = small.home.settings.published
    upkeep.follow(small.home, WHY, small.now)
    with serving(small.home) as server:
        yield server, small


def model_of(server: Server) -> tuple[str, bytes]:
    """URL and bytes of the champion's model."""
    with server.home.store.read() as tx:
        name = versions.get(tx, 1).artifact_digest
    return f"{server.url}/v1/models/{name}", server.home.artifacts.get(name, ".mlmodel")


def test_the_feed_is_the_file(site: tuple[Server, Office]) -> None:
    """The API gives the published bytes as they are, under both names, with a tag that saves the next download."""
    server, office = site
    expected = (office.folder / "feed.json").read_bytes()
    first = httpx.get(f"{server.url}/v1/feed")
    assert first.content == expected == httpx.get(f"{server.url}/v1/feed.json").content
    assert first.headers["Cache-Control"] == "public, max-age=60"
    again = httpx.get(f"{server.url}/v1/feed", headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.content) == (304, b"")


def test_a_model_never_changes(site: tuple[Server, Office]) -> None:
    """Immutable, for a year, tagged by its digest."""
    url, data = model_of(site[0])
    answer = httpx.get(url)
    assert answer.content == data
    assert answer.headers["ETag"] == f'"{digest(data)}"'
    assert "immutable" in answer.headers["Cache-Control"]
    assert httpx.get(url + ".mlmodel").content == data


def test_a_name_has_the_ending_of_its_kind(site: tuple[Server, Office]) -> None:
    """A model is not at its digest with .json, nor golden vectors at theirs with .mlmodel; the refusal says so."""
    url, _ = model_of(site[0])
    refused = httpx.get(url + ".json")
    assert (refused.status_code, refused.json()["type"]) == (404, "urn:digit-loop:not-published")
    golden = json.loads(httpx.get(f"{site[0].url}/v1/feed").content)["signed"]["channels"]["cnn.mlmodel"]["golden"]
    assert httpx.get(f"{site[0].url}/v1/golden/{golden['digest']}.json").json()["model"] in url
    assert httpx.get(f"{site[0].url}/v1/golden/{golden['digest']}.mlmodel").status_code == 404


def test_a_wrong_path_or_method_says_what_to_do(site: tuple[Server, Office]) -> None:
    """404 and 405 of the router name what was expected, what was got, and the document that lists both."""
    lost, wrong = httpx.get(f"{site[0].url}/v1/nothing"), httpx.put(f"{site[0].url}/v1/feed")
    assert lost.json()["detail"] == "expected a path of this API, got another; /openapi.json lists them"
    assert lost.json()["type"] == "urn:digit-loop:not-found"
    assert (wrong.status_code, wrong.json()["type"]) == (405, "urn:digit-loop:method-not-allowed")
    assert wrong.json()["detail"].startswith("expected GET, got PUT; ")


def test_head_is_get_without_a_body(site: tuple[Server, Office]) -> None:
    """CDNs revalidate their copies this way."""
    url, data = model_of(site[0])
    head = httpx.head(url)
    assert (head.status_code, head.content) == (200, b"")
    assert (head.headers["Content-Length"], head.headers["ETag"]) == (str(len(data)), f'"{digest(data)}"')


RANGES = {
    "bytes=0-9": (0, 10),
    "bytes=10-": (10, None),
    "bytes=-7": (-7, None),
    "bytes=5-5": (5, 6),
    "bytes=3-99999999": (3, None),
}


@pytest.mark.parametrize("wanted", RANGES)
def test_ranges(site: tuple[Server, Office], wanted: str) -> None:
    """206 with exactly these bytes and their position."""
    url, data = model_of(site[0])
    start, end = RANGES[wanted]
    answer = httpx.get(url, headers={"Range": wanted})
    assert answer.status_code == 206
    assert answer.content == data[start:end]
    first = start if start >= 0 else len(data) + start
    assert answer.headers["Content-Range"] == f"bytes {first}-{first + len(answer.content) - 1}/{len(data)}"


@pytest.mark.parametrize(
    ("wanted", "status"),
    [("bytes=99999999-", 416), ("bytes=-0", 416), ("bytes=9-3", 416), ("bytes=0-1,3-4", 200), ("lines=1-2", 200)],
)
def test_ranges_that_are_none(site: tuple[Server, Office], wanted: str, status: int) -> None:
    """A range outside the file is 416; a header that is not one range of bytes gets the whole file, as HTTP allows."""
    url, data = model_of(site[0])
    answer = httpx.get(url, headers={"Range": wanted})
    assert answer.status_code == status
    assert status == 416 or answer.content == data


def test_a_range_of_another_file_is_not_given(site: tuple[Server, Office]) -> None:
    """If-Range: half of one file is never continued with half of another."""
    url, data = model_of(site[0])
    other = httpx.get(url, headers={"Range": "bytes=5-", "If-Range": '"other"'})
    same = httpx.get(url, headers={"Range": "bytes=5-", "If-Range": f'"{digest(data)}"'})
    assert (other.status_code, same.status_code) == (200, 206)


@pytest.mark.parametrize("name", ["", "x", "0" * 63, "0" * 64, "A" * 64, "..%2f..%2ffeed.json", "0" * 64 + ".npz"])
def test_no_such_model(site: tuple[Server, Office], name: str) -> None:
    """404 and a problem document; only a digest is looked up on disk."""
    answer = httpx.get(f"{site[0].url}/v1/models/{name}")
    assert answer.status_code == 404
    assert answer.headers["Content-Type"] == "application/problem+json"


def test_nothing_published_yet(small: Office) -> None:
    """404; the advice for operators is not in the answer."""
    with serving(small.home) as server:
        assert httpx.get(f"{server.url}/v1/feed").json()["type"] == "urn:digit-loop:not-published"


def test_a_withdrawn_model_is_gone_at_once(site: tuple[Server, Office]) -> None:
    """It is gone from memory, too."""
    server, office = site
    url, _ = model_of(server)
    assert httpx.get(url).status_code == 200
    office.register()
    authority.withdraw(office.home, 1, WHY, office.now)
    upkeep.follow(office.home, WHY, office.now)
    assert httpx.get(url).status_code == 404


def test_a_rotten_file_is_not_served(site: tuple[Server, Office]) -> None:
    """500 instead of wrong bytes, which a device would refuse, too; the message contains no path."""
    server, office = site
    url, data = model_of(server)
    path = office.folder / "models" / f"{digest(data)}.mlmodel"
    path.write_bytes(data[:-1] + b"?")
    answer = httpx.get(url)
    assert answer.status_code == 500
    assert str(office.folder) not in answer.text
    path.write_bytes(data)
    assert httpx.get(url).content == data
