"""Every known attack on the feed by its name, in the terms of TUF's conformance suite if they apply.

An attack gets a publisher whose device runs version 1 and has seen sequence 2, and changes the publisher's shelf.
Without the rules in ``removed`` it succeeds, which is its control. If ``removed`` is empty, the attack is on form
(length, canonical JSON, ranges), and the honest twin is the control.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from loop.errors import FeedRefused
from loop.feed import document, envelope, fields, refusals, trust
from loop.feed.layout import root_path
from tests.feed.simulator import CHANNEL, HOUR, Publisher, id_of, key, model, release

Strike = Callable[[Publisher], None]


@dataclass(frozen=True)
class Attack:
    """An attack, the expected refusal, and the rules that refuse it."""

    strike: Strike
    refusal: type[FeedRefused]
    removed: tuple[Any, ...] = ()

    @property
    def name(self) -> str:
        """The name of the attack's function."""
        return self.strike.__name__


ON_ROOTS_AND_FEEDS: list[Attack] = []
ON_FILES: list[Attack] = []


def on_feed(refusal: type[FeedRefused], *removed: Any) -> Callable[[Strike], Strike]:
    """Register an attack that is refused before the feed is trusted."""
    return _into(ON_ROOTS_AND_FEEDS, refusal, removed)


def on_file(refusal: type[FeedRefused], *removed: Any) -> Callable[[Strike], Strike]:
    """Register an attack on the files that an honest feed names: version 2."""
    return _into(ON_FILES, refusal, removed)


def _into(attacks: list[Attack], refusal: type[FeedRefused], removed: tuple[Any, ...]) -> Callable[[Strike], Strike]:
    def register(strike: Strike) -> Strike:
        attacks.append(Attack(strike, refusal, removed))
        return strike

    return register


def body(publisher: Publisher, old: str = "", new: str = "", **changes: Any) -> None:
    """Publish the next feed with changed bytes, signed by the real feed key: the strongest attacker."""
    made = document.feed_bytes(publisher.feed(2, **changes))
    assert old.encode() in made
    publisher.show(publisher.sign(made.replace(old.encode(), new.encode(), 1)))


# Feeds


@on_feed(refusals.RolledBack, trust.sequence_does_not_fall)
def rollback_to_an_older_feed(p: Publisher) -> None:
    p.show(p.before)


@on_feed(refusals.Expired, trust.not_expired)
def freeze_on_an_expired_feed(p: Publisher) -> None:
    p.publish(2)
    p.now += 48 * HOUR


@on_feed(refusals.Equivocated, trust.one_document_per_sequence)
def same_sequence_other_bytes(p: Publisher) -> None:
    made = p.feed(2)
    p.show(p.sign(replace(made, sequence=made.sequence - 1)))


@on_feed(refusals.RootWithheld, trust.under_a_known_root)
def mix_and_match_new_feed_old_roots(p: Publisher) -> None:
    p.rotate()
    p.publish(2)
    del p.shelf.files[root_path(2)]


@on_feed(refusals.OtherEpoch, trust.of_the_epoch, trust.sequence_does_not_fall)
def mix_and_match_feed_of_another_epoch(p: Publisher) -> None:
    p.show(p.sign(replace(p.feed(2), epoch=p.trusted.root.epoch + 1)))


@on_feed(refusals.TooFewSignatures, trust.signed_by_certified_keys, trust.signed_by_valid_keys)
def signed_by_a_foreign_key(p: Publisher) -> None:
    p.show(p.sign(p.feed(2), [key("mallory")]))


@on_feed(refusals.TooFewSignatures, trust.signed_by_certified_keys, trust.signed_by_valid_keys)
def signed_by_root_keys_which_sign_no_feeds(p: Publisher) -> None:
    p.show(p.sign(p.feed(2), p.root_keys))


@on_feed(refusals.TooFewSignatures, trust.signed_by_certified_keys, trust.signed_by_valid_keys)
def foreign_signature_under_the_real_key_id(p: Publisher) -> None:
    data = p.sign(p.feed(2), [key("mallory")])
    p.show(data.replace(id_of(key("mallory")).encode(), id_of(p.feed_keys[0]).encode()))


@on_feed(refusals.TooFewSignatures, trust.signed_by_certified_keys, trust.signed_by_valid_keys)
def one_byte_of_the_signed_part_changed(p: Publisher) -> None:
    p.show(p.sign(p.feed(2)).replace(b'"confirm_ppm":50000', b'"confirm_ppm":50001'))


@on_feed(refusals.KeyExpired, trust.signed_by_valid_keys)
def signed_by_an_expired_key(p: Publisher) -> None:
    p.now += timedelta(days=366)
    p.publish(2)


