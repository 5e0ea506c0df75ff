"""Attacks on the files that a feed names: models and golden vectors; see ``attacks``."""

import json

from loop.feed import document, envelope, refusals
from loop.feed.checks import (
    golden_has_the_digest,
    golden_is_shallow,
    has_the_digest,
    metadata_matches_the_feed,
    reproduces_its_golden_vectors,
)
from loop.feed.layout import FEED_FILE, golden_path, model_path
from tests.feed.client.attacks import on_file
from tests.feed.simulator import CHANNEL, Publisher, model, release


def _named(p: Publisher) -> document.Release:
    return document.parse_feed(envelope.unseal(p.shelf.files[FEED_FILE]).body).channels[CHANNEL]


@on_file(refusals.WrongDigest, has_the_digest, metadata_matches_the_feed, reproduces_its_golden_vectors)
def arbitrary_software_of_the_same_length(p: Publisher) -> None:
    other, _ = model(3)
    assert len(other) == _named(p).length
    p.shelf.files[model_path(_named(p).digest)] = other


@on_file(refusals.WrongDigest, has_the_digest, reproduces_its_golden_vectors)
def one_byte_of_the_model_changed(p: Publisher) -> None:
    path = model_path(_named(p).digest)
    data = bytearray(p.shelf.files[path])
    data[len(data) // 2] ^= 1
    p.shelf.files[path] = bytes(data)


@on_file(refusals.WrongDigest, golden_has_the_digest)
def golden_vectors_swapped(p: Publisher) -> None:
    path = golden_path(_named(p).golden_digest)
    data = p.shelf.files[path]
    p.shelf.files[path] = data.replace(b'"tolerance":0.01', b'"tolerance":0.99')


@on_file(refusals.TooLong)
def endless_model(p: Publisher) -> None:
    path = model_path(_named(p).digest)
    p.shelf.files[path] += b"\x00" * 100_000


@on_file(refusals.TooLong)
def endless_golden_vectors(p: Publisher) -> None:
    path = golden_path(_named(p).golden_digest)
    p.shelf.files[path] += b"\x00" * 100_000


def _offer(p: Publisher, data: bytes, golden: bytes, version: int = 2) -> None:
    """The strongest attacker: a feed with these bytes, signed by the real feed key."""
    named = release(version, data, golden)
    p.shelf.files |= {model_path(named.digest): data, golden_path(named.golden_digest): golden}
    p.show(p.sign(p.feed(2, channels={CHANNEL: named})))


@on_file(refusals.WrongModel, metadata_matches_the_feed)
def channel_of_another_family(p: Publisher) -> None:
    _offer(p, *model(2, "svm"))


@on_file(refusals.WrongModel, metadata_matches_the_feed)
def old_model_under_a_new_version(p: Publisher) -> None:
    _offer(p, *model(3), version=9)


@on_file(refusals.DoesNotLoad)
def model_that_does_not_load(p: Publisher) -> None:
    _offer(p, b"no model at all", model(2)[1])


@on_file(refusals.SelfTestFailed, reproduces_its_golden_vectors)
def model_that_answers_otherwise(p: Publisher) -> None:
    _offer(p, *model(2, wrong=True))


@on_file(refusals.SelfTestFailed, reproduces_its_golden_vectors)
def golden_vectors_of_another_model(p: Publisher) -> None:
    _offer(p, model(2)[0], model(3)[1])


@on_file(refusals.SelfTestFailed, reproduces_its_golden_vectors)
def no_golden_vectors(p: Publisher) -> None:
    _offer(p, model(2)[0], json.dumps({}).encode())


@on_file(refusals.NotCanonical, golden_is_shallow, reproduces_its_golden_vectors)
def golden_vectors_of_great_depth(p: Publisher) -> None:
    _offer(p, model(2)[0], b"[" * 100_000 + b"]" * 100_000)


@on_file(refusals.NoChannel)
def no_channel_for_the_family(p: Publisher) -> None:
    p.show(p.sign(p.feed(2, channels={"svm.mlmodel": _named(p)})))
