"""``docs/schemas``: a document is valid under its schema exactly if the clients accept its form, but for what a schema
cannot state, which is listed here and in docs/feed.md.
"""

import copy
import json
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import jsonschema_rs
import pytest

from loop.errors import FeedRefused
from loop.evaluation import golden_file
from loop.feed import canonical, document, envelope
from loop.feed.asking import parse_asking
from loop.store.asking import policies
from loop.store.asking.policies import SetPolicy
from tests.clients import golden_vectors
from tests.clients.test_vectors import committed
from tests.feed.conftest import Office, small
from tests.feed.simulator import Publisher, id_of, key
from tests.helpers.paths import ROOT

__all__ = ["small"]  # pytest finds the fixture by its name

FOLDER = ROOT / "docs/schemas"
Plain = dict[str, Any]
SIGNED = {"feed": document.parse_feed, "root": document.parse_root, "asking": parse_asking}
UNSAYABLE = {
    "expires_before_it_was_issued",
    "expires as it is issued",
    "withdrawn_model_offered",
    "one_signature_twice",
    "root_signed_twice_by_one_key_of_two",
    "key_id_of_another_key",
    "white space",
    *(f"not_canonical_{name}" for name in ("white_space", "keys_out_of_order", "duplicate_json_keys", "escaped_text")),
    *(f"not_canonical_{name}" for name in ("fraction", "exponent")),
}
"""Refusals of form that concern bytes, order, or two members at once."""
STRANGE: tuple[Any, ...] = (
    None,
    True,
    False,
    0,
    -1,
    1,
    2,
    16,
    17,
    99,
    100,
    101,
    1.5,
    MILLION := 1_000_000,
    MILLION + 1,
    1 << 20,
    (1 << 20) + 1,
    256 << 20,
    (256 << 20) + 1,
    2**53 - 1,
    2**53,
    10**400,
    "",
    "x",
    'a "quote"',
    "é",
    "1",
    "13.0",
    "9.3",
    "13.00",
    "013.0",
    "100.0",
    "13",
    "feed",
    "root",
    "asking",
    "0" * 64,
    "A" * 64,
    "0" * 63,
    "0" * 64 + "\n",
    "0" * 128,
    "2026-05-03T03:00:00Z",
    "2026-05-03T03:00:00Z\n",
    "2026-05-03T03:00:60Z",
    "2026-05-03T24:00:00Z",
    "2026-04-31T03:00:00Z",
    "2026-13-01T03:00:00Z",
    "2026-00-01T03:00:00Z",
    "2026-02-30T03:00:00Z",
    "0999-05-03T03:00:00Z",
    "2026-05-03t03:00:00z",
    "2026-05-03T03:00:00+00:00",
    [],
    ["0" * 64],
    ["margin_ppm"],
    ["colour"],
    [1],
    {},
    {"x": 1},
)


NAMES = ("x", "0" * 64, "svm.mlmodel", "Cnn.mlmodel", "a.b.mlmodel", "aaaaabbbbbcccccddddde.mlmodel", "é")


