"""Path and id attacks in every string of every operation: no file outside the home is opened, nothing fails inside.

The server runs in a process of its own whose audit hook writes down every file that Python opens, folder it lists,
program it starts, address it looks up or calls.
"""

import base64
import json
import os
import sys
import sysconfig
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from loop.feed import upkeep
from tests.api import operations, wire
from tests.api.conftest import Phone, picture
from tests.api.operations import BOUNDARY, Operation
from tests.api.process import Process, apart
from tests.feed.conftest import WHY, Office
from tests.helpers.paths import ROOT

pytestmark = pytest.mark.slow

OUTSIDE = b"the-content-of-a-file-outside"
ATTACKS = {
    "parent": b"..",
    "parents": b"../../../../../../etc/passwd",
    "backslashes": b"..\\..\\..\\etc\\passwd",
    "absolute": b"/etc/passwd",
    "drive": b"C:\\Windows\\win.ini",
    "file url": b"file:///etc/passwd",
    "http url": b"http://127.0.0.1:1/",
    "data url": b"data:text/plain,x",
    "encoded": b"%2e%2e%2f%2e%2e%2fetc%2fpasswd",
    "encoded twice": b"%252e%252e%252fetc%252fpasswd",
    "overlong": b"%c0%ae%c0%ae%c0%afetc%c0%afpasswd",
    "encoded NUL": b"x%00.mlmodel",
    "NUL": b"x\x00.mlmodel",
    "division slash": "..\u2215..\u2215etc\u2215passwd".encode(),
    "fullwidth": "\uff0e\uff0e\uff0fetc\uff0fpasswd".encode(),
    "one dot leader": "\u2024\u2024/etc/passwd".encode(),
    "very long": b"a" * 20_000,
    "deep": b"../" * 2_000,
    "line ends": b"x\r\nX-Injected: yes",
    "encoded line ends": b"x%0d%0aX-Injected:%20yes",
    "empty": b"",
    "blank": b" ",
    "emoji": "🙂".encode(),
    "right to left": "\u202egpj.x".encode(),
    "combining": "é".encode() + b"/e\xcc\x81",
    "surrogate": b"\xed\xa0\x80",
    "not UTF-8": b"\xff\xfe..",
    "home": b"~/.ssh/id_rsa",
    "shell": b"$(id);`id`|id",
    "SQL": b"' OR 1=1 --",
    "template": b"{{7*7}}${7*7}%s%n{0}",
    "device": b"/dev/stdin",
    "proc": b"/proc/self/environ",
    "dot": b".",
    "hidden": b".lock",
    "wildcard": b"*",
    "minus": b"-1",
    "huge number": b"9" * 400,
    "digest": b"0" * 64,
}
HEADERS = (
    b"Accept",
    b"Authorization",
    b"Content-Encoding",
    b"Content-Type",
    b"Cookie",
    b"Forwarded",
    b"Host",
    b"Idempotency-Key",
    b"If-Match",
    b"If-Modified-Since",
    b"If-None-Match",
    b"If-Range",
    b"Loop-Source",
    b"Origin",
    b"Range",
    b"Referer",
    b"X-Forwarded-For",
    b"X-Forwarded-Host",
    b"X-HTTP-Method-Override",
    b"X-Original-URL",
    b"X-Request-Id",
)


@dataclass(frozen=True, slots=True)
class Field:
    """A string in a request: its place and its name."""

    operation: Operation
    where: str
    name: str

    def __str__(self) -> str:
        """The id of a test."""
        return f"{self.operation} {self.where} {self.name}"


