"""A device switches, rolls back, waits for its rollout, and drops withdrawn and damaged models."""

import errno
from pathlib import Path

import pytest

from loop.errors import BadSettings, DiskFull
from loop.feed import client, refusals, trust
from loop.feed.client import Timeouts
from loop.feed.client import source as sources
from loop.feed.client import state as states
from loop.feed.client.source import Missing
from loop.feed.layout import model_path
from loop.feed.trust import Action
from tests.feed.client.conftest import Phone
from tests.feed.simulator import CHANNEL, NOW, Publisher, model, release


def digest(version: int) -> str:
    """A model's digest."""
    return release(version, *model(version)).digest


def test_the_first_time_needs_the_apps_root(tmp_path: Path, publisher: Publisher) -> None:
    """Without the app's root a device trusts nothing from the network."""
    publisher.publish(1)
    with pytest.raises(refusals.StateUnreadable, match="--root"):
        client.sync(publisher.shelf, tmp_path / "phone", CHANNEL, NOW)


def test_switch_and_roll_back(phone: Phone) -> None:
    """A device follows a newer feed with an older digest, tests the model again, and downloads nothing."""
    phone.publisher.publish(2)
    assert phone.sync().previous.version == 1
    del phone.publisher.shelf.files[model_path(digest(1))]
    phone.publisher.publish(1)
    del phone.publisher.shelf.files[model_path(digest(1))]
    done = phone.sync()
    assert (done.current.version, done.previous.version) == (1, 2)


def test_only_current_and_previous_are_kept(phone: Phone) -> None:
    """A device keeps only the current and the previous model."""
    for version in (2, 3, 4):
        phone.publisher.publish(version)
        phone.sync()
    kept = {path.stem for path in (phone.folder / "models").iterdir()}
    assert kept == {digest(3), digest(4)}


def test_nothing_new_is_nothing_done(phone: Phone) -> None:
    """A second sync of the same feed requests three files and writes none."""
    before = phone.bytes()
    phone.publisher.shelf.opened.clear()
    assert phone.sync().action is Action.KEEP
    assert [path for path, _ in phone.publisher.shelf.opened] == ["root/2.json", "feed.json", "asking.json"]
    assert phone.bytes() == before


def test_a_download_goes_on_where_it_ended(phone: Phone) -> None:
    """Bytes received before the cut are not requested again."""
    phone.publisher.publish(2)
    whole = phone.publisher.shelf.files[model_path(digest(2))]
    phone.publisher.shelf.files[model_path(digest(2))] = whole[:10_000]
    with pytest.raises(refusals.Truncated):
        phone.sync()
    assert phone.version() == 1
    phone.publisher.shelf.files[model_path(digest(2))] = whole
    assert phone.sync().current.version == 2
    assert (model_path(digest(2)), 10_000) in phone.publisher.shelf.opened


def test_a_poisoned_half_is_thrown_away(phone: Phone) -> None:
    """A download that starts with foreign bytes is refused once, and the next sync starts it again."""
    phone.publisher.publish(2)
    whole = phone.publisher.shelf.files[model_path(digest(2))]
    phone.publisher.shelf.files[model_path(digest(2))] = b"\x00" * 10_000
    with pytest.raises(refusals.Truncated):
        phone.sync()
    phone.publisher.shelf.files[model_path(digest(2))] = whole
    with pytest.raises(refusals.WrongDigest):
        phone.sync()
    assert phone.sync().current.version == 2


def test_slow_retrieval(phone: Phone) -> None:
    """The device leaves a slow server, even if each single read is fast enough, and keeps the received bytes."""
    ticks = iter(range(0, 10_000, 20))
    phone.publisher.publish(2)
    with pytest.raises(refusals.TooSlow, match="expected"):
        phone.sync(timeouts=Timeouts(30, 1000, lambda: next(ticks)))
    assert phone.version() == 1
    assert phone.sync(timeouts=Timeouts(30, 1000, lambda: 0.0)).current.version == 2  # the control: not slow


def test_rollout_reaches_the_share_it_names() -> None:
    """About a tenth of a thousand devices takes part in a rollout of 10 %, and all of those at 30 %."""
    names = [f"{i:032x}" for i in range(1000)]
    taken = {p: {n for n in names if trust.bucket(n, digest(2)) < p} for p in (0, 10, 30, 100)}
    assert not taken[0]
    assert 70 <= len(taken[10]) <= 130
    assert taken[10] < taken[30]
    assert len(taken[100]) == 1000


def test_a_device_outside_the_rollout_waits(phone: Phone) -> None:
    """At 0 % only devices without a model install it; at 100 % all devices do."""
    phone.publisher.publish(2, rollout_percent=0)
    assert phone.sync().current.version == 1
    fresh = Phone(phone.folder.parent / "fresh", phone.publisher)
    assert fresh.sync().current.version == 2
    phone.publisher.publish(2)
    assert phone.sync().current.version == 2


