"""Devices with an app that gets a new root built in, honestly or not. Each ends as its last line demands.

A device starts with root 1 and version 1, sequence 2. ``publisher.app_root`` is what the app of the next sync has built
in; ``start_anew`` makes the root of a new app after the root keys were lost or stolen.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

from loop.errors import FeedRefused
from loop.feed import canonical, document, envelope, refusals
from loop.feed.layout import root_path
from tests.feed.simulator import HOUR, Publisher, key

FAR = 1_000_000  # how far ahead a new chain begins: see docs/feed.md


class Device(Protocol):
    """A device that syncs at a publisher."""

    publisher: Publisher

    def sync(self) -> object:
        """Sync once; a refusal is kept or raised."""


Update = Callable[[Device], None]
EVERY: list[Update] = []
REFUSALS: dict[str, type[FeedRefused] | None] = {}


def update(refusal: type[FeedRefused] | None) -> Callable[[Update], Update]:
    """Register an update of the app and the refusal of its last sync; None: it is accepted."""

    def register(play: Update) -> Update:
        EVERY.append(play)
        REFUSALS[play.__name__] = refusal
        return play

    return register


def installed(d: Device) -> None:
    """The first sync of a new device: version 1, sequence 2."""
    d.publisher.before = d.publisher.publish(2, rollout_percent=0)
    d.publisher.publish(1)
    d.sync()


def stolen(d: Device) -> None:
    """A thief of all root keys publishes root 2 of the last epoch, and in it the last sequence with version 3."""
    p = d.publisher
    last = replace(p.trusted.root, version=2, epoch=canonical.MAX_INTEGER)
    p.shelf.files[root_path(2)] = envelope.seal(document.root_bytes(last), p.root_keys)
    p.show(p.sign(p.feed(3, root=2, epoch=last.epoch, sequence=canonical.MAX_INTEGER)))
    d.sync()


@update(None)
def new_app_with_the_newest_root_of_the_chain(d: Device) -> None:
    """Root 3 is built in; the device goes there from root 1 without root 2, and the sequence goes on."""
    p = d.publisher
    installed(d)
    p.feed_keys = [key("feed-2")]
    p.rotate()
    p.app_root = p.rotate()
    p.publish(2)
    del p.shelf.files[root_path(2)]
    d.sync()


@update(None)
def new_app_after_all_root_keys_were_lost(d: Device) -> None:
    """A new chain of another epoch: the sequence begins again, and the next root of that chain is followed."""
    p = d.publisher
    installed(d)
    p.start_anew(FAR, 2)
    p.publish(2)
    d.sync()
    p.rotate()
    p.publish(3)
    d.sync()


@update(None)
def new_app_after_a_theft_that_used_up_the_epochs(d: Device) -> None:
    """Only a lower epoch is left; it counts, because the version is higher, and forgets the thief's sequence."""
    p = d.publisher
    installed(d)
    stolen(d)
    p.start_anew(FAR, 2)
    p.publish(4)
    d.sync()


@update(refusals.TooFewSignatures)
def the_thief_goes_on_with_the_old_chain(d: Device) -> None:
    """After the new app the old root keys sign nothing, even in the new chain's numbers."""
    p = d.publisher
    installed(d)
    old = list(p.root_keys)
    p.start_anew(FAR, 2)
    p.publish(2)
    d.sync()
    thief = replace(p.trusted.root, version=FAR + 1)
    p.shelf.files[root_path(FAR + 1)] = envelope.seal(document.root_bytes(thief), old)
    d.sync()


@update(refusals.TooFewSignatures)
def feed_of_the_old_chain_at_a_new_app(d: Device) -> None:
    """A feed whose keys the new root does not name is refused; what the device runs stays."""
    p = d.publisher
    installed(d)
    old, sequence = list(p.feed_keys), p.sequence
    p.start_anew(FAR, 1)
    p.sequence = sequence
    p.show(p.sign(p.feed(2), old))
    d.sync()


