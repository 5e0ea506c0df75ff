"""Permissions: every operation of the OpenAPI document × every kind of key, and no source but one's own."""

import json
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

import httpx
import pytest
from fastapi import APIRouter
from fastapi.routing import APIRoute

from loop import access, api
from loop.access import Role
from loop.api import pages
from loop.api.guard import Guarded
from loop.clock import utc_now
from loop.store import tables
from tests.api import operations, wire
from tests.api.conftest import Phone, Server, opened, serving
from tests.api.operations import Operation
from tests.api.test_corrections import correction

ANYBODY: set[str] = set()
READERS = {"reviewer", "ops"}
EXPECTED = {  # a new operation needs its roles here, too
    "POST /v1/corrections": {"app"},
    "POST /v1/corrections:batch": {"app"},
    "POST /v1/drawings": {"app"},
    "POST /v1/drawings:batch": {"app"},
    "GET /v1/corrections": {"app"},
    "GET /v1/corrections/{id}": {"app"},
    "DELETE /v1/corrections/{id}": {"app"},
    "GET /v1/sources/{source}": {"app", "ops"},
    "GET /v1/sources/{source}/export": {"app", "ops"},
    "DELETE /v1/sources/{source}": {"app", "ops"},
    "POST /v1/attestation/challenge": {"app"},
    "POST /v1/attestation": {"app"},
    "GET /v1/asking": ANYBODY,
    "GET /v1/feed": ANYBODY,
    "GET /v1/root/{name}": ANYBODY,
    "GET /v1/models/{name}": ANYBODY,
    "GET /v1/golden/{name}": ANYBODY,
    "POST /v1/predictions": {"app", "reviewer", "ops"},
    "GET /v1/versions": READERS,
    "GET /v1/versions/{number}": READERS,
    "GET /v1/moves": READERS,
    "POST /v1/promotions": {"ops"},
    "POST /v1/rollbacks": {"ops"},
    "POST /v1/runs": {"ops"},
    "GET /v1/runs": READERS,
    "GET /v1/runs/{number}": READERS,
    "POST /v1/review/next": READERS,
    "POST /v1/review/answers": READERS,
    "POST /v1/review/undo": READERS,
    "POST /v1/review/give-back": READERS,
    "GET /v1/review/status": READERS,
    "GET /healthz": ANYBODY,
    "GET /readyz": ANYBODY,
    "GET /metrics": READERS,
}
UNGUARDED = {"/openapi.json"}  # describes, does nothing
DIRT = {"expired": 401, "revoked": 401, "unknown": 401, "misspelt": 401, "none": 401}


@dataclass(frozen=True, slots=True)
class House:
    """A server with a key of every kind, good and bad, and its operations."""

    server: Server
    keys: dict[str, str | None]
    operations: dict[str, Operation]


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """One server for all tests below."""
    folder, now = tmp_path_factory.mktemp("roles"), utc_now()
    home = opened(f"sqlite:///{folder / 'loop.db'}", folder)
    hour = timedelta(hours=1)
    expired, _ = access.create(home, "old", Role.OPS, expires=now - hour, actor="tests", now=now - 2 * hour)
    revoked, row = access.create(home, "lost", Role.OPS, actor="tests", now=now)
    access.revoke(home, row.id, now)
    unknown = f"loop_ops_{secrets.token_urlsafe(32)}"
    bad = {"none": None, "unknown": unknown, "misspelt": "loop_ops_short", "expired": expired, "revoked": revoked}
    with serving(home) as server:
        document = httpx.get(f"{server.url}/openapi.json").json()
        yield House(server, bad | server.keys, {str(each): each for each in operations.every(document)})


def test_every_operation_has_its_entry_and_no_other(house: House) -> None:
    """The document and the table agree on each operation: a new route or a new role fails here."""
    assert {name: set(each.roles) for name, each in house.operations.items()} == EXPECTED


def test_roles_and_keys_are_described(house: House) -> None:
    """Standard OpenAPI alone shows which operations need a key."""
    for each in house.operations.values():
        assert each.described["security"] == ([{"key": []}] if each.roles else [])