def fields(operation: Operation) -> Iterator[Field]:
    """Every string that a request may contain, described or not."""
    yield Field(operation, "target", "")
    for where, name in sorted(operation.parameters):
        if where in {"path", "query"}:
            yield Field(operation, where, name)
    yield Field(operation, "query", "unknown")
    yield Field(operation, "query name", "")
    for header in HEADERS:
        yield Field(operation, "header", header.decode())
    for kind, content in operation.described.get("requestBody", {}).get("content", {}).items():
        if kind == "application/json":
            yield Field(operation, "body", kind)
            yield Field(operation, "json name", "")
            for name in names(operation, content["schema"]):
                yield Field(operation, "json", name)
        if kind == "multipart/form-data":
            for name in names(operation, content["schema"]):
                yield Field(operation, "part", name)
            for where in ("part name", "file name", "part type", "disposition", "boundary"):
                yield Field(operation, where, "image")


def names(operation: Operation, schema: Mapping[str, Any]) -> list[str]:
    """The fields of a body; for a batch, those of its corrections, too."""
    if "$ref" in schema:
        return sorted(operations.JSON[operation.path])
    found = list(schema["properties"])
    inner = schema["properties"].get("corrections", {}).get("items", {}).get("properties", {})
    return found + [f"corrections.{name}" for name in inner]


def request(field: Field, attack: bytes, key: str, phone: Phone) -> bytes:
    """A request that is valid except for one string."""
    operation = field.operation
    data, kind = operations.body(operation)
    headers = operations.headers(key, phone, kind)
    target = operation.target()
    text = attack.decode("utf-8", "surrogateescape")
    if field.where == "target":
        target = attack
    elif field.where == "path":
        target = operation.target(**{field.name: text})
    elif field.where == "query":
        target += b"?" + field.name.encode() + b"=" + attack
    elif field.where == "query name":
        target += b"?" + attack + b"=1"
    elif field.where == "header":
        headers[field.name.encode()] = attack
    elif field.where == "body":
        data = attack
    elif field.where.startswith("json"):
        data = in_json(field, text)
    else:
        headers[b"Content-Type"], data = in_multipart(field, attack)
    return wire.request(operation.method, target, headers.items(), data)


def in_json(field: Field, text: str) -> bytes:
    """The JSON body with an attack as one value, or as one name."""
    found = json.loads(json.dumps(operations.JSON[field.operation.path]))
    where, _, name = field.name.rpartition(".")
    inner = found["corrections"][0] if where else found
    inner[name if field.where == "json" else text] = text
    return json.dumps(found, ensure_ascii=False).encode("utf-8", "surrogateescape")


def in_multipart(field: Field, attack: bytes) -> tuple[bytes, bytes]:
    """Content type and multipart body with an attack in one place."""
    kind = b"multipart/form-data; boundary=" + (attack if field.where == "boundary" else BOUNDARY)
    parts = {b"label": b"4", b"predicted": b"9", b"image": picture(1)}
    dispositions = {
        "file name": b'form-data; name="%s"; filename="' + attack.replace(b"%", b"%%") + b'"',
        "part type": b'form-data; name="%s"\r\nContent-Type: ' + attack.replace(b"%", b"%%"),
        "disposition": attack.replace(b"%", b"%%") + b'; name="%s"',
    }
    if field.where == "part":
        parts[field.name.encode()] = attack
    if field.where == "part name":
        parts[attack] = b"x"
    return kind, operations.multipart(parts, dispositions.get(field.where, b'form-data; name="%s"'))


@pytest.fixture
def process(url: str, tmp_path: Path) -> Iterator[Process]:
    """A server with a published feed, beside a file that is none of its business; on each database, which take strings
    differently.
    """
    (tmp_path / "outside").write_bytes(OUTSIDE)
    with apart(url, tmp_path) as found:
        office = Office(found.home, found.home.settings.published)
        office.register()
        office.create()
        upkeep.follow(found.home, WHY, office.now)
        yield found


def chosen(row: int, every: int) -> list[tuple[str, bytes]]:
    """A sample of the attacks, another in each row, and always those that databases handle differently."""
    return [each for i, each in enumerate(ATTACKS.items()) if (i + row) % every == 0 or "NUL" in each[0]]


def described(process: Process) -> list[Operation]:
    """The server's operations."""
    return operations.every(httpx.get(f"{process.url}/openapi.json").json())