@update(refusals.RolledBack)
def old_sequence_under_a_newer_root_of_the_same_epoch(d: Device) -> None:
    """A newer root of the same epoch forgets no sequence: the feed before is still a rollback."""
    p = d.publisher
    installed(d)
    p.app_root = p.rotate()
    p.show(p.before)
    d.sync()


@update(refusals.OtherEpoch)
def feed_of_the_old_epoch_by_a_key_that_stays(d: Device) -> None:
    """The new root names the same feed key in a new epoch; the old epoch's feed is refused."""
    p = d.publisher
    installed(d)
    p.app_root = p.rotate(new_epoch=True)
    p.show(p.before)
    d.sync()


@update(refusals.TooFewSignatures)
def old_app_after_a_rotation(d: Device) -> None:
    """The user goes back to the first app. Root 2 stays, so the key that it revoked signs nothing."""
    p = d.publisher
    installed(d)
    revoked, first = p.feed_keys, p.app_root
    p.feed_keys = [key("feed-2")]
    p.app_root = p.rotate()
    p.publish(2)
    d.sync()
    p.app_root = first
    del p.shelf.files[root_path(2)]  # the server is the attacker's
    p.show(p.sign(p.feed(3, root=1), revoked))
    d.sync()


@update(None)
def old_app_with_an_honest_feed(d: Device) -> None:
    """An app whose root is older than the device's is no error: most apps are."""
    p = d.publisher
    installed(d)
    first = p.app_root
    p.app_root = p.rotate()
    p.publish(2)
    d.sync()
    p.app_root = first
    p.publish(3)
    d.sync()


@update(refusals.OtherEpoch)
def old_app_after_a_recovery(d: Device) -> None:
    """Root 1, of the first epoch, does not bring that epoch's sequences back."""
    p = d.publisher
    installed(d)
    first = p.app_root
    p.app_root = p.rotate(new_epoch=True)
    p.publish(2)
    d.sync()
    p.app_root = first
    del p.shelf.files[root_path(2)]
    p.show(p.before)
    d.sync()


@update(refusals.Equivocated)
def another_root_of_the_same_version(d: Device) -> None:
    """Two roots 1: a mistake that a device must not settle by itself."""
    installed(d)
    d.publisher.start_anew(1, 1)
    d.publisher.publish(2)
    d.sync()


@update(None)
def the_same_root_with_one_more_signature(d: Device) -> None:
    """Other bytes, but the same signed document."""
    p = d.publisher
    installed(d)
    p.app_root = envelope.seal(document.root_bytes(p.trusted.root), [*p.root_keys, key("auditor")])
    p.publish(2)
    d.sync()


@update(refusals.TooFewSignatures)
def built_in_root_that_did_not_sign_itself(d: Device) -> None:
    """A broken build: a root of a higher version without enough signatures of its own keys."""
    p = d.publisher
    installed(d)
    p.app_root = envelope.seal(document.root_bytes(replace(p.trusted.root, version=7)), p.root_keys[:1])
    p.publish(2)
    d.sync()


@update(refusals.NotCanonical)
def built_in_root_that_is_none(d: Device) -> None:
    """A broken build: the file is something else."""
    installed(d)
    d.publisher.app_root = b"<!doctype html>"
    d.publisher.publish(2)
    d.sync()


@update(refusals.Expired)
def the_clock_counts_from_the_last_feed_of_the_same_epoch(d: Device) -> None:
    """The app's root changes no clock: an expired feed is not valid again because the device's clock is set back."""
    p = d.publisher
    installed(d)
    p.now += 20 * HOUR
    early = p.feed(2)
    p.now += 20 * HOUR
    p.publish(3)
    d.sync()
    p.app_root = p.rotate()
    p.show(p.sign(replace(early, sequence=p.sequence + 1, expires=early.issued + HOUR)))
    p.now -= 30 * HOUR
    d.sync()
