"""The operations of the OpenAPI document, each with a valid request; tests are generated from them."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tests.api import wire
from tests.api.conftest import Phone, picture
from tests.api.test_corrections import correction
from tests.api.test_drawings import drawing

BOUNDARY = b"a-boundary"
REASON = "a test"
PATHS = {"source": "s" + "0" * 40, "name": "0" * 64, "number": "1", "id": "1"}
JSON = {
    "/v1/corrections": correction(1, key="k"),
    "/v1/corrections:batch": {"corrections": [correction(1, key="k")]},
    "/v1/drawings": drawing(1, key="k"),
    "/v1/drawings:batch": {"drawings": [drawing(1, key="k")]},
    "/v1/attestation": {"key_id": "A" * 43 + "=", "attestation": "o2Nm"},
    "/v1/promotions": {"version": 1, "reason": REASON},
    "/v1/rollbacks": {"family": "cnn", "reason": REASON},
    "/v1/runs": {"family": "cnn"},
    "/v1/review/next": {"count": 3},
    "/v1/review/answers": {"question": 1, "label": 7},
    "/v1/review/undo": {},
    "/v1/review/give-back": {"questions": [1]},
}


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation as the document describes it."""

    method: str
    path: str
    described: Mapping[str, Any]

    def __str__(self) -> str:
        """The name in the tables of the tests."""
        return f"{self.method} {self.path}"

    @property
    def roles(self) -> frozenset[str]:
        """The roles that may call it; none means public. Raises ``KeyError`` if the document has no entry."""
        return frozenset(self.described["x-loop-roles"])

    @property
    def parameters(self) -> set[tuple[str, str]]:
        """(where, name) of each, as described."""
        return {(each["in"], each["name"]) for each in self.described.get("parameters", [])}

    @property
    def kinds(self) -> set[str]:
        """Media types of the body."""
        return set(self.described.get("requestBody", {}).get("content", {}))

    def target(self, **values: str) -> bytes:
        """The path with its parameters filled in."""
        return self.path.format_map(PATHS | values).encode("utf-8", "surrogateescape")


def every(document: Mapping[str, Any]) -> list[Operation]:
    """All operations of an OpenAPI document."""
    return [
        Operation(method.upper(), path, described)
        for path, methods in document["paths"].items()
        for method, described in methods.items()
    ]


def body(operation: Operation) -> tuple[bytes, bytes]:
    """A valid body and its media type."""
    if operation.path in JSON and operation.kinds:
        return json.dumps(JSON[operation.path]).encode(), b"application/json"
    return (picture(1), b"image/png") if operation.kinds else (b"", b"application/json")


def headers(key: str | None, phone: Phone, kind: bytes) -> dict[bytes, bytes]:
    """The headers of every request."""
    found = {b"Loop-Source": phone.secret.encode(), b"Content-Type": kind}
    return found | ({} if key is None else {b"Authorization": b"Bearer " + key.encode()})


def multipart(fields: Mapping[bytes, bytes], disposition: bytes = b'form-data; name="%s"') -> bytes:
    """Fields as multipart/form-data, with names as given."""
    parts = [
        b"--" + BOUNDARY + b"\r\nContent-Disposition: " + disposition % name + b"\r\n\r\n" + value + b"\r\n"
        for name, value in fields.items()
    ]
    return b"".join(parts) + b"--" + BOUNDARY + b"--\r\n"


def call(url: str, operation: Operation, key: str | None, phone: Phone) -> wire.Answer:
    """The answer to a valid call of the operation."""
    data, kind = body(operation)
    sent = headers(key, phone, kind)
    answer = wire.ask(url, wire.request(operation.method, operation.target(), sent.items(), data))
    assert answer is not None
    return answer