@pytest.mark.parametrize("holder", [*DIRT, *Role])
@pytest.mark.parametrize("name", EXPECTED)
def test_the_matrix(house: House, name: str, holder: str) -> None:
    """Allowed: neither 401 nor 403. Not allowed: 401 for an invalid key, else 403."""
    operation, phone = house.operations[name], house.server.phone()
    source = {"source": phone.source} if "source" in operation.path else {}
    data, kind = operations.body(operation)
    headers = operations.headers(house.keys[holder], phone, kind)
    sent = wire.request(operation.method, operation.target(**source), headers.items(), data)
    answer = wire.ask(house.server.url, sent)
    assert answer is not None
    if not EXPECTED[name] or holder in EXPECTED[name]:
        assert answer.status not in {401, 403}, answer.body
        assert answer.status < 500
    else:
        assert answer.status == DIRT.get(holder, 403)
        assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("holder", [*DIRT, *Role])
@pytest.mark.parametrize("name", [name for name in EXPECTED if name.startswith("POST")])
def test_permission_is_checked_before_the_body(house: House, name: str, holder: str) -> None:
    """A caller without permission is refused before any byte of the body arrives."""
    operation = house.operations[name]
    if holder in EXPECTED[name]:
        return
    headers = operations.headers(house.keys[holder], house.server.phone(), b"application/json")
    with wire.connect(house.server.url, 5) as line:
        whole = wire.request(operation.method, operation.target(), headers.items())
        line.sendall(whole.replace(b"Content-Length: 0", b"Content-Length: 1000"))
        answer = wire.read(line)
    assert answer is not None
    assert answer.status == DIRT.get(holder, 403)


def test_a_secret_is_never_repeated(house: House) -> None:
    """No refusal repeats the key that was sent."""
    for holder in (*DIRT, *Role):
        if (key := house.keys[holder]) is not None:
            answer = operations.call(house.server.url, house.operations["POST /v1/runs"], key, house.server.phone())
            assert key.encode() not in answer.body


def test_a_route_without_an_entry_cannot_be_made() -> None:
    """Forgetting ``needs`` fails when the app is imported, not when it is attacked."""
    router = APIRouter(route_class=Guarded)
    with pytest.raises(KeyError, match="x-loop-roles"):
        router.get("/open")(lambda: "everything")


def test_every_route_is_guarded(house: House) -> None:
    """This includes routes that the document omits; exceptions are listed here."""
    app = api.create(house.server.home)
    found = list(walk(app))
    assert all(isinstance(route, Guarded) for route in found if isinstance(route, APIRoute))
    assert {route.path for route in found if not isinstance(route, Guarded)} == UNGUARDED
    hidden = [route for route in found if isinstance(route, Guarded) and not route.include_in_schema]
    assert all(route.methods <= {"GET", "HEAD"} and not route.roles for route in hidden)
    named = {(route.path, method) for route in hidden for method in route.methods if route.path not in pages.pages()}
    files = {"/v1/feed", "/v1/feed.json", "/v1/asking", "/v1/asking.json"}
    files |= {"/v1/root/{name}", "/v1/models/{name}", "/v1/golden/{name}"}
    assert named == {("/v1/feed.json", "GET"), ("/v1/asking.json", "GET")} | {(path, "HEAD") for path in files}


def walk(owner: object) -> Iterator[object]:
    """All routes below an app or router."""
    for route in getattr(owner, "routes", ()):
        if hasattr(route, "original_router"):
            yield from walk(route.original_router)
        else:
            yield route


# --- a source can only add to itself, and erase itself


def held(server: Server) -> dict[str, int]:
    """The number of uploads of each source."""
    with server.home.store.read() as tx:
        rows = tx.query(tables.Source.name, tables.Correction.id).join(
            tables.Correction, tables.Correction.source_id == tables.Source.id
        )
        names = [name for name, _ in rows]
    return {name: names.count(name) for name in set(names)}