def test_an_old_ios_keeps_what_it_has(phone: Phone) -> None:
    """A model for a newer iOS is not downloaded, and iOS versions compare as numbers: 9.3 is before 13.0."""
    phone.publisher.publish(2, minimum_ios="13.0")
    done = client.sync(phone.publisher.shelf, phone.folder, CHANNEL, NOW, ios=(9, 3))
    assert (done.action, done.current.version) == (Action.KEEP, 1)
    assert client.sync(phone.publisher.shelf, phone.folder, CHANNEL, NOW, ios=(13, 0)).current.version == 2


def test_an_urgent_release(phone: Phone) -> None:
    """A sync reports an urgent release, and an urgent release for only some devices cannot be signed."""
    phone.publisher.publish(2, urgent=True)
    assert phone.sync().urgent
    with pytest.raises(refusals.BadDocument, match="urgent"):
        phone.publisher.publish(3, urgent=True, rollout_percent=10)


def test_a_withdrawn_model_is_dropped_without_a_replacement(phone: Phone) -> None:
    """The previous model replaces a withdrawn one at once, even if the new one cannot be downloaded."""
    phone.publisher.publish(2)
    phone.sync()
    phone.publisher.publish(3, withdrawn=(digest(2),))
    del phone.publisher.shelf.files[model_path(digest(3))]
    with pytest.raises(Missing):
        phone.sync()
    assert phone.version() == 1


def test_both_models_withdrawn(phone: Phone) -> None:
    """If both models are withdrawn, the device has none, and the app uses its built-in one."""
    phone.publisher.publish(2)
    phone.sync()
    phone.publisher.publish(3, withdrawn=tuple(sorted([digest(1), digest(2)])))
    del phone.publisher.shelf.files[model_path(digest(3))]
    with pytest.raises(Missing):
        phone.sync()
    assert phone.version() is None


def test_a_rotten_file_is_fetched_again(phone: Phone) -> None:
    """A model file that changed on the device is downloaded again."""
    path = states.model_file(phone.folder, digest(1))
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    assert phone.sync().action is Action.INSTALL
    assert phone.version() == 1


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: b"",
        lambda data: data[:-20],
        lambda data: data.replace(b'"format":1,"issued"', b'"format":7,"issued"', 1),
        lambda data: data.replace(b'"current":{"digest":"', b'"current":{"digest":"../'),
        lambda data: data.replace(b'"epoch":1', b'"epoch":2'),
    ],
    ids=["empty", "cut", "other_format", "path", "root_not_signed"],
)
def test_a_damaged_state_is_not_guessed_at(phone: Phone, damage) -> None:
    """A damaged state file is refused in one line, and nothing is overwritten."""
    path = phone.folder / "state.json"
    changed = damage(path.read_bytes())
    assert changed != path.read_bytes()
    path.write_bytes(changed)
    before = phone.bytes()
    with pytest.raises(refusals.StateUnreadable):
        phone.sync()
    assert phone.bytes() == before


def test_one_family_for_one_folder(phone: Phone) -> None:
    """A folder of one family refuses a sync for another."""
    with pytest.raises(refusals.NoChannel, match="as at the first sync"):
        client.sync(phone.publisher.shelf, phone.folder, "svm.mlmodel", NOW)


def test_a_file_in_place_of_the_folder(tmp_path: Path, publisher: Publisher) -> None:
    """A file in place of the folder gives an error of one line."""
    (tmp_path / "phone").write_text("not a folder")
    with pytest.raises(BadSettings, match="expected a folder"):
        client.sync(publisher.shelf, tmp_path / "phone", CHANNEL, NOW, root=publisher.app_root)


@pytest.mark.parametrize("place", ["file:///etc/passwd", "ftp://host/feed", "http://[::1"])
def test_places_that_are_not_sources(place: str) -> None:
    """Sources are http, https and folders; any other place gives an error of one line."""
    with pytest.raises(refusals.Unavailable), sources.at(place) as source, source.open("feed.json"):
        pass


@pytest.mark.parametrize("where", ["os.fsync", "pathlib.Path.replace"])
def test_a_full_disk_changes_nothing(phone: Phone, monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    """A full disk gives an error of one line and keeps the old model; with free space the sync continues."""
    phone.publisher.publish(2)
    with monkeypatch.context() as full:
        full.setattr(where, _no_space)
        with pytest.raises(DiskFull):
            phone.sync()
    assert phone.version() == 1
    assert phone.sync().current.version == 2


def _no_space(*_: object) -> None:
    """A write on a full disk."""
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_published_folder_is_a_source(phone: Phone, tmp_path: Path) -> None:
    """A published folder works as a source, and a folder in place of a file raises Unavailable."""
    site = tmp_path / "site"
    phone.publisher.publish(2)
    for name, data in phone.publisher.shelf.files.items():
        (site / name).parent.mkdir(parents=True, exist_ok=True)
        (site / name).write_bytes(data)
    with client.at(str(site)) as source:
        assert client.sync(source, phone.folder, CHANNEL, NOW).current.version == 2
        (site / "feed.json").unlink()
        (site / "feed.json").mkdir()
        with pytest.raises(refusals.Unavailable):
            client.sync(source, phone.folder, CHANNEL, NOW)
