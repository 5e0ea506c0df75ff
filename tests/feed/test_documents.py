"""Canonical JSON, documents and envelopes have one encoding each, and no input crashes a parser."""

import json
from contextlib import suppress
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loop.errors import FeedRefused
from loop.feed import canonical, document, envelope, fields, refusals
from tests.feed.simulator import NOW, Publisher, id_of, key

TEXTS = st.text(st.characters(min_codepoint=32, max_codepoint=126, exclude_characters='"\\'), max_size=8)
VALUES = st.recursive(
    st.integers(0, canonical.MAX_INTEGER) | st.booleans() | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)
OBJECTS = st.dictionaries(TEXTS, VALUES, max_size=4)


def fits(value: object) -> bool:
    """Whether the value is shallow enough; brackets inside its strings count as levels when it is parsed."""
    try:
        canonical.require_shallow(canonical.encode(value))
    except refusals.NotCanonical:
        return False
    return True


@pytest.mark.slow
@settings(deadline=None)
@given(OBJECTS.filter(fits))
def test_what_is_written_is_read_back(value: dict[str, object]) -> None:
    """parse(encode(x)) equals x, and encode gives Python's sorted, compact JSON."""
    data = canonical.encode(value)
    assert canonical.parse(data) == value
    assert json.loads(data) == value


@pytest.mark.slow
@settings(deadline=None)
@given(OBJECTS.filter(fits), st.data())
def test_one_value_one_encoding(value: dict[str, object], data: st.DataObject) -> None:
    """A changed byte is refused or gives another value: no value has two encodings."""
    written = bytearray(canonical.encode(value))
    at = data.draw(st.integers(0, len(written) - 1))
    written[at] = data.draw(st.integers(0, 255))
    try:
        read = canonical.parse(bytes(written))
    except refusals.NotCanonical:
        return
    assert canonical.encode(read) == bytes(written)


@settings(deadline=None, max_examples=200)
@given(st.binary(max_size=200) | st.text(max_size=50).map(str.encode))
def test_no_bytes_crash_a_parser(data: bytes) -> None:
    """For any bytes the parsers return a value or raise their own error."""
    for read in (canonical.parse, document.parse_feed, document.parse_root, envelope.unseal):
        with suppress(FeedRefused):
            read(data)


@pytest.mark.slow
@settings(deadline=None, max_examples=150)
@given(st.data())
def test_no_changed_byte_survives_a_signature(data: st.DataObject) -> None:
    """A byte changed anywhere in a signed feed is refused, or lies outside what our key signed."""
    p = Publisher()
    good = p.publish(1)
    publics = {id_of(k): envelope.public_half(k) for k in p.feed_keys}
    at, bit = data.draw(st.integers(0, len(good) - 1)), data.draw(st.integers(0, 7))
    bad = bytearray(good)
    bad[at] ^= 1 << bit
    with suppress(FeedRefused):
        assert not envelope.signers(envelope.unseal(bytes(bad)), publics)


def test_values_survive_encoding() -> None:
    """Feeds and roots keep every field when they are written and parsed."""
    p = Publisher()
    feed = p.feed(2, withdrawn=("0" * 64, "1" * 64), rollout_percent=7, minimum_ios="17.4")
    assert document.parse_feed(document.feed_bytes(feed)) == feed
    urgent = replace(
        feed, channels={"svm.mlmodel": replace(feed.channels["cnn.mlmodel"], rollout_percent=100, urgent=True)}
    )
    assert document.parse_feed(document.feed_bytes(urgent)) == urgent
    assert document.parse_root(document.root_bytes(p.trusted.root)) == p.trusted.root


def test_the_same_arguments_give_the_same_bytes() -> None:
    """Sealing is deterministic: keys in any order give the same file."""
    p, keys = Publisher(), [key("x"), key("y"), key("z")]
    feed = p.feed(1)
    assert p.sign(feed, keys) == p.sign(feed, keys[::-1])


def test_numbers_at_the_edge() -> None:
    """2^53 - 1 is accepted, 2^53 is refused."""
    assert canonical.parse(b'{"n":9007199254740991}') == {"n": canonical.MAX_INTEGER}
    with pytest.raises(refusals.NotCanonical):
        canonical.parse(b'{"n":9007199254740992}')
    with pytest.raises(refusals.NotCanonical):
        canonical.encode({"n": 2**53})


def test_depth_at_the_edge() -> None:
    """Eight levels are accepted, nine are refused, and a million are refused cheaply."""
    deep = {"a": {"a": {"a": {"a": {"a": {"a": {"a": 1}}}}}}}
    assert canonical.parse(canonical.encode(deep)) == deep
    with pytest.raises(refusals.NotCanonical):
        canonical.encode({"a": deep})
    with pytest.raises(refusals.NotCanonical, match="levels"):
        canonical.parse(b"[" * 1_000_000)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("2026-05-03T03:00:00Z", "2026-05-03T03:00:00+00:00"),
        ("2026-05-03T03:00:00Z", "2026-5-3T03:00:00Z"),
        ("2026-05-03T03:00:00Z", "2026-02-30T03:00:00Z"),
        ('"version":1', '"version":true'),
        ('"urgent":false', '"urgent":0'),
        ('"rollout_percent":100', '"rollout_percent":101'),
        ('"11.0"', '"11"'),
        ('"11.0"', '"011.0"'),
        ('"confirm_ppm":50000', '"confirm_ppm":1000001'),
        ('"withdrawn":[]', '"withdrawn":{}'),
        ('"withdrawn":[]', '"withdrawn":["B"]'),
        ('"sequence":1', '"sequence":0'),
        ('"type":"feed"', '"type":["feed"]'),
    ],
)
def test_fields_out_of_range(field: str, value: str) -> None:
    """A field of a wrong type or range gives one line that names the field."""
    data = document.feed_bytes(Publisher().feed(1))
    assert field.encode() in data
    with pytest.raises((refusals.BadDocument, refusals.UnknownFormat)) as caught:
        document.parse_feed(data.replace(field.encode(), value.encode(), 1))
    assert "\n" not in str(caught.value)


def test_a_key_signs_only_what_it_signed() -> None:
    """Control: a signature counts only for its own key and its own bytes."""
    signed = envelope.unseal(envelope.seal(b'{"a":1}', [key("x")]))
    publics = {id_of(key("x")): envelope.public_half(key("x")), id_of(key("y")): envelope.public_half(key("y"))}
    assert envelope.signers(signed, publics) == {id_of(key("x"))}
    assert not envelope.signers(replace(signed, body=b'{"a":2}'), publics)
    assert not envelope.signers(signed, {id_of(key("x")): "00" * 32})


def test_times_are_utc_seconds() -> None:
    """Times are written and read in UTC, to the second."""
    assert fields.when(NOW) == "2026-05-03T03:00:00Z"
