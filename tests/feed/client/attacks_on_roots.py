"""Attacks on the chain of roots; see ``attacks``."""

from dataclasses import replace
from typing import Any

from loop.feed import document, envelope, refusals, trust
from loop.feed.layout import root_path
from tests.feed.client.attacks import on_feed
from tests.feed.simulator import Publisher, id_of, key


def _next(publisher: Publisher) -> str:
    """The path of the next root."""
    return root_path(publisher.trusted.root.version + 1)


def root(publisher: Publisher, *signers: str, **changes: Any) -> document.Root:
    """Publish a next root with these changes, signed by the keys of the attacker."""
    made = replace(publisher.trusted.root, version=publisher.trusted.root.version + 1, **changes)
    publisher.shelf.files[_next(publisher)] = envelope.seal(document.root_bytes(made), [key(name) for name in signers])
    return made


@on_feed(refusals.RootSkipped, trust.follows_without_a_gap)
def root_version_skipped(p: Publisher) -> None:
    made = replace(p.trusted.root, version=p.trusted.root.version + 2)
    p.shelf.files[_next(p)] = envelope.seal(document.root_bytes(made), p.root_keys)


@on_feed(refusals.RootSkipped)
def root_rolled_back(p: Publisher) -> None:
    p.shelf.files[_next(p)] = p.app_root


@on_feed(refusals.TooFewSignatures, "signed_by_the_one_before")
def root_signed_only_by_new_keys(p: Publisher) -> None:
    new = [key("mallory-1"), key("mallory-2")]
    publics = {id_of(k): envelope.public_half(k) for k in new}
    root(p, "mallory-1", "mallory-2", root_keys=publics)


@on_feed(refusals.TooFewSignatures, "signed_by_the_one_before", trust.signed_by_itself)
def root_below_the_threshold(p: Publisher) -> None:
    root(p, "root-a")


@on_feed(refusals.BadDocument)
def root_signed_twice_by_one_key_of_two(p: Publisher) -> None:
    root(p, "root-a")
    head, middle, rest = p.shelf.files[_next(p)].partition(envelope.MIDDLE)
    one = head.removeprefix(b'{"signatures":[').removesuffix(b"]")
    p.shelf.files[_next(p)] = b'{"signatures":[' + one + b"," + one + b"]" + middle + rest


@on_feed(refusals.TooFewSignatures, trust.signed_by_itself)
def root_whose_own_keys_did_not_sign(p: Publisher) -> None:
    new = [key("new-1"), key("new-2")]
    root(p, "root-a", "root-b", root_keys={id_of(k): envelope.public_half(k) for k in new})


@on_feed(refusals.EpochFell, trust.epoch_does_not_fall)
def root_that_takes_a_recovery_back(p: Publisher) -> None:
    p.rotate(new_epoch=True)
    back = replace(p.trusted.root, version=3, epoch=1)
    p.shelf.files[root_path(3)] = envelope.seal(document.root_bytes(back), p.root_keys)


@on_feed(refusals.KeyMismatch)
def key_id_of_another_key(p: Publisher) -> None:
    data = document.root_bytes(replace(p.trusted.root, version=p.trusted.root.version + 1))
    other = envelope.public_half(key("mallory"))
    tampered = data.replace(envelope.public_half(p.feed_keys[0]).encode(), other.encode())
    p.shelf.files[_next(p)] = envelope.seal(tampered, p.root_keys)


@on_feed(refusals.BadDocument)
def root_with_a_threshold_of_zero(p: Publisher) -> None:
    data = document.root_bytes(replace(p.trusted.root, version=p.trusted.root.version + 1)).replace(
        b'"threshold":2', b'"threshold":0'
    )
    p.shelf.files[_next(p)] = envelope.seal(data, p.root_keys)


@on_feed(refusals.UnknownFormat)
def feed_in_place_of_a_root(p: Publisher) -> None:
    p.shelf.files[_next(p)] = envelope.seal(document.feed_bytes(p.feed(2)), p.root_keys)


@on_feed(refusals.TooLong)
def endless_root(p: Publisher) -> None:
    p.shelf.files[_next(p)] = b"{" * (document.MAX_BYTES + 1)
