"""An object of a JSON body has each key once: two readers could believe different values."""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loop.api import bodies
from loop.errors import RepeatedKey
from tests.api import operations
from tests.api.conftest import Server, opened, serving
from tests.api.operations import Operation
from tests.api.test_corrections import correction, stored

ONE = json.dumps(correction(1, key="k"))
BATCH = json.dumps({"corrections": [correction(1, key="k"), correction(2, key="l")]})
REPEATED = {
    "a label": ("/v1/corrections", ONE.replace('"label"', '"label": 3, "label"'), "label"),
    "written in two ways": ("/v1/corrections", ONE.replace('"label"', '"l\\u0061bel": 3, "label"'), "label"),
    "a space before the colon": ("/v1/corrections", ONE.replace('"label"', '"label" : 3, "label"'), "label"),
    "a drawing": ("/v1/drawings", '{"rate": 1, "rate": 0.5, "image": ""}', "rate"),
    "inside a value": ("/v1/corrections", ONE.replace('"label": 4', '"label": {"a": [{"b": 1, "b": 2}]}'), "b"),
    "an item of a batch": ("/v1/corrections:batch", BATCH.replace('"label"', '"label": 3, "label"', 1), "label"),
    "the batch itself": ("/v1/corrections:batch", '{"corrections": [], ' + BATCH[1:], "corrections"),
}


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server for all that follows."""
    folder = tmp_path_factory.mktemp("keys")
    with serving(opened(f"sqlite:///{folder / 'loop.db'}", folder)) as found:
        yield found


def post(server: Server, path: str, body: str) -> httpx.Response:
    """Send a body as it is."""
    headers = server.phone().headers | {"Content-Type": "application/json"}
    return httpx.post(f"{server.url}{path}", content=body, headers=headers)


@pytest.mark.parametrize("name", REPEATED)
def test_a_repeated_key_is_refused(small: Server, name: str) -> None:
    """400 with the key's name, at every depth; nothing is stored."""
    before = stored(small)
    path, body, key = REPEATED[name]
    answer = post(small, path, body)
    assert (answer.status_code, answer.json()["type"]) == (400, "urn:digit-loop:repeated-key"), answer.text
    assert repr(key) in answer.json()["detail"]
    assert stored(small) == before


def test_control_the_same_bodies_without_the_repetition(small: Server) -> None:
    """Each key once: accepted, also where a text looks like a key."""
    assert post(small, "/v1/corrections", ONE).status_code == 201
    assert post(small, "/v1/corrections:batch", BATCH).status_code == 200
    looks_like_one = json.dumps(correction(3, key='": "label": 3, "label" : 4'))
    assert post(small, "/v1/corrections", looks_like_one).status_code == 201


def test_every_operation_with_a_json_body(small: Server) -> None:
    """No operation accepts a repeated key, in UTF-8 or in UTF-16."""
    every = [one for one in operations.every(httpx.get(f"{small.url}/openapi.json").json()) if json_body(one)]
    assert len(every) >= 5
    for operation in every:
        role = sorted(operation.roles)[0]
        headers = small.phone().headers | {"Content-Type": "application/json"}
        headers["Authorization"] = f"Bearer {small.keys[role]}"
        valid = json.dumps(operations.JSON[operation.path])
        first = next(iter(operations.JSON[operation.path]), "any")
        twice = f'"{first}": null, "{first}": null' + ("" if valid == "{}" else ", ")
        for encoding in ("utf-8", "utf-16"):
            body = valid.replace("{", f"{{{twice}", 1).encode(encoding)
            answer = httpx.request(operation.method, small.url + operation.path, content=body, headers=headers)
            assert answer.status_code == 400, (operation, encoding, answer.text)
            assert encoding != "utf-8" or answer.json()["type"] == "urn:digit-loop:repeated-key"


def json_body(operation: Operation) -> bool:
    """Whether an operation takes JSON."""
    return "application/json" in operation.kinds


KEYS = st.sampled_from(["a", "b", 'a":', "\\", "é", '"'])
VALUES = st.recursive(
    st.sampled_from([1, None, ":", '": ', '\\"', "a"]),
    lambda inner: st.lists(inner, max_size=3) | st.lists(st.tuples(KEYS, inner), max_size=3).map(tuple),
    max_leaves=8,
)


def written(value: Any) -> tuple[str, bool]:
    """JSON in which a tuple of pairs is an object, and whether one of its objects has a key twice."""
    if isinstance(value, tuple):
        parts = [(key, *written(each)) for key, each in value]
        repeats = len({key for key, _, _ in parts}) < len(parts)
        text = ", ".join(f"{json.dumps(key)} : {inner}" for key, inner, _ in parts)
        return f"{{{text}}}", repeats or any(within for _, _, within in parts)
    if isinstance(value, list):
        items = [written(each) for each in value]
        return f"[{', '.join(text for text, _ in items)}]", any(within for _, within in items)
    return json.dumps(value), False


@given(VALUES)
def test_exactly_the_repeated_keys_are_found(value: Any) -> None:
    """Any JSON is read as before, unless one of its objects has a key twice."""
    text, repeats = written(value)
    if repeats:
        with pytest.raises(RepeatedKey):
            bodies.json(text.encode())
    else:
        assert bodies.json(text.encode()) == json.loads(text)