@on_feed(refusals.TooFewSignatures, trust.signed_by_certified_keys, trust.signed_by_valid_keys)
def signed_by_a_revoked_key(p: Publisher) -> None:
    stolen = p.feed_keys
    p.feed_keys = [key("feed-2")]
    p.rotate()
    p.show(p.sign(p.feed(2), stolen))


@on_feed(refusals.BadDocument)
def one_signature_twice(p: Publisher) -> None:
    head, middle, rest = p.sign(p.feed(2)).partition(envelope.MIDDLE)
    one = head.removeprefix(b'{"signatures":[').removesuffix(b"]")
    p.show(b'{"signatures":[' + one + b"," + one + b"]" + middle + rest)


@on_feed(refusals.BadDocument)
def no_signature_at_all(p: Publisher) -> None:
    p.show(p.sign(p.feed(2), []))


@on_feed(refusals.UnknownFormat)
def root_in_place_of_the_feed(p: Publisher) -> None:
    p.show(p.sign(document.root_bytes(p.trusted.root)))


@on_feed(refusals.UnknownFormat)
def unknown_format(p: Publisher) -> None:
    body(p, '"format":1', '"format":2')


@on_feed(refusals.BadDocument)
def withdrawn_model_offered(p: Publisher) -> None:
    data, _ = model(2)
    digest = release(2, data, b"x").digest
    body(p, '"withdrawn":[]', f'"withdrawn":["{digest}"]')


@on_feed(refusals.BadDocument)
def path_in_place_of_a_digest(p: Publisher) -> None:
    data, _ = model(2)
    body(p, release(2, data, b"x").digest, "../../../../etc/passwd")


@on_feed(refusals.BadDocument)
def path_in_a_file_name(p: Publisher) -> None:
    body(p, '"length":', '"file":"../../state.json","length":')


@on_feed(refusals.BadDocument)
def path_in_a_channel(p: Publisher) -> None:
    body(p, CHANNEL, "../cnn.mlmodel")


@on_feed(refusals.BadDocument)
def missing_field(p: Publisher) -> None:
    body(p, '"confirm_ppm":50000,', "")


@on_feed(refusals.BadDocument)
def number_where_text_belongs(p: Publisher) -> None:
    body(p, '"minimum_ios":"11.0"', '"minimum_ios":11')


@on_feed(refusals.BadDocument)
def length_that_fills_the_disk(p: Publisher) -> None:
    data, _ = model(2)
    body(p, f'"length":{len(data)},"minimum', '"length":9007199254740991,"minimum')


@on_feed(refusals.BadDocument)
def expires_before_it_was_issued(p: Publisher) -> None:
    made = p.feed(2)
    body(p, fields.when(made.expires), fields.when(made.issued - HOUR))


@on_feed(refusals.TooLong)
def endless_feed(p: Publisher) -> None:
    p.show(p.sign(p.feed(2)) + b" " * document.MAX_BYTES)


@on_feed(refusals.NotCanonical)
def bytes_that_are_no_envelope(p: Publisher) -> None:
    p.show(b"\x00\xff" * 100)


# Other encodings of the same value, each signed by the real key

RATE = '"confirm_ppm":50000'
FORMS = {
    "white_space": (RATE, '"confirm_ppm": 50000'),
    "keys_out_of_order": ('"type":"feed","withdrawn":[]', '"withdrawn":[],"type":"feed"'),
    "duplicate_json_keys": (RATE, f"{RATE},{RATE}"),
    "escaped_text": ('"11.0"', '"\\u00311.0"'),
    "text_that_is_not_ascii": ('"11.0"', '"11.0é"'),
    "leading_zero": (RATE, '"confirm_ppm":050000'),
    "negative_number": (RATE, '"confirm_ppm":-1'),
    "fraction": (RATE, '"confirm_ppm":50000.0'),
    "exponent": (RATE, '"confirm_ppm":5e4'),
    "not_a_number": (RATE, '"confirm_ppm":NaN'),
    "infinity": (RATE, '"confirm_ppm":Infinity'),
    "number_beyond_2_to_the_53": (RATE, '"confirm_ppm":9007199254740992'),
    "number_of_ten_thousand_digits": (RATE, '"confirm_ppm":' + "9" * 10_000),
    "null": (RATE, '"confirm_ppm":null'),
    "depth": ('"withdrawn":[]', '"withdrawn":' + "[" * 10_000 + "]" * 10_000),
    "trailing_bytes": ('"withdrawn":[]}', '"withdrawn":[]}}'),
}


def _form(name: str, old: str, new: str) -> Strike:
    def strike(p: Publisher) -> None:
        body(p, old, new)

    strike.__name__ = f"not_canonical_{name}"
    return strike


for _name, (_old, _new) in FORMS.items():
    on_feed(refusals.NotCanonical)(_form(_name, _old, _new))


def every() -> Iterator[Attack]:
    """Every attack."""
    yield from (*ON_ROOTS_AND_FEEDS, *ON_FILES)
