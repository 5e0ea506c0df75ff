"""SIGKILL before any step of a sync, an upload or an erasure: no torn state, nothing lost, nothing doubled.

A step is a call that changes a file or uses a socket (clients/swift/Tests/CMortal). The phone that is killed and the
one that goes on are processes of their own. Plain runs kill at a few steps, ``-m campaign`` at 200.
"""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from loop.feed import canonical
from tests.clients.swift.api import Api, digest, running
from tests.clients.swift.phone import UNSURE, Killed, Outbox, Program, base64_of, drawn
from tests.clients.swift.site import Device, Site
from tests.clients.swift.test_feed import ask
from tests.feed.simulator import Publisher

pytestmark = pytest.mark.slow

SEED = 13
FEW = {"sync": 5, "upload": 4, "erase": 4}
MANY = {"sync": 60, "upload": 80, "erase": 60}
Act = Callable[[Program], None]


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """A server whose batches have at most three uploads, so that the phone has to split."""
    with running(tmp_path_factory.mktemp("api"), max_batch_items=3) as found:
        yield found


def repeat(steps: int, count: int, kill: Callable[[str, int], bool]) -> int:
    """Kill before each step from 1 to ``steps`` in a random order, then again, until there are ``count`` kills.

    ``kill`` gets a name of its own for each attempt; False says that the act ended before that step. The number of
    steps depends on how a socket is read, so such an act only lowers the last step that is tried. The number of kills.
    """
    generator, kills, attempt = np.random.default_rng(SEED), 0, 0
    while kills < count and steps and attempt < 3 * count:
        for step in map(int, generator.permutation(np.arange(1, steps + 1))):
            if kills == count or step > steps:
                continue
            attempt += 1
            if kill(f"{attempt}-{step}", step):
                kills += 1
            else:
                steps = step - 1
    return kills


def killed(command: list[str], step: int, act: Act, prepare: Act) -> bool:
    """Prepare, then act and die before a step; False if the act ended before it."""
    with Program(command) as program:
        prepare(program)
        program.do("die", at=step)
        try:
            act(program)
        except Killed:
            return True
        return False


def counted(command: list[str], act: Act, prepare: Act) -> int:
    """The steps of an act that is not killed."""
    with Program(command) as program:
        prepare(program)
        program.do("die", at=0)
        act(program)
        steps: int = program.do("steps")["steps"]
        return steps


def is_whole(folder: Path) -> None:
    """Every file that has its name is complete: JSON that its reader accepts."""
    for path in folder.rglob("*.json"):
        if path.name in {"state.json", "promise.json", "sent.json", "tried.json", "decided.json"}:
            canonical.parse(path.read_bytes())


# A sync


def on_version_two(command: list[str], site: Site, helper: str, folder: Path) -> Device:
    """A device on version 2 (previous: 1); its publisher has rotated, withdrawn 2, published 3 and a policy."""
    publisher = Publisher()
    with Program(command) as program:
        device = Device(program, site, helper, folder, publisher)
        for version in (1, 2):
            publisher.publish(version)
            assert device.sync()["current"] == version
    publisher.rotate()
    current = device.state().current
    assert current is not None
    publisher.publish(3, withdrawn=(current.digest,))
    ask(device, 9)
    return device


def syncs_killed(command: list[str], site: Site, helper: str, folder: Path, count: int) -> int:
    """Kill syncs, and let another process go on; the number of kills."""
    device = on_version_two(command, site, helper, folder / "before")

    def at(place: Path, program: Program) -> Device:
        return Device(program, site, helper, place, device.publisher)

    def prepared(place: Path) -> Path:
        return Path(shutil.copytree(folder / "before", place))

    def act(place: Path) -> Act:
        return lambda program: _ok(at(place, program).sync())

    def kill(name: str, step: int) -> bool:
        place = prepared(folder / name)
        died = killed(command, step, act(place), lambda _: None)
        is_whole(place)
        with Program(command) as program:
            after = at(place, program)
            trusted = after.state().trusted
            assert (trusted.root.version, trusted.sequence) >= (1, 2)
            assert after.version() in {1, 2, 3}
            done = after.sync()
            assert (done["current"], done["root"], done["sequence"], done["asking"]) == (3, 2, 3, True), done
            names = {name for name in after.bytes() if not name.endswith(".tmp")}
            assert len(names) == 6, names  # the lock, the state, two models, two files of golden vectors
        return died

    return repeat(counted(command, act(prepared(folder / "counted")), lambda _: None), count, kill)


# An upload


