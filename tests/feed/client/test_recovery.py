"""Recovery after a stolen or lost key: epochs, replaced root keys, thresholds, clocks."""

from datetime import timedelta
from pathlib import Path

import pytest

from loop.feed import canonical, document, envelope, refusals, roots, trust
from tests.feed.client.conftest import Phone
from tests.feed.simulator import NOW, Publisher, id_of, key


def test_fast_forward_and_recovery(phone: Phone) -> None:
    """If a stolen feed key exhausts the sequence, a root of a new epoch without that key recovers devices."""
    p, stolen = phone.publisher, phone.publisher.feed_keys
    p.publish(2, sequence=canonical.MAX_INTEGER)
    phone.sync()
    p.publish(3)
    with pytest.raises(refusals.RolledBack):
        phone.sync()
    p.feed_keys = [key("feed-2")]
    p.rotate(new_epoch=True)
    p.publish(3)
    done = phone.sync()
    assert (done.epoch, done.sequence, done.current.version) == (2, 1, 3)
    p.show(p.sign(p.feed(4, sequence=canonical.MAX_INTEGER), stolen))
    with pytest.raises(refusals.TooFewSignatures):
        phone.sync()


def test_an_old_epoch_stays_refused(phone: Phone) -> None:
    """After a recovery a feed of the old epoch is refused, even if its key is still certified."""
    old = phone.publisher.publish(2, sequence=canonical.MAX_INTEGER)
    phone.publisher.rotate(new_epoch=True)
    phone.publisher.show(old)
    with pytest.raises(refusals.OtherEpoch):
        phone.sync()


def test_a_lost_root_key_is_replaced_by_the_other_two(phone: Phone) -> None:
    """Two of three root keys sign a root without the lost one; devices follow, and the lost key no longer counts."""
    p = phone.publisher
    a, b, lost = p.root_keys
    p.root_keys = [a, b, key("root-d")]
    p.rotate(a, b)
    p.publish(2)
    assert phone.sync().root == 2
    p.shelf.files["root/3.json"] = envelope.seal(
        document.root_bytes(document.Root(3, 1, NOW, p.trusted.root.root_keys, 2, p.certified())), [a, lost]
    )
    with pytest.raises(refusals.TooFewSignatures):
        phone.sync()


def test_all_root_keys_replaced_over_two_roots(phone: Phone) -> None:
    """The chain of roots transfers trust to keys that are not in the app."""
    p = phone.publisher
    for generation in (1, 2, 3):
        old, p.root_keys = p.root_keys, [key(f"root-{generation}-{i}") for i in range(3)]
        p.rotate(*old, *p.root_keys)
    p.publish(2)
    assert phone.sync().root == 4
    assert not {id_of(k) for k in p.root_keys} & set(trust.begin(p.app_root).root.root_keys)


def test_a_threshold_of_feed_keys(tmp_path: Path) -> None:
    """With a threshold of two feed keys, one signature is not enough, and an expired key does not count."""
    p = Publisher(feed_keys=[key("feed-1"), key("feed-2")])
    both = roots.feed_key(key("feed-1"), NOW + timedelta(days=9)) | roots.feed_key(key("feed-2"), NOW)
    root = document.Root(1, 1, NOW, p.trusted.root.root_keys, 2, both, feed_threshold=2)
    p.app_root = envelope.seal(document.root_bytes(root), p.root_keys)
    phone = Phone(tmp_path / "phone", p)
    p.show(p.sign(p.feed(1), p.feed_keys[:1]))
    with pytest.raises(refusals.TooFewSignatures):
        phone.sync()
    p.show(p.sign(p.feed(1)))
    with pytest.raises(refusals.KeyExpired):
        phone.sync()
    assert phone.sync(now=NOW - timedelta(hours=1)).current.version == 1


def test_a_clock_set_back_does_not_revive_a_key(phone: Phone) -> None:
    """A device's time is at least the issue time of the last trusted feed."""
    p = phone.publisher
    old, p.feed_keys = p.feed_keys, [*p.feed_keys, key("feed-2")]
    p.rotate(
        feed_keys=roots.feed_key(old[0], NOW + timedelta(days=1))
        | roots.feed_key(key("feed-2"), NOW + timedelta(days=99))
    )
    p.now = NOW + timedelta(days=2)
    p.show(p.sign(p.feed(2), [key("feed-2")]))
    phone.sync()
    p.show(p.sign(p.feed(3), old))
    with pytest.raises(refusals.KeyExpired):
        phone.sync(now=NOW)
