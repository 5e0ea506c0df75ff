"""Attesting a source over HTTP: the flow, every refusal's type, and what an unattested source may still do."""

import base64
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import func, select, update

from loop import api, intake
from loop.errors import BadSettings
from loop.intake import erasure
from loop.intake.upload import Upload
from loop.store import tables
from tests.api.conftest import Phone, Server, opened, picture, serving
from tests.helpers.attesting import APP, Authority, Device

HERE = datetime.now(UTC)
AUTHORITY = Authority(now=HERE)
CODES = {"mode": "require", "app_ids": APP}


@dataclass
class Site:
    """A server, and what its phones ask of it."""

    server: Server

    def post(self, phone: Phone, path: str, body: dict[str, Any] | None = None) -> httpx.Response:
        """A request to ``/v1/attestation…``."""
        return httpx.post(f"{self.server.url}/v1/attestation{path}", json=body, headers=phone.headers, timeout=30)

    def challenge(self, phone: Phone) -> bytes:
        """A new challenge."""
        answer = self.post(phone, "/challenge")
        assert answer.status_code == 200, answer.text
        return base64.b64decode(answer.json()["challenge"], validate=True)

    def send(self, phone: Phone, device: Device, attestation: bytes) -> httpx.Response:
        """What the app does with the answer of its device."""
        key_id, made = (base64.b64encode(each).decode() for each in (device.key_id, attestation))
        return self.post(phone, "", {"key_id": key_id, "attestation": made})

    def attest(self, phone: Phone, device: Device | None = None) -> httpx.Response:
        """The whole flow."""
        device = Device(AUTHORITY) if device is None else device
        return self.send(phone, device, device.attest(self.challenge(phone)))

    def count(self, table: Any) -> int:
        """The rows of a table."""
        with self.server.home.store.read() as tx:
            return tx.scalar(select(func.count()).select_from(table)) or 0


Make = Callable[..., Site]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    """A server with the made-up authority, on SQLite or at a URL."""
    with ExitStack() as stack:

        def made(url: str | None = None, **attest: Any) -> Site:
            home = opened(url or f"sqlite:///{tmp_path / 'loop.db'}", tmp_path, attest=CODES | attest)
            home.settings.attest_root_file.write_bytes(AUTHORITY.pem)
            return Site(stack.enter_context(serving(home)))

        yield made


def refused(answer: httpx.Response, status: int, rule: str) -> None:
    """A problem document of this type."""
    assert (answer.status_code, answer.json()["type"]) == (status, f"urn:digit-loop:{rule}"), answer.text


def test_a_source_attests_and_uploads(make: Make, url: str) -> None:
    """On both databases: first refused with what to do, then attested, then accepted; nothing is left of a refusal."""
    site = make(url)
    phone = site.server.phone()
    first = site.server.send(phone)
    refused(first, 403, "not-attested")
    assert "/v1/attestation/challenge" in first.json()["detail"]
    assert site.count(tables.Source) == 0
    answer = site.attest(phone)
    assert answer.status_code == 200, answer.text
    assert site.server.send(phone).status_code == 201
    shown = httpx.get(f"{site.server.url}/v1/sources/{phone.source}", headers=phone.headers).json()
    assert shown["attested_at"] == answer.json()["attested_at"]
    refused(site.server.send(site.server.phone()), 403, "not-attested")


def test_the_request_again_is_answered_as_the_first(make: Make) -> None:
    """The answer may be lost; a second key for a source is refused, whatever it is worth."""
    site = make()
    phone, device = site.server.phone(), Device(AUTHORITY)
    attestation = device.attest(site.challenge(phone))
    first = site.send(phone, device, attestation)
    assert site.send(phone, device, attestation).json() == first.json()
    assert site.post(phone, "/challenge").json() == {"challenge": None, "expires_at": None} | first.json()
    refused(site.send(phone, Device(AUTHORITY), attestation), 409, "key-attested")


def test_a_challenge_works_once(make: Make) -> None:
    """Replayed, after an attempt that failed, replaced, or never asked for: none of them is open."""
    site = make()
    phone, device = site.server.phone(), Device(AUTHORITY)
    refused(site.send(phone, device, device.attest(b"mine")), 422, "no-challenge")
    challenge = site.challenge(phone)
    refused(site.send(phone, device, b"\xa0"), 422, "bad-attestation")
    refused(site.send(phone, device, device.attest(challenge)), 422, "no-challenge")
    replaced = site.challenge(phone)
    site.challenge(phone)
    refused(site.send(phone, device, device.attest(replaced)), 422, "wrong-nonce")
    assert site.count(tables.Challenge) == 0