def uploads_killed(command: list[str], api: Api, folder: Path, count: int) -> int:
    """Kill uploads of ten and an undo, and let another process go on; the number of kills."""
    seeds = range(10)

    def prepare(place: Path) -> Act:
        def fill(program: Program) -> None:
            outbox = Outbox(program, place, api.url, api.key, batch=4)
            for seed in seeds:
                outbox.add(seed, "drawing" if seed in {4, 5} else "correction", rate=1)

        return fill

    def act(program: Program) -> None:
        _ok(program.do("upload"))
        _ok(program.do("undo", key="key-3"))

    def kill(name: str, step: int) -> bool:
        place = folder / name
        died = killed(command, step, act, prepare(place))
        is_whole(place)
        with Program(command) as program:
            outbox = Outbox(program, place, api.url, api.key, batch=4)
            _ok(outbox.upload())
            _ok(program.do("undo", key="key-3"))
            assert outbox.upload()["waiting"] == 0
        stored = api.stored(outbox.secret)
        assert sorted(each["digest"] for each in stored) == sorted(map(digest, seeds)), step
        assert [each["digest"] for each in stored if each["status"] == "withdrawn"] == [digest(3)], step
        return died

    return repeat(counted(command, act, prepare(folder / "counted")), count, kill)


# An erasure


def erasures_killed(command: list[str], api: Api, folder: Path, count: int) -> int:
    """Kill erasures of two sent and two that wait, and let another process go on; the number of kills."""

    def prepare(place: Path) -> Act:
        def fill(program: Program) -> None:
            outbox = Outbox(program, place, api.url, api.key)
            for seed in (1, 2):
                outbox.add(seed)
            _ok(outbox.upload())
            for seed in (3, 4):
                outbox.add(seed)

        return fill

    def act(program: Program) -> None:
        _ok(program.do("erase"))

    def kill(name: str, step: int) -> bool:
        place, secrets = folder / name, list[str]()

        def prepared(program: Program) -> None:
            prepare(place)(program)
            secrets.append((place / "secret").read_text(encoding="ascii"))

        died = killed(command, step, act, prepared)
        is_whole(place)
        promised = (place / "promise.json").exists()
        with Program(command) as program:
            outbox = Outbox(program, place, api.url, api.key)
            outbox.add(5)
            assert outbox.upload()["waiting"] == 0
        old = [each["digest"] for each in api.stored(secrets[0])]
        if promised:
            assert (old, api.count(outbox.secret)) == ([], {digest(5): 1}), step
            assert outbox.secret != secrets[0]
        else:  # it was killed before it promised anything: nothing is erased
            assert sorted(old) == sorted(map(digest, range(1, 6))), step
        return died

    return repeat(counted(command, act, prepare(folder / "counted")), count, kill)


def _ok(answer: dict[str, object]) -> None:
    assert "refused" not in answer, answer


def test_killed_syncs(command: list[str], site: Site, helper: str, tmp_path: Path) -> None:
    """After a kill a published model runs, trust has not fallen, and one sync reaches the usual end."""
    assert syncs_killed(command, site, helper, tmp_path, FEW["sync"]) >= 3


def test_killed_uploads(command: list[str], api: Api, tmp_path: Path) -> None:
    """After a kill each upload is stored once in the end, and what was undone is withdrawn."""
    assert uploads_killed(command, api, tmp_path, FEW["upload"]) >= 3


def test_killed_erasures(command: list[str], api: Api, tmp_path: Path) -> None:
    """Once promised, an erasure erases everything that was sent, and nothing older is ever sent again."""
    assert erasures_killed(command, api, tmp_path, FEW["erase"]) >= 3


@pytest.mark.campaign
def test_two_hundred_kills(command: list[str], site: Site, helper: str, api: Api, tmp_path: Path) -> None:
    """200 kills during syncs, uploads and erasures; ``pytest -m campaign tests/clients/swift/test_killed.py``."""
    kills = {
        "sync": syncs_killed(command, site, helper, tmp_path / "sync", MANY["sync"]),
        "upload": uploads_killed(command, api, tmp_path / "upload", MANY["upload"]),
        "erase": erasures_killed(command, api, tmp_path / "erase", MANY["erase"]),
    }
    print(kills)  # noqa: T201 (the figures of docs/results.md)
    assert sum(kills.values()) == 200


def test_a_killed_decision_is_made_once(command: list[str], site: Site, helper: str, tmp_path: Path) -> None:
    """Killed before each step of a decision, a phone has decided and gives the same answer, or decides then."""
    publisher, pixels = Publisher(), base64_of(drawn(1).tobytes())
    publisher.publish(1)
    with Program(command) as program:
        device = Device(program, site, helper, tmp_path / "before", publisher)
        ask(device, 1)
        _ok(device.sync())

    def opened(place: Path) -> Act:
        return lambda program: _ok(Device(program, site, helper, place, publisher).sync())

    def act(program: Program) -> None:
        _ok(program.do("consider", pixels=pixels, probabilities=UNSURE))

    kills = 0
    for step in range(1, 40):
        place = Path(shutil.copytree(tmp_path / "before", tmp_path / str(step)))
        if not killed(command, step, act, opened(place)):
            break
        kills += 1
        is_whole(place)
        was_decided = (place / "decided.json").exists()
        with Program(command) as program:
            opened(place)(program)
            found = program.do("consider", pixels=pixels, probabilities=UNSURE)
            assert (found["known"], found["askNow"]) == (was_decided, not was_decided)
    assert kills >= 4
