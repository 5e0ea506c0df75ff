"""The API does what its OpenAPI document says: every operation called with what the document allows, and forbids."""

import base64
import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis import checks as general
from schemathesis.specs.openapi import checks as described

from loop.feed import upkeep
from tests.api.conftest import picture
from tests.api.process import Process, apart
from tests.api.test_roles import EXPECTED
from tests.feed.conftest import WHY, Office
from tests.helpers import malformed, stores

pytestmark = pytest.mark.slow

CHECKS = [
    general.not_a_server_error,
    described.status_code_conformance,
    described.content_type_conformance,
    described.response_headers_conformance,
    described.response_schema_conformance,
    described.ignored_auth,
    described.unsupported_method,
]
FORGIVING = {"POST /v1/corrections:batch"}  # answers each correction by itself
FIXED = {
    "GET /v1/feed",
    "GET /healthz",
    "GET /readyz",
    "GET /metrics",
    "POST /v1/predictions",
}  # nothing can be said wrongly
RUNS = [
    (name, mode) for name in EXPECTED for mode in GenerationMode if mode is GenerationMode.POSITIVE or name not in FIXED
]
STRICT = settings(
    database=None, deadline=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck), print_blob=False
)


@pytest.fixture(scope="module", params=["sqlite", pytest.param("postgresql", marks=pytest.mark.campaign)])
def process(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    """A server with two versions and a published feed."""
    folder = tmp_path_factory.mktemp("openapi")
    local = f"sqlite:///{folder / 'loop.db'}"
    with apart(
        local if request.param == "sqlite" else stores.cleared(request.getfixturevalue("postgres")), folder
    ) as found:
        office = Office(found.home, found.home.settings.published)
        office.register()
        office.register()
        office.create()
        upkeep.follow(found.home, WHY, office.now)
        yield found


@pytest.fixture(scope="module")
def document(process: Process) -> dict[str, Any]:
    """The document as a client gets it."""
    found: dict[str, Any] = httpx.get(f"{process.url}/openapi.json").json()
    return found


def test_the_document_is_complete(document: dict[str, Any]) -> None:
    """Every parameter of a path is described, every operation has words, and what takes a body shows one."""
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            named = {each["name"] for each in operation.get("parameters", []) if each["in"] == "path"}
            assert named == {part[1:-1] for part in path.split("/") if part.startswith("{")}, path
            assert operation["summary"]
            assert operation["description"]
            if method == "post":
                assert operation["requestBody"]["content"]


def test_every_example_of_a_body_is_taken(document: dict[str, Any], process: Process) -> None:
    """What the document shows can be sent as it stands."""
    phone, sent = process.phone(), 0
    for path, methods in document["paths"].items():
        content = methods.get("post", {}).get("requestBody", {}).get("content", {})
        for kind, shown in content.items():
            if "example" not in shown:
                continue
            answer = httpx.post(
                process.url + path, content=json.dumps(shown["example"]), headers=phone.headers | {"Content-Type": kind}
            )
            assert answer.status_code in {200, 201}, answer.text
            if path.endswith("batch"):
                assert {each["status"] for each in answer.json()["answers"]} == {201}
            sent += 1
    assert sent >= 2


@pytest.mark.parametrize(("name", "mode"), RUNS)
@pytest.mark.parametrize("n", [4, pytest.param(300, marks=pytest.mark.campaign)])
def test_every_operation(process: Process, document: dict[str, Any], name: str, mode: GenerationMode, n: int) -> None:
    """Answers have a described status, type, headers and shape; what the document forbids is refused; no 5xx."""
    method, path = name.split()
    operation = schemathesis.openapi.from_dict(document)[path][method]
    role = max(EXPECTED[name] or {"ops"})
    sound = mode is GenerationMode.POSITIVE
    statuses: Counter[int] = Counter()
    headers = {"Authorization": f"Bearer {process.keys[role]}", "Loop-Source": process.phone().secret}
    cases = operation.as_strategy(generation_mode=mode, headers=headers)
    checks = [each for each in CHECKS if EXPECTED[name] or each is not described.ignored_auth]
    if not sound and name not in FORGIVING:
        checks.append(described.negative_data_rejection)

    @seed(1)
    @settings(STRICT, max_examples=n)
    @given(case=cases, pictured=st.integers(0, 99))
    def call(case: schemathesis.Case, pictured: int) -> None:
        if sound:
            case.body = with_picture(case.body, case.media_type, pictured)
        answer = case.call(base_url=process.url, headers=headers)
        statuses[answer.status_code] += 1
        case.validate_response(answer, checks=checks, headers=headers)

    call()
    print(name, mode.value, dict(statuses))  # noqa: T201
    assert statuses


def with_picture(body: Any, kind: str | None, number: int) -> Any:
    """Give a body a real picture, which no schema can describe, mostly."""
    data = picture(number) if number % 5 else list(malformed.bases().values())[number % 12]
    if kind in {"image/png", "image/jpeg"}:
        return data
    if not isinstance(body, dict):
        return body
    if isinstance(body.get("corrections"), list):
        return body | {
            "corrections": [with_picture(each, kind, number + i) for i, each in enumerate(body["corrections"])]
        }
    if "image" in body:
        return body | {"image": data if kind == "multipart/form-data" else base64.b64encode(data).decode()}
    return body
