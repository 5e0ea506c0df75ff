"""Upkeep publishes the feed when its content changed, on both databases."""

from datetime import timedelta
from pathlib import Path

import pytest

from loop import registry
from loop.errors import NotPublishable
from loop.feed import authority, layout, upkeep
from loop.feed.upkeep import Action
from loop.store.values import Attribution
from tests.feed.conftest import WHY, Office, sync


def follow(office: Office) -> upkeep.Upkeep:
    """Run upkeep once, at the office's time."""
    return upkeep.follow(office.home, WHY, office.now)


def test_without_keys_there_is_nothing_to_keep_up(office: Office) -> None:
    """Without keys upkeep does nothing and states what is missing."""
    done = follow(office)
    assert (done.action, done.feed) == (Action.NO_KEYS, None)
    assert not office.home.settings.published.exists()


def test_the_first_run_publishes_and_the_second_does_not(office: Office) -> None:
    """Without a change upkeep does not publish."""
    office.create()
    first, second = follow(office), follow(office)
    assert (first.action, second.action) == (Action.PUBLISHED, Action.UNCHANGED)
    assert first.feed == second.feed


def test_a_promotion_and_a_rollback_reach_the_phone(office: Office, tmp_path: Path) -> None:
    """A promotion and a rollback each give a newer feed, and the phone follows both."""
    root = office.create()
    office.folder = office.home.settings.published
    seen = []
    for step in ("begin", "promote", "rollback"):
        if step == "promote":
            office.register()
        if step == "rollback":
            registry.rollback(office.home, "cnn", None, WHY, office.now)
        done = follow(office)
        assert done.action is Action.PUBLISHED
        current = sync(office, tmp_path / "phone", root)
        assert current.current is not None
        seen.append((current.current.version, current.sequence))
    assert [version for version, _ in seen] == [1, 2, 1]
    assert [sequence for _, sequence in seen] == sorted({sequence for _, sequence in seen})


def test_half_of_its_life_is_the_time_to_renew(office: Office) -> None:
    """A feed is renewed after half of its life."""
    office.create()
    feed = follow(office).feed
    assert feed is not None
    half = (feed.expires - feed.issued) / 2
    office.now = feed.issued + half - timedelta(seconds=1)
    assert follow(office).action is Action.UNCHANGED
    office.now += timedelta(seconds=1)
    renewed = follow(office)
    assert renewed.action is Action.PUBLISHED
    assert renewed.feed is not None
    assert renewed.feed.expires > feed.expires


def test_a_renewal_keeps_rollout_and_urgency(office: Office) -> None:
    """A renewal keeps a model's rollout and urgency; the next model starts with the setting."""
    office.create()
    office.publish(to=office.home.settings.published, rollout_percent=10)
    office.now += timedelta(days=6)
    renewed = follow(office).feed
    assert renewed is not None
    assert renewed.channels["cnn.mlmodel"].rollout_percent == 10
    office.register()
    moved = follow(office).feed
    assert moved is not None
    assert moved.channels["cnn.mlmodel"].rollout_percent == 100


def test_a_withdrawal_is_a_reason(office: Office) -> None:
    """A withdrawal is published at once."""
    office.create()
    office.register()
    follow(office)
    authority.withdraw(office.home, 1, WHY, office.now)
    done = follow(office)
    assert done.why == "a model was withdrawn"
    assert done.feed is not None
    assert len(done.feed.withdrawn) == 1


def test_a_rotation_is_a_reason(office: Office) -> None:
    """After a rotation the feed is signed again with the new key."""
    office.create()
    follow(office)
    office.rotate()
    assert follow(office).why.startswith("root 2")


def test_a_key_that_is_not_here_is_an_error_and_undoes_nothing(office: Office) -> None:
    """Without the key the move stands, the feed is unchanged, and the message names the key's folder."""
    office.create()
    before = follow(office).feed
    for key in authority.folder(office.home).glob("feed-*.pem"):
        key.unlink()
    office.register()
    with pytest.raises(NotPublishable, match="feed key"):
        follow(office)
    outcome = upkeep.tell(office.home, Attribution("ops", "again"), office.now)
    assert outcome.sequence is None
    assert outcome.said.startswith("not published: expected 1 feed keys")
    assert upkeep.published(office.home) == before


def test_a_strange_file_in_its_place_is_not_overwritten(office: Office) -> None:
    """A feed file with other content is refused and not overwritten."""
    office.create()
    folder = office.home.settings.published
    folder.mkdir(parents=True)
    (folder / layout.FEED_FILE).write_bytes(b"<html>")
    with pytest.raises(NotPublishable, match="not a feed"):
        follow(office)
    assert (folder / layout.FEED_FILE).read_bytes() == b"<html>"
