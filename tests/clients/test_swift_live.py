"""The Swift phone at the real API, through URLSession: sync, upload, the same upload again, erasure."""

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.api.conftest import Phone, Server, opened, serving
from tests.clients import scenarios
from tests.clients.test_swift import swift, toolchain

__all__ = ["swift"]  # a fixture

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("swift")]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """The API with the feed of the scenario ``update_and_rollback`` at its first step."""
    home = opened(f"sqlite:///{tmp_path / 'loop.db'}", tmp_path)
    played = next(each for each in scenarios.every() if each.name == "update_and_rollback")
    for path, data in played.steps[0].files.items():
        place = home.settings.published / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(data)
    with serving(home) as found:
        yield found


def test_a_phone_lives_with_the_server(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """It syncs what was published; four words are stored once each; after an erasure none is left."""
    phone = Phone(server.keys["app"], secrets.token_urlsafe(32))
    for name, value in {"URL": server.url, "KEY": phone.key, "SECRET": phone.secret}.items():
        monkeypatch.setenv(f"LOOP_LIVE_{name}", value)
    for name in ("testSync", "testUnknownKey", "testUpload", "testUpload"):
        live(name)
    with server.client() as http:
        listed = http.get("/v1/corrections", headers=phone.headers).json()
        assert sorted((each["label"], each["kind"]) for each in listed["corrections"]) == [
            (0, "correction"),
            (1, "correction"),
            (2, "correction"),
            (3, "confirmation"),
        ]
        live("testErase")
        assert http.get("/v1/corrections", headers=phone.headers).json()["corrections"] == []


def live(name: str) -> None:
    """Run one of ``LiveTests``."""
    done = toolchain("clients/swift/check.sh", "live", name)
    assert done.returncode == 0, done.stdout[-6000:]
    assert f"Test Case 'LiveTests.{name}' passed" in done.stdout
