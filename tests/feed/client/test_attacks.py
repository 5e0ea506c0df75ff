"""Each attack on the feed is refused by its rule, changes nothing, and does not block the next honest feed."""

from collections.abc import Callable
from typing import Any

import pytest

from loop.errors import FeedRefused
from loop.feed import checks, trust
from loop.feed.refusals import RootWithheld, Unavailable
from tests.feed.client import attacks, attacks_on_files, attacks_on_roots
from tests.feed.client.attacks import Attack
from tests.feed.client.conftest import Phone

assert attacks_on_files.on_file is attacks.on_file  # both modules are imported, so their attacks are registered
assert attacks_on_roots.on_feed is attacks.on_feed
LISTS = ((trust, "ROOT_CHECKS"), (trust, "SIGNATURE_CHECKS"), (trust, "FEED_CHECKS"), (checks, "CHECKS"))
named = pytest.mark.parametrize("attack", attacks.ON_ROOTS_AND_FEEDS, ids=lambda attack: attack.name)
on_files = pytest.mark.parametrize("attack", attacks.ON_FILES, ids=lambda attack: attack.name)
CONTROLLED = [attack for attack in attacks.every() if attack.removed]


def without(monkeypatch: pytest.MonkeyPatch, removed: tuple[Any, ...]) -> None:
    """Remove rules from the device."""
    for rule in removed:
        if isinstance(rule, str):
            monkeypatch.setattr(trust, rule, lambda *arguments: None)
    for module, name in LISTS:
        kept: tuple[Callable[..., None], ...] = tuple(c for c in getattr(module, name) if c not in removed)
        monkeypatch.setattr(module, name, kept)


def honest_feed_arrives(phone: Phone) -> None:
    """Without the attacker, the device updates to version 4."""
    publisher = phone.publisher
    publisher.shelf.files = dict(publisher.roots)
    publisher.sequence += 10
    publisher.publish(4)
    assert phone.sync().current.version == 4


def test_there_are_many() -> None:
    """The suite has at least the stated number of attacks, each with a unique name."""
    assert len({attack.name for attack in attacks.every()}) == len(list(attacks.every())) >= 60
    assert len(CONTROLLED) >= 25


@named
def test_refused_before_anything_is_trusted(phone: Phone, attack: Attack) -> None:
    """An attack raises its rule's error and changes no byte of the device's folder, apart from honest new roots."""
    attack.strike(phone.publisher)
    before, running = phone.bytes(), phone.version()
    with pytest.raises(attack.refusal) as caught:
        phone.sync()
    assert type(caught.value) is attack.refusal
    assert "\n" not in str(caught.value)
    after = phone.bytes()
    if len(phone.publisher.roots) > 1 and attack.refusal is not RootWithheld:
        del before["state.json"], after["state.json"]  # an honest root 2 was published, and stays trusted
    assert after == before
    assert phone.version() == running == 1


@on_files
def test_refused_before_it_runs(phone: Phone, attack: Attack) -> None:
    """If an honest feed names a bad file, the device keeps its model and no file of the attack."""
    phone.publisher.show(phone.publisher.sign(phone.publisher.feed(2)))
    attack.strike(phone.publisher)
    with pytest.raises(attack.refusal):
        phone.sync()  # the feed itself is trusted here
    before = phone.bytes()
    with pytest.raises(attack.refusal) as caught:
        phone.sync()
    assert "\n" not in str(caught.value)
    assert phone.bytes() == before
    assert phone.version() == 1
    assert not [name for name in before if name.startswith("partial/") and name.endswith(".mlmodel")]


@pytest.mark.parametrize("attack", [*attacks.every()], ids=lambda attack: attack.name)
def test_not_stopped(phone: Phone, attack: Attack) -> None:
    """After a refusal the device follows the next honest feed."""
    if attack in attacks.ON_FILES:
        phone.publisher.publish(2)
    now = phone.publisher.now
    attack.strike(phone.publisher)
    with pytest.raises(FeedRefused):
        phone.sync()
    phone.publisher.now = now
    honest_feed_arrives(phone)


@pytest.mark.parametrize("attack", CONTROLLED, ids=lambda attack: attack.name)
def test_control_without_its_rule_the_attack_succeeds(
    phone: Phone, attack: Attack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The named rule refuses the attack: without it the device changes its trusted state or its model."""
    if attack in attacks.ON_FILES:
        phone.publisher.publish(2)
    attack.strike(phone.publisher)
    without(monkeypatch, attack.removed)
    before = phone.bytes()
    phone.sync()
    assert phone.bytes() != before


def test_honest_twin(phone: Phone) -> None:
    """Control of all attacks on form: the same steps without an attacker install version 2."""
    phone.publisher.rotate()
    phone.publisher.publish(2)
    done = phone.sync()
    assert (done.current.version, done.root, done.sequence) == (2, 2, 3)


def test_a_missing_feed_changes_nothing(phone: Phone) -> None:
    """A server without a feed leaves the device unchanged."""
    del phone.publisher.shelf.files["feed.json"]
    before = phone.bytes()
    with pytest.raises(Unavailable):
        phone.sync()
    assert phone.bytes() == before
