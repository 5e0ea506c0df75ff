"""The API conforms to its OpenAPI document: every operation is called with valid and with invalid requests."""

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

from loop.api import problems
from loop.asking import announcing
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
OPERATION_IDS = {
    "send_correction": "POST /v1/corrections",
    "send_batch": "POST /v1/corrections:batch",
    "send_drawing": "POST /v1/drawings",
    "send_drawings": "POST /v1/drawings:batch",
    "list_corrections": "GET /v1/corrections",
    "get_correction": "GET /v1/corrections/{id}",
    "withdraw_correction": "DELETE /v1/corrections/{id}",
    "get_source": "GET /v1/sources/{source}",
    "export_source": "GET /v1/sources/{source}/export",
    "erase_source": "DELETE /v1/sources/{source}",
    "get_asking": "GET /v1/asking",
    "get_feed": "GET /v1/feed",
    "get_root": "GET /v1/root/{name}",
    "get_model": "GET /v1/models/{name}",
    "get_golden": "GET /v1/golden/{name}",
    "predict": "POST /v1/predictions",
    "list_versions": "GET /v1/versions",
    "get_version": "GET /v1/versions/{number}",
    "list_moves": "GET /v1/moves",
    "promote": "POST /v1/promotions",
    "roll_back": "POST /v1/rollbacks",
    "request_night": "POST /v1/runs",
    "list_runs": "GET /v1/runs",
    "get_run": "GET /v1/runs/{number}",
    "challenge_attestation": "POST /v1/attestation/challenge",
    "attest_source": "POST /v1/attestation",
    "next_questions": "POST /v1/review/next",
    "answer_question": "POST /v1/review/answers",
    "undo_answer": "POST /v1/review/undo",
    "give_back_questions": "POST /v1/review/give-back",
    "review_status": "GET /v1/review/status",
    "healthz": "GET /healthz",
    "readyz": "GET /readyz",
    "metrics": "GET /metrics",
}
FORGIVING = {"POST /v1/corrections:batch", "POST /v1/drawings:batch"}  # answers each upload by itself
FIXED = {
    "GET /v1/asking",
    "GET /v1/feed",
    "GET /v1/review/status",
    "GET /healthz",
    "GET /readyz",
    "GET /metrics",
    "POST /v1/attestation/challenge",
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
        announcing.announce(found.home, office.now)
        upkeep.follow(found.home, WHY, office.now)
        yield found


@pytest.fixture(scope="module")
def document(process: Process) -> dict[str, Any]:
    """The document as clients get it."""
    found: dict[str, Any] = httpx.get(f"{process.url}/openapi.json").json()
    return found


BODILESS = {"/v1/attestation/challenge"}
"""Requests that say everything with their headers."""


def test_the_document_is_complete(document: dict[str, Any]) -> None:
    """Every parameter of a path is described, every operation has a summary and description, most POSTs a body."""
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            named = {each["name"] for each in operation.get("parameters", []) if each["in"] == "path"}
            assert named == {part[1:-1] for part in path.split("/") if part.startswith("{")}, path
            assert operation["summary"]
            assert operation["description"]
            if method == "post":
                assert ("requestBody" in operation) == (path not in BODILESS)


def test_operations_have_stable_names(document: dict[str, Any]) -> None:
    """Generated clients name their functions after ``operationId``: a change here breaks the code of app developers."""
    found = {
        operation["operationId"]: f"{method.upper()} {path}"
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    }
    assert found == OPERATION_IDS
    assert set(found.values()) == set(EXPECTED)


def test_refusals_refer_to_one_schema(document: dict[str, Any]) -> None:
    """Every refusal is a ``Problem`` by reference, with the headers of its status; its types are an enum."""
    for path, methods in document["paths"].items():
        for operation in methods.values():
            for status, answer in operation["responses"].items():
                if status >= "400":
                    content = answer["content"]["application/problem+json"]
                    assert content == {"schema": {"$ref": "#/components/schemas/Problem"}}, (path, status)
                if status in {"429", "503"}:
                    assert "Retry-After" in answer["headers"]
    assert document["components"]["schemas"]["Problem"]["properties"]["type"]["enum"] == list(problems.TYPES)
    assert "HTTPValidationError" not in document["components"]["schemas"]


def test_files_have_their_media_type_and_schema(document: dict[str, Any]) -> None:
    """A model is bytes and nothing else; feed, roots and golden vectors are JSON with a schema; each has an ETag."""
    expected = {
        "/v1/feed": "SignedFeed",
        "/v1/asking": "SignedAsking",
        "/v1/root/{name}": "SignedRoot",
        "/v1/golden/{name}": "Golden",
    }
    for path, model in expected.items():
        answer = document["paths"][path]["get"]["responses"]["200"]
        assert answer["content"] == {"application/json": {"schema": {"$ref": f"#/components/schemas/{model}"}}}
        assert "ETag" in answer["headers"]
    model = document["paths"]["/v1/models/{name}"]["get"]["responses"]["200"]
    assert model["content"] == {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}


def test_every_example_of_a_body_is_taken(document: dict[str, Any], process: Process) -> None:
    """The examples in the document are valid requests."""
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
    if kind == "application/octet-stream":
        return data
    if not isinstance(body, dict):
        return body
    for plural in ("corrections", "drawings"):
        if isinstance(body.get(plural), list):
            return body | {plural: [with_picture(each, kind, number + i) for i, each in enumerate(body[plural])]}
    if "image" in body:
        return body | {"image": data if kind == "multipart/form-data" else base64.b64encode(data).decode()}
    return body
