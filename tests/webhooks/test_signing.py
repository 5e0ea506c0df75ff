"""Messages and their signatures follow the convention."""

import base64
import json
from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from loop.store.service.messages import Kind
from loop.store.service.outbox import Event
from loop.webhooks import signing
from tests.conftest import NOW
from tests.webhooks.receiver import Got, genuine

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=8,
)
EVENT = Event(7, Kind.PROMOTED, {"version": 3, "reason": "über\nmut"}, NOW)


def test_the_published_vector() -> None:
    """The signature equals the published example of the convention's libraries."""
    key, id_ = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "msg_p5jXN8AQM9LWM0D4loKWxJek"
    signature = signing.sign(key, id_, 1614265330, b'{"test": 2432232314}')
    assert signature == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@given(st.dictionaries(st.text(max_size=9), PLAIN, max_size=5), st.integers(0, 10**9))
def test_a_receiver_finds_every_message_genuine(body: dict[str, object], seconds: int) -> None:
    """An independent verifier accepts our signature of any event, and refuses it after a change of one byte."""
    event, key = Event(1, Kind.PROMOTED, body, NOW), signing.secret()
    data = signing.body(event)
    got = Got("/", signing.headers(key, event, NOW + timedelta(seconds=seconds)), data)
    assert genuine(key, got)
    assert json.loads(data)["data"] == body
    assert data.isascii()
    assert not genuine(key, Got("/", got.headers, data + b" "))
    assert not genuine(signing.secret(), got)
    later = got.headers | {"webhook-timestamp": str(int(got.headers["webhook-timestamp"]) + 1)}
    assert not genuine(key, Got("/", later, data))


def test_a_secret_has_the_convention_s_form() -> None:
    """A secret is ``whsec_`` and 24 to 64 random bytes in base64, and no two are equal."""
    made = {signing.secret() for _ in range(100)}
    assert len(made) == 100
    assert all(24 <= len(base64.b64decode(each.removeprefix("whsec_"), validate=True)) <= 64 for each in made)


def test_an_id_belongs_to_the_message_not_to_the_try() -> None:
    """All attempts have one id, and a restored store that reuses an event's number gives another id."""
    first, second = (signing.headers(signing.secret(), EVENT, NOW + timedelta(hours=h)) for h in (0, 9))
    assert first["webhook-id"] == second["webhook-id"]
    assert first["webhook-timestamp"] != second["webhook-timestamp"]
    assert signing.message_id(Event(7, Kind.PROMOTED, {"version": 4}, NOW)) != first["webhook-id"]