def test_a_challenge_expires_and_leaves_no_row(make: Make) -> None:
    """It is open for minutes; each new one deletes expired ones."""
    site = make()
    phone, device = site.server.phone(), Device(AUTHORITY)
    challenge = site.challenge(phone)
    expire(site)
    refused(site.send(phone, device, device.attest(challenge)), 422, "no-challenge")
    for _ in range(5):
        site.challenge(site.server.phone())
    expire(site)
    site.challenge(phone)
    assert site.count(tables.Challenge) == 1


def test_a_challenge_is_the_sources_own(make: Make) -> None:
    """Neither another source's challenge nor another source's key attests a source."""
    site = make()
    phone, thief, device = site.server.phone(), site.server.phone(), Device(AUTHORITY)
    attestation = device.attest(site.challenge(phone))
    refused(site.send(thief, device, attestation), 422, "no-challenge")
    site.challenge(thief)
    refused(site.send(thief, device, attestation), 422, "wrong-nonce")
    assert site.send(phone, device, attestation).status_code == 200
    refused(site.send(thief, device, device.attest(site.challenge(thief))), 409, "key-attested")
    refused(site.server.send(thief), 403, "not-attested")


@pytest.mark.parametrize(
    ("device", "rule"),
    [
        (Device(Authority(now=HERE)), "untrusted-chain"),
        (Device(Authority(AUTHORITY.now - timedelta(days=9), AUTHORITY.root_key, AUTHORITY.key)), "untrusted-chain"),
        (Device(AUTHORITY, app="ABCDE12345.org.other"), "wrong-app"),
        (Device(AUTHORITY, counter=1), "wrong-counter"),
        (Device(AUTHORITY, environment="development"), "wrong-environment"),
        (Device(AUTHORITY, credential=bytes(32)), "wrong-credential"),
    ],
)
def test_each_broken_check_has_its_type(make: Make, device: Device, rule: str) -> None:
    """And the source stays as it was: unattested, with nothing stored."""
    site = make()
    phone = site.server.phone()
    refused(site.attest(phone, device), 422, rule)
    assert site.count(tables.Source) == 0
    refused(site.server.send(phone), 403, "not-attested")


def test_a_key_id_of_another_key(make: Make) -> None:
    """The id is checked against the certificate."""
    site = make()
    phone, device = site.server.phone(), Device(AUTHORITY)
    refused(site.send(phone, Device(AUTHORITY), device.attest(site.challenge(phone))), 422, "wrong-key-id")


@pytest.mark.parametrize(
    ("body", "status", "rule"),
    [
        ({"key_id": "A" * 43 + "=", "attestation": "A" * 17_000}, 413, "too-large"),
        ({"key_id": "A" * 43 + "=", "attestation": "gYGBgYGBQA=="}, 422, "bad-attestation"),
        ({"key_id": "A" * 43 + "=", "attestation": "not base64"}, 422, "bad-base64"),
        ({"key_id": "A" * 42, "attestation": "oA=="}, 422, "bad-field"),
        ({"key_id": "A" * 43 + "="}, 422, "missing-field"),
        ({"key_id": "A" * 43 + "=", "attestation": "oA==", "app": "x"}, 422, "unknown-field"),
    ],
)
def test_bodies_of_another_form(make: Make, body: dict[str, Any], status: int, rule: str) -> None:
    """Size before JSON, base64 before CBOR, depth before certificates."""
    site = make()
    phone = site.server.phone()
    site.challenge(phone)
    refused(site.post(phone, "", body), status, rule)


def test_off_is_as_before(make: Make) -> None:
    """Without the setting nobody is asked, and no root is needed; an app goes on."""
    site = make(mode="off")
    phone = site.server.phone()
    refused(site.post(phone, "/challenge"), 404, "attestation-off")
    refused(site.send(phone, Device(AUTHORITY), b"\xa0"), 404, "attestation-off")
    assert site.server.send(phone).status_code == 201


