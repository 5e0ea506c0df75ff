"""The asking policy: signed, published with the feed, trusted by phones, and open to later members."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loop.feed import asking, canonical, envelope, publish, refusals, trust, upkeep
from loop.feed.asking import Asking, AskingPolicy, asking_bytes, decide, parse_asking
from loop.feed.client import state as states
from loop.feed.document import MILLION
from loop.feed.layout import ASKING_FILE, FEED_FILE
from loop.store.asking import policies
from loop.store.asking.policies import SetPolicy
from tests.feed.conftest import WHY, Office, no_passphrase, sync
from tests.feed.simulator import HOUR, NOW, key

POLICY = AskingPolicy(300_000, 500_000, 10_000, True, 3)
DOCUMENT = Asking(1, 5, NOW, NOW + HOUR, POLICY)


def grown(**members: Any) -> bytes:
    """The policy's document with further members."""
    return canonical.encode(canonical.parse(asking_bytes(DOCUMENT)) | members)


@given(
    st.builds(
        AskingPolicy,
        st.integers(0, MILLION),
        st.integers(0, MILLION),
        st.integers(0, MILLION),
        st.booleans(),
        st.integers(0, asking.MAX_ASKED_A_DAY),
    )
)
def test_a_document_is_read_as_it_was_written(policy: AskingPolicy) -> None:
    """Any policy, to the last member."""
    made = replace(DOCUMENT, policy=policy)
    assert parse_asking(asking_bytes(made)) == made


def test_later_members_are_ignored_unless_they_are_critical() -> None:
    """A phone of today reads a document of tomorrow, or refuses it as one that needs a newer app."""
    assert parse_asking(grown(colour="blue", nested={"deep": [1, True]})) == DOCUMENT
    assert parse_asking(grown(critical=["margin_ppm"])) == DOCUMENT
    with pytest.raises(refusals.UnknownFormat, match="colour; update the app"):
        parse_asking(grown(colour="blue", critical=["colour"]))


@pytest.mark.parametrize(
    ("members", "field"),
    [
        ({"margin_ppm": MILLION + 1}, "margin_ppm"),
        ({"unsure_ppm": True}, "unsure_ppm"),
        ({"other_ppm": "1"}, "other_ppm"),
        ({"ask_user": 1}, "ask_user"),
        ({"asked_a_day": 101}, "asked_a_day"),
        ({"expires": "2026-05-03T03:00:00Z"}, "expires"),
        ({"critical": "colour"}, "critical"),
        ({"critical": [1]}, "critical"),
    ],
)
def test_members_out_of_range(members: dict[str, Any], field: str) -> None:
    """The refusal names the member."""
    with pytest.raises(refusals.BadDocument, match=field):
        parse_asking(grown(**members))


def test_a_missing_member() -> None:
    """All but ``critical`` are required."""
    plain = canonical.parse(asking_bytes(DOCUMENT))
    for member in sorted(asking.MEMBERS - {"critical", "type", "format"}):
        with pytest.raises(refusals.BadDocument, match=f"expected the field {member}"):
            parse_asking(canonical.encode({name: each for name, each in plain.items() if name != member}))


def test_a_policy_is_no_feed_and_a_feed_is_no_policy(small: Office) -> None:
    """One signed document cannot stand in for the other, though the same key signs both."""
    root = trust.begin(small.create())
    small.publish()
    announce(small, POLICY)
    small.publish(small.now + HOUR)
    feed, policy = ((small.folder / name).read_bytes() for name in (FEED_FILE, ASKING_FILE))
    now = small.now + HOUR
    trust.accept(root, feed, now)
    trust.accept_asking(root, None, policy, now)
    with pytest.raises(refusals.UnknownFormat):
        trust.accept(root, policy, now)
    with pytest.raises(refusals.UnknownFormat):
        trust.accept_asking(root, None, feed, now)


def announce(office: Office, policy: AskingPolicy) -> None:
    """Set a policy."""
    with office.home.store.write() as tx:
        policies.add(tx, SetPolicy(vars_of(policy), ("a test",), "ops", office.now))


def vars_of(policy: AskingPolicy) -> dict[str, Any]:
    """The policy as plain values."""
    return {name: getattr(policy, name) for name in AskingPolicy.__slots__}