@pytest.mark.parametrize("every", [12, pytest.param(1, marks=pytest.mark.campaign)])
def test_no_string_leads_out_of_the_home(process: Process, every: int) -> None:
    """Every field × every attack (or every twelfth), as raw bytes: no 5xx, no header of theirs in ours, and nothing of
    a file outside.
    """
    phone, sent = process.phone(), 0
    for operation in described(process):
        key = process.keys[max(operation.roles or {"ops"})]
        for row, field in enumerate(fields(operation)):
            for name, attack in chosen(row, every):
                answer = wire.ask(process.url, request(field, attack, key, phone))
                sent += 1
                if answer is None:
                    continue
                assert answer.status < 500, (str(field), name, answer)
                assert "x-injected" not in answer.headers, (str(field), name)
                assert OUTSIDE not in answer.body, (str(field), name)
                assert b"root:x:0" not in answer.body, (str(field), name)
    print(f"{sent:,} requests")  # noqa: T201  (a figure for docs/results.md)
    assert sent > 16_000 / every
    assert httpx.get(f"{process.url}/readyz").status_code == 200
    check_listing(process)


def test_known_secrets_are_not_to_be_fetched(process: Process) -> None:
    """Keys, the database and files beside the published folder, by every name that might reach them."""
    home = process.home.settings.home
    wanted = [
        "keys",
        "loop.db",
        "../loop.db",
        "../../outside",
        "../keys",
        str(home / "loop.db"),
        ".lock",
        "../artifacts",
    ]
    prefixes = ["/v1/models/", "/v1/golden/", "/v1/root/", "/v1/feed/", "/", "/static/", "/v1/", "/docs/", "/web/"]
    for prefix in prefixes:
        for name in wanted:
            for spelt in (name, name.replace("/", "%2f"), name.replace(".", "%2e"), name.replace("/", "%252f")):
                answer = wire.ask(process.url, wire.request("GET", (prefix + spelt).encode()))
                assert answer is not None
                assert answer.status in {400, 401, 404, 405}, (prefix, spelt, answer.status)
    check_listing(process)


def test_the_hook_hears(process: Process) -> None:
    """The listing contains the one file that is opened, so it would contain others."""
    with process.home.store.read() as tx:
        digest = upkeep.versions.get(tx, 1).artifact_digest
    assert httpx.get(f"{process.url}/v1/models/{digest}").status_code == 200
    published = process.home.settings.published / "models" / f"{digest}.mlmodel"
    assert ("open", str(published)) in process.opened()
    picture_ = base64.b64decode(operations.JSON["/v1/corrections"]["image"])
    assert httpx.get(f"{process.url}/v1/feed").status_code == 200
    assert picture_.startswith(b"\x89PNG")
    assert ("open", str(process.home.settings.published / "feed.json")) in process.opened()


def check_listing(process: Process) -> None:
    """Only the home, and what Python itself needs, by reason."""
    home = str(process.home.settings.home)
    database = str(process.home.settings.home.parent / "loop.db")  # where the tests have SQLite's
    libraries = {sys.prefix, sys.base_prefix, sysconfig.get_path("stdlib"), sysconfig.get_path("purelib")}
    ours = ROOT
    allowed = (
        home + os.sep,
        database,
        *(each + os.sep for each in libraries),  # modules that are imported when first needed
        *(str(ours / room) + os.sep for room in ("loop", "models", "migrations", "tests")),  # ours, the same
        "/usr/share/zoneinfo/",  # time zones
        "/proc/sys/kernel/random/boot_id",  # names the process that holds a run
    )
    calls = ("subprocess.", "os.system", "os.exec", "os.posix_spawn", "os.spawn", "socket.")
    strange = {
        (event, what)
        for event, what in process.opened()
        if event.startswith(calls) or not (what == home or what.startswith(allowed) or what.isdecimal())
    }
    assert not strange