def test_prefer_refuses_nobody(make: Make) -> None:
    """An unattested source uploads; only its share of lessons is smaller (tests/night/test_choosing.py)."""
    site = make(mode="prefer")
    phone = site.server.phone()
    assert site.server.send(phone).status_code == 201
    assert site.attest(phone).status_code == 200


def test_who_needs_no_attestation(make: Make) -> None:
    """Sources from before the date, and those that an operator vouches for; retries of what was stored are answered."""
    tomorrow = (HERE + timedelta(days=1)).date()
    site = make(since=str(tomorrow))
    assert site.server.send(site.server.phone()).status_code == 201
    site = make(since="")
    home, phone = site.server.home, site.server.phone()
    sent = Upload(phone.source, picture(1), 4, "k")
    [receipt] = intake.accept_many(home.store, [sent], 0.2, HERE)
    assert isinstance(receipt, intake.Receipt)
    again = httpx.post(
        f"{site.server.url}/v1/corrections",
        files={"image": picture(1)},
        data={"label": "4"},
        headers=phone.headers | {"Idempotency-Key": "k"},
    )
    assert (again.status_code, again.json()["id"]) == (201, receipt.id)
    refused(site.server.send(phone, seed=2), 403, "not-attested")
    [receipt] = intake.accept_many(home.store, [Upload(phone.source, picture(3), 4)], 0.2, HERE, vouched=True)
    assert site.server.send(phone, seed=2).status_code == 201


def test_a_batch_is_refused_item_by_item(make: Make) -> None:
    """Each item gets 403, which an outbox keeps; after the attestation the same batch is accepted."""
    site = make()
    phone = site.server.phone()
    image = base64.b64encode(picture(1)).decode()
    batch = {"corrections": [{"image": image, "label": 4, "predicted": 9, "key": "a"}]}
    url = f"{site.server.url}/v1/corrections:batch"
    answer = httpx.post(url, json=batch, headers=phone.headers).json()["answers"][0]
    assert (answer["status"], answer["problem"]["type"]) == (403, "urn:digit-loop:not-attested")
    site.attest(phone)
    assert httpx.post(url, json=batch, headers=phone.headers).json()["answers"][0]["status"] == 201


def test_an_erasure_takes_the_attestation_along(make: Make, url: str) -> None:
    """On both databases: of an erased source neither key nor challenge is left; it may attest again, with a new key."""
    site = make(url)
    phone, device = site.server.phone(), Device(AUTHORITY)
    site.attest(phone, device)
    erasure.erase(site.server.home, phone.source, "ops", HERE)
    site.challenge(phone)
    erasure.erase(site.server.home, phone.source, "ops", HERE)
    assert (site.count(tables.Source), site.count(tables.Challenge)) == (0, 0)
    assert site.attest(phone).status_code == 200
    late = site.server.send(phone, captured_at=(HERE - timedelta(days=1)).isoformat())
    refused(late, 410, "source-erased")
    assert site.server.send(phone, seed=2, captured_at=datetime.now(UTC).isoformat()).status_code == 201


def test_a_server_does_not_start_without_the_root(tmp_path: Path) -> None:
    """An operator notices at once, not the first phone."""
    home = opened(f"sqlite:///{tmp_path / 'loop.db'}", tmp_path, attest=CODES)
    with pytest.raises(BadSettings, match="root certificate"):
        api.create(home)


@pytest.mark.parametrize(
    ("attest", "why"),
    [
        ({"mode": "always"}, "off or prefer or require"),
        ({"mode": "prefer", "app_ids": ""}, "at least one app"),
        ({"app_ids": "org.example.digits"}, "team ids"),
        ({"environment": "sandbox"}, "production or development"),
        ({"challenge_seconds": 1}, "10 to 86,400"),
        ({"since": "yesterday"}, "since"),
    ],
)
def test_settings_that_mean_nothing(make: Make, attest: dict[str, Any], why: str) -> None:
    """A misspelt mode must not mean off."""
    with pytest.raises(ValueError, match=why):
        make(**attest)


def expire(site: Site) -> None:
    """Let all open challenges expire."""
    past = datetime.now(UTC) - timedelta(seconds=1)
    with site.server.home.store.write() as tx:
        tx.execute(update(tables.Challenge).values(expires_at=past))