def test_a_phone_gets_the_policy_with_the_feed(small: Office, tmp_path: Path) -> None:
    """No policy, then one, then a changed one; the phone keeps it until it expires, also without a server's file."""
    root = small.create()
    small.publish()
    assert sync(small, tmp_path / "phone", root).asking is None
    announce(small, POLICY)
    small.now += HOUR
    small.publish()
    assert sync(small, tmp_path / "phone", root).asking == POLICY
    (small.folder / ASKING_FILE).unlink()
    without = sync(small, tmp_path / "phone", root)
    assert (without.asking, without.asking_why) == (POLICY, "the server publishes no asking policy")
    known = states.load(tmp_path / "phone")
    assert known is not None
    assert known.asking is not None
    assert known.asking.policy == POLICY
    small.now += timedelta(hours=small.home.settings.feed_expires_hours)
    small.publish()
    assert sync(small, tmp_path / "phone", root).asking == POLICY
    (small.folder / ASKING_FILE).unlink()
    small.now += timedelta(hours=small.home.settings.feed_expires_hours)
    small.publish()
    (small.folder / ASKING_FILE).unlink()
    assert sync(small, tmp_path / "phone", root).asking is None


def test_attacks_on_the_policy(small: Office, tmp_path: Path) -> None:
    """Forged, older, second and expired policies are refused by the name of the rule; phones keep model and policy."""
    root = small.create()
    announce(small, POLICY)
    small.publish()
    folder = tmp_path / "phone"
    first = sync(small, folder, root)
    assert first.asking == POLICY
    signer = publish.keys.load_many(
        publish.authority.signing_keys(small.home, publish.authority.trusted(small.home), small.now), no_passphrase
    )

    def served(policy: Asking, signed_by: Any = None) -> str:
        signers = [signed_by] if signed_by else list(signer.values())
        (small.folder / ASKING_FILE).write_bytes(envelope.seal(asking_bytes(policy), signers))
        done = sync(small, folder, root)
        assert done.current == first.current
        assert done.asking == POLICY
        return done.asking_why

    honest = Asking(1, first.sequence, small.now, small.now + HOUR, AskingPolicy(1, MILLION, MILLION))
    assert "valid signatures by certified keys, got 0" in served(replace(honest, sequence=2**40), key("a stranger"))
    assert "expected sequence" in served(replace(honest, sequence=first.sequence - 1))
    assert "expected the document" in served(honest)
    past = {"issued": small.now - 3 * HOUR, "expires": small.now - HOUR}
    assert "before its expiry" in served(replace(honest, sequence=first.sequence + 1, **past))
    assert "expected epoch 1" in served(replace(honest, epoch=2, sequence=first.sequence + 1))
    (small.folder / ASKING_FILE).write_bytes(b"[" * 100_000)
    assert sync(small, folder, root).asking_why.startswith("refused: ")


def test_upkeep_publishes_a_changed_policy(small: Office) -> None:
    """A new policy, and a file that is gone, are reasons to publish; otherwise nothing changes."""
    small.create()
    small.publish()
    settings = small.home.settings.model_copy(update={"feed_folder": small.folder})
    object.__setattr__(small.home, "settings", settings)
    assert upkeep.follow(small.home, WHY, small.now).action is upkeep.Action.UNCHANGED
    announce(small, POLICY)
    done = upkeep.follow(small.home, WHY, small.now)
    assert (done.action, done.why) == (upkeep.Action.PUBLISHED, "the asking policy changed")
    assert upkeep.follow(small.home, WHY, small.now).action is upkeep.Action.UNCHANGED
    (small.folder / ASKING_FILE).unlink()
    assert upkeep.follow(small.home, WHY, small.now).action is upkeep.Action.PUBLISHED


@given(best=st.floats(0, 1), second=st.floats(0, 1), lot=st.integers(0, MILLION - 1), asked=st.integers(0, 5))
def test_decisions_keep_their_rules(best: float, second: float, lot: int, asked: int) -> None:
    """The rate is the chance of its kind; the user is asked about an unsure drawing that is sent, and not too often."""
    decision = decide(POLICY, best, second, lot, asked)
    unsure = (best - second) * MILLION < POLICY.margin_ppm
    assert decision.rate == (0.5 if unsure else 0.01)
    assert decision.send == (lot < decision.rate * MILLION)
    assert not decision.ask or (decision.send and unsure and asked < POLICY.asked_a_day)
