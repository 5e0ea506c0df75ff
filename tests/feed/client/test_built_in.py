"""An installed app takes over the newer root of its new version, and never an older one."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from loop.feed import built_in, refusals
from loop.feed.asking import AskingPolicy
from loop.feed.client import state as states
from loop.feed.client.state import HeldAsking
from loop.feed.trust import SeenAsking
from tests.feed.client import app_updates
from tests.feed.client.app_updates import FAR, REFUSALS, Update
from tests.feed.client.conftest import Phone
from tests.feed.simulator import NOW, Publisher


@pytest.fixture
def fresh(tmp_path: Path, publisher: Publisher) -> Phone:
    """A device that has never synced."""
    return Phone(tmp_path / "phone", publisher)


def root(phone: Phone) -> int:
    """The version of the trusted root."""
    state = states.load(phone.folder)
    assert state is not None
    return state.trusted.root.version


@pytest.mark.parametrize("play", app_updates.EVERY, ids=lambda play: play.__name__)
def test_an_app_is_updated(fresh: Phone, play: Update) -> None:
    """Each update of the app ends in its refusal, or in the publisher's last feed; a refused one keeps the model."""
    refusal = REFUSALS[play.__name__]
    if refusal is None:
        play(fresh)
        assert fresh.version() is not None
        assert root(fresh) == fresh.publisher.trusted.root.version
        return
    with pytest.raises(refusal) as caught:
        play(fresh)
    assert type(caught.value) is refusal
    assert "\n" not in str(caught.value)
    assert fresh.version() in (1, 2, 3)


@pytest.mark.parametrize("play", [app_updates.old_app_after_a_rotation, app_updates.old_app_after_a_recovery])
def test_control_without_the_order_of_versions_an_old_app_rolls_back(
    fresh: Phone, play: Update, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If any built-in root counted, an old app would bring back the revoked key and the old epoch."""
    monkeypatch.setattr(built_in, "is_newer", lambda found, trusted: found != trusted)
    play(fresh)
    assert root(fresh) == 1


def test_control_without_the_comparison_two_roots_of_one_version_go_unnoticed(
    fresh: Phone, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the rule the built-in root would be ignored, and the feed's signature be blamed."""
    monkeypatch.setattr(built_in, "one_document_per_version", lambda trusted, found: None)
    with pytest.raises(refusals.TooFewSignatures):
        app_updates.another_root_of_the_same_version(fresh)


def test_a_refused_build_changes_no_byte(phone: Phone) -> None:
    """A device with a broken app keeps its state and its model, and goes on after the next version of the app."""
    p, good, before = phone.publisher, phone.publisher.app_root, phone.bytes()
    for bad in (b"", good[:-1], good.replace(b'"version":1', b'"version":2')):
        p.app_root = bad
        with pytest.raises((refusals.NotCanonical, refusals.TooFewSignatures)):
            phone.sync()
        assert phone.bytes() == before
    p.app_root = good
    assert phone.sync().current is not None


def test_the_new_root_is_on_disk_before_the_network_is_asked(phone: Phone) -> None:
    """A device that cannot reach the server trusts the new app's root all the same."""
    phone.publisher.start_anew(FAR, 2)
    phone.publisher.shelf.files.clear()
    with pytest.raises(refusals.Unavailable):
        phone.sync()
    assert root(phone) == FAR
    assert phone.version() == 1


@pytest.mark.parametrize(("epoch", "kept"), [(1, True), (2, False)])
def test_a_policy_of_another_epoch_is_forgotten(phone: Phone, epoch: int, kept: bool) -> None:
    """A stolen key's policy ends with its epoch, although the server has no other; one of the same epoch stays."""
    state = states.load(phone.folder)
    assert state is not None
    forever = HeldAsking(SeenAsking(1, 9, "0" * 64), NOW + timedelta(days=9_999), AskingPolicy(0, 1, 1))
    states.save(phone.folder, replace(state, asking=forever))
    phone.publisher.rotate(new_epoch=epoch == 2)
    phone.publisher.publish(2)
    assert (phone.sync().asking is not None) == kept