@cache
def schema(name: str) -> Any:
    """A schema's validator, itself valid under its meta-schema."""
    plain = json.loads((FOLDER / f"{name}.schema.json").read_bytes())
    jsonschema_rs.meta.validate(plain)
    assert plain["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert plain["$id"] == f"urn:digit-loop:schema:{name}:1"
    return jsonschema_rs.Draft202012Validator(plain)


def read(data: bytes) -> Any:
    """JSON, or None for bytes that are none: no schema is asked about those."""
    try:
        return json.loads(data.decode(), parse_constant=pytest.fail)
    except (ValueError, RecursionError, pytest.fail.Exception):
        return None


def valid(name: str, data: bytes) -> bool:
    """Whether the bytes are JSON that the schema accepts."""
    plain = read(data)
    return plain is not None and bool(schema(name).is_valid(plain))


def accepted(kind: str, plain: Plain) -> bool:
    """Whether the clients' parsers accept the envelope and its signed part."""
    try:
        signed = envelope.unseal(canonical.encode(plain))
        SIGNED[kind](signed.body)
    except FeedRefused:
        return False
    return True


def sayable(kind: str, plain: Plain) -> bool:
    """Whether no rule that a schema cannot state refuses the document."""
    signed = plain["signed"]
    keys = [each["key"] for each in plain["signatures"]]
    if keys != sorted(set(keys)):
        return False
    if kind == "root":
        return all(
            document.key_id(each if isinstance(each, str) else each["public"]) == id_
            for role in ("root", "feed")
            for id_, each in signed[role]["keys"].items()
        )
    if signed["expires"] <= signed["issued"]:
        return False
    withdrawn = signed.get("withdrawn", [])
    offered = {each["digest"] for each in signed.get("channels", {}).values()}
    return withdrawn == sorted(withdrawn) and not offered & set(withdrawn)


def places(plain: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of every member and element."""
    if isinstance(plain, dict | list):
        for name, each in plain.items() if isinstance(plain, dict) else enumerate(plain):
            yield (*path, name)
            yield from places(each, (*path, name))


def changed(plain: Plain) -> Iterator[Plain]:
    """The document with each member removed, renamed, or replaced by each strange value; with one member more."""

    def at(path: tuple[Any, ...], change: Callable[[Any, Any], object]) -> Plain:
        made = copy.deepcopy(plain)
        inner: Any = made
        for name in path[:-1]:
            inner = inner[name]
        change(inner, path[-1])
        return made

    for path in places(plain):
        yield at(path, lambda inner, name: inner.pop(name))
        for value in STRANGE:
            yield at(path, lambda inner, name, value=value: inner.__setitem__(name, value))
        if isinstance(path[-1], str):
            for name in (
                "x",
                "0" * 64,
                "svm.mlmodel",
                "Cnn.mlmodel",
                "a.b.mlmodel",
                "aaaaabbbbbcccccddddde.mlmodel",
                "é",
            ):
                yield at(path, lambda inner, old, name=name: inner.__setitem__(name, inner.pop(old)))
                yield at(path, lambda inner, old, name=name: inner.setdefault(name, inner[old]))
        else:
            yield at(path, lambda inner, index: inner.append(inner[index]))


def honest() -> dict[str, Plain]:
    """One document of each kind, with all that it may contain."""
    publisher = Publisher(feed_keys=[key("feed-1"), key("feed-2")])
    feed = json.loads(publisher.publish(1, withdrawn=("1" * 64, "2" * 64), urgent=True))
    root = json.loads(publisher.rotate(root_keys={id_of(k): envelope.public_half(k) for k in publisher.root_keys}))
    files = committed("asking.json")["documents"]
    asking = json.loads(next(data for name, data in _texts(files) if name == "critical and known"))
    return {"feed": feed, "root": root, "asking": asking}


def _texts(files: list[Plain]) -> Iterator[tuple[str, bytes]]:
    for each in files:
        yield each["name"], data(each["file"])


def data(parts: list[Any]) -> bytes:
    """The bytes of ``vectors.file_text``."""
    return "".join(part if isinstance(part, str) else part[0] * part[1] for part in parts).encode("latin-1")


def kind_of(path: str) -> str | None:
    """Which schema a published file has."""
    kinds = {"feed.json": "feed", "asking.json": "asking", "root": "root", "golden": "golden"}
    return kinds.get(path.partition("/")[0])


@pytest.mark.slow
@pytest.mark.parametrize("kind", SIGNED)
def test_strict_as_the_clients(kind: str) -> None:
    """Of thousands of changed documents the schema accepts those that the parsers accept but for what it cannot say."""
    plain, outcomes = honest()[kind], {True: 0, False: 0}
    assert accepted(kind, plain)
    assert schema(kind).is_valid(plain)
    for made in changed(plain):
        if schema(kind).is_valid(made) and not sayable(kind, made):
            assert not accepted(kind, made), made
            continue
        found = accepted(kind, made)
        assert schema(kind).is_valid(made) == found, made
        outcomes[found] += 1
    assert min(outcomes.values()) > 20, outcomes


def test_the_golden_schema_is_strict_too() -> None:
    """The same for golden files, at the client's parser."""
    _, honest_file = next(golden_vectors.files())
    outcomes = {True: 0, False: 0}
    for made in changed(json.loads(honest_file)):
        try:
            golden_file.parse(json.dumps(made).encode())
            found = True
        except ValueError:
            found = False
        named = found and document.HEX64.fullmatch(made["model"]) is not None  # other texts belong to no model
        assert schema("golden").is_valid(made) == named, made
        outcomes[found] += 1
    assert min(outcomes.values()) > 20


def test_every_good_vector_is_valid_and_every_bad_form_is_not() -> None:
    """The feeds, roots and policies of the vectors: those that a device followed are valid; those that it refused for
    their form are not, but for the ones of ``UNSAYABLE``, each of which the schema accepts.
    """
    form = {"BadDocument", "UnknownFormat", "NotCanonical", "KeyMismatch"}
    feeds, said, silent, good = committed("feed.json"), set(), set(), 0
    for scenario in [*feeds["scenarios"], *feeds["updates"]]:
        for step in scenario["steps"]:
            files = {path: data(feeds["files"][name]) for path, name in step["files"].items() if kind_of(path)}
            bad = [path for path, each in files.items() if not valid(kind_of(path) or "", each)]
            if step["refusal"] in form and not step.get("built_in"):
                (said if bad else silent).add(scenario["name"])
            elif step["refusal"] is None:
                assert bad == [], scenario["name"]
                good += len(files)
    for each in committed("asking.json")["documents"]:
        is_valid = valid("asking", data(each["file"]))
        if each["refusal"] in form:
            (silent if is_valid else said).add(each["name"])
        elif each["refusal"] is None:
            assert is_valid, each["name"]
            good += 1
    assert good > 100
    assert silent == UNSAYABLE
    assert len(said) > 30


def test_every_golden_vector_is_judged_alike() -> None:
    """Golden files: valid if accepted; refused ones are invalid unless only the model's answers are at fault."""
    answers = {"another model", "another label", "a probability is off", "nine levels"}
    for each in committed("golden.json")["files"]:
        expected = each["refusal"] is None or each["name"] in answers
        assert valid("golden", data(each["file"])) == expected, each["name"]


def test_what_a_home_publishes_is_valid(small: Office) -> None:
    """Every file that a real home writes: roots, feeds with a withdrawal, asking policies, golden vectors."""
    small.create()
    small.register()
    with small.home.store.exclusive() as tx:
        policy = {"margin_ppm": 300_000, "unsure_ppm": MILLION, "other_ppm": 0, "ask_user": True, "asked_a_day": 3}
        policies.add(tx, SetPolicy(policy, ("a test",), "ops", small.now))
    small.publish()
    small.rotate(recover=True)
    small.publish(rollout_percent=10)
    found = [path for path in small.folder.rglob("*.json") if path.is_file()]
    names = [path.relative_to(small.folder).as_posix() for path in found]
    assert {kind_of(name) for name in names} == {"feed", "asking", "root", "golden"}
    for name, path in zip(names, found, strict=True):
        schema(kind_of(name) or "").validate(json.loads(path.read_bytes()))


def test_limits_are_those_of_the_parsers() -> None:
    """The numbers in the schemas are the constants of the code."""
    feed = json.loads((FOLDER / "feed.schema.json").read_bytes())
    signed, defs = feed["properties"]["signed"]["properties"], feed["$defs"]
    assert signed["withdrawn"]["maxItems"] == document.MAX_WITHDRAWN
    assert signed["channels"]["maxProperties"] == document.MAX_CHANNELS
    assert defs["release"]["properties"]["length"]["maximum"] == document.MAX_MODEL_BYTES
    assert defs["golden"]["properties"]["length"]["maximum"] == document.MAX_GOLDEN_BYTES
    assert feed["properties"]["signatures"]["maxItems"] == document.MAX_KEYS