def erase(server: Server, source: str, headers: dict[str, str]) -> int:
    """Request the erasure of a source; the status."""
    return httpx.delete(f"{server.url}/v1/sources/{source}", headers=headers, timeout=30).status_code


@pytest.mark.slow
def test_nobody_erases_another(server: Server) -> None:
    """Not with another secret, not with a guessed id in any spelling, not without a secret, not as a reviewer."""
    victim, thief = server.phone(), server.phone()
    for phone in (victim, thief):
        server.send(phone)
    name = victim.source
    spellings = [
        name,
        name.upper(),
        f"%73{name[1:]}",
        f"{name}%20",
        f"%20{name}",
        f"{name}%00",
        f"./{name}",
        f"{name}/",
    ]
    for each in spellings:
        assert erase(server, each, thief.headers) in {403, 404, 405, 422}
    reviewer = {"Authorization": f"Bearer {server.keys['reviewer']}", "Loop-Source": victim.secret}
    assert erase(server, name, reviewer) == 403
    assert erase(server, name, {"Authorization": thief.headers["Authorization"]}) == 401
    assert erase(server, name, thief.headers | {"Loop-Source": name}) == 401  # the name is no secret
    assert held(server) == {victim.source: 1, thief.source: 1}


@pytest.mark.slow
def test_a_source_erases_itself_alone(server: Server) -> None:
    """Erasing twice is no error; the other source stays."""
    phone, other = server.phone(), server.phone()
    for each in (phone, other):
        server.send(each)
    assert [erase(server, phone.source, phone.headers) for _ in range(2)] == [200, 200]
    assert held(server) == {other.source: 1}


def test_operators_erase_any(server: Server) -> None:
    """Ops can erase any source, for example on a user's written request."""
    phone = server.phone()
    server.send(phone)
    assert erase(server, phone.source, {"Authorization": f"Bearer {server.keys['ops']}"}) == 200
    assert held(server) == {}


def test_a_source_adds_to_itself_alone(server: Server) -> None:
    """Nothing in a body, batch or header names another source; an upload is stored under the source of its secret."""
    victim, thief = server.phone(), server.phone()
    named = [
        server.send(thief, source=victim.source),
        httpx.post(f"{server.url}/v1/corrections", json=correction(source=victim.source), headers=thief.headers),
        httpx.post(
            f"{server.url}/v1/corrections", json=correction(), headers=thief.headers | {"Source": victim.source}
        ),
        httpx.post(f"{server.url}/v1/corrections?source={victim.source}", json=correction(2), headers=thief.headers),
    ]
    assert [answer.status_code for answer in named] == [422, 422, 201, 201]
    assert held(server) == {thief.source: 2}


def test_two_secrets_are_no_secret(small: Server) -> None:
    """A repeated header names at most one source, and a malformed one names none."""
    victim, thief = small.phone(), small.phone()
    for value in (victim.source, victim.secret[:-1], victim.secret + "a", victim.secret + " " + thief.secret, "é" * 43):
        headers = [(b"Authorization", f"Bearer {thief.key}".encode()), (b"Loop-Source", value.encode())]
        data = json.dumps(correction()).encode()
        sent = wire.request("POST", b"/v1/corrections", [*headers, (b"Content-Type", b"application/json")], data)
        answer = wire.ask(small.url, sent)
        assert answer is not None
        assert answer.status == 401
    assert held(small) == {}


@pytest.mark.slow
def test_a_bound_key_speaks_for_its_source_alone(url: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Whatever secret is sent with it, it neither adds to nor erases another source."""
    home = opened(url, tmp_path_factory.mktemp("bound"))
    bound, _ = access.create(home, "relay", Role.APP, source="kiosk 7", actor="tests", now=utc_now())
    with serving(home) as server:
        victim = server.phone()
        server.send(victim)
        relay = Phone(bound, victim.secret)
        assert server.send(relay, 1).status_code == 201
        assert erase(server, victim.source, relay.headers) == 403
        assert held(server) == {victim.source: 1, "kiosk 7": 1}
        assert erase(server, "kiosk%207", relay.headers) == 200
        assert held(server) == {victim.source: 1}
