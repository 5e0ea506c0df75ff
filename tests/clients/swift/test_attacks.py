"""Each attack that the Python client refuses meets the Swift phone over a socket: the same refusal, nothing changed."""

import pytest

from loop.feed.refusals import RootWithheld
from tests.clients.swift.site import Device
from tests.feed.client import attacks, attacks_on_files, attacks_on_roots
from tests.feed.client.attacks import Attack

assert attacks_on_files.on_file is attacks.on_file  # both modules are imported, so their attacks are registered
assert attacks_on_roots.on_feed is attacks.on_feed
pytestmark = pytest.mark.slow


def honest_feed_arrives(device: Device) -> None:
    """Without the attacker, the device updates to version 4."""
    publisher = device.publisher
    publisher.shelf.files = dict(publisher.roots)
    publisher.sequence += 10
    publisher.publish(4)
    assert device.sync()["current"] == 4


def test_there_are_as_many_as_for_python() -> None:
    """The list is that of the Python client."""
    assert len([*attacks.every()]) >= 65


@pytest.mark.parametrize("attack", attacks.ON_ROOTS_AND_FEEDS, ids=lambda attack: attack.name)
def test_refused_before_anything_is_trusted(device: Device, attack: Attack) -> None:
    """The same refusal in one line, no byte changed but honest new roots, and the next honest feed is followed."""
    now = device.publisher.now
    attack.strike(device.publisher)
    before = device.bytes()
    done = device.sync()
    assert done["refused"] == attack.refusal.__name__
    assert "\n" not in done["detail"]
    after = device.bytes()
    if len(device.publisher.roots) > 1 and attack.refusal is not RootWithheld:
        del before["state.json"], after["state.json"]  # an honest root 2 was published, and stays trusted
    assert after == before
    assert device.version() == 1
    device.publisher.now = now
    honest_feed_arrives(device)


@pytest.mark.parametrize("attack", attacks.ON_FILES, ids=lambda attack: attack.name)
def test_refused_before_it_runs(device: Device, attack: Attack) -> None:
    """An honest feed names a bad file: the device keeps its model, no file of the attack, and goes on."""
    device.publisher.show(device.publisher.sign(device.publisher.feed(2)))
    attack.strike(device.publisher)
    assert device.sync()["refused"] == attack.refusal.__name__  # the feed itself is trusted here
    before = device.bytes()
    done = device.sync()
    assert done["refused"] == attack.refusal.__name__
    assert "\n" not in done["detail"]
    assert device.bytes() == before
    assert device.version() == 1
    honest_feed_arrives(device)


def test_honest_twin(device: Device) -> None:
    """Control: the same steps without an attacker install version 2."""
    device.publisher.rotate()
    device.publisher.publish(2)
    done = device.sync()
    assert (done["current"], done["root"], done["sequence"]) == (2, 2, 3)
