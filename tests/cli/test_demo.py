"""`loop demo`: its scratch home, its salt, and one whole run on the digits that every installation has."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

import models
from loop.cli import demonstration
from loop.errors import BadSettings, CorpusUnavailable
from loop.feed.client import state as states
from loop.home import settings
from loop.store.feedback import split
from loop.store.values import Role
from models.cnn import Cnn
from models.cnn.recipe import NIGHT
from tests.cli.test_cli import Shell, people

NAMES = ["corrections", "night", "phone", "rollback", "pictures", "next"]
STEPS = 120  # of 400: enough to learn what a slashed zero looks like


@pytest.fixture
def shell(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Iterator[Shell]:
    """A shell with the real corpora and the real network, its night shortened; Keras's cache is empty."""
    made = Shell(monkeypatch, capsys, tmp_path, None)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    monkeypatch.delenv("LOOP_CORPUS")
    family = Cnn(night_recipe=replace(NIGHT, steps=STEPS))
    monkeypatch.setattr(models, "get", lambda name: family)
    return made


@pytest.mark.slow
def test_without_mnist_the_demo_says_so_and_falls_back(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """One clear line, then the whole loop on the bundled digits: it ends with a promoted model on the phone."""
    monkeypatch.setattr("models.downloads.download_mnist", unreachable)
    said = shell("demo")
    assert "The demo goes on with the digits bundled with scikit-learn" in shell.err
    assert all(word in said for word in ("People write", "good enough", "loads and runs", "Versions"))
    last = said.splitlines()[-8:]
    assert [line.split()[0] for line in last if not line.startswith(" ")] == NAMES
    assert "verdict is passed" in said
    assert "installed version 2 from the signed feed" in said
    assert "followed to version 1; after a new promotion it runs version 2 again" in said
    home = shell.folder / "home" / "demo"
    for name in ("phone-before.png", "phone-after.png", "phone-confusion.png"):
        assert str(home / "reports" / name) in said
        with Image.open(home / "reports" / name) as picture:
            assert picture.size[0] > 300
    held = states.load(home / "phone")
    assert held is not None
    assert held.current is not None
    assert held.current.version == 2
    shell.set(HOME=str(home), CORPUS="digits")
    assert [row["number"] for row in json.loads(shell("versions", "--json"))] == [2, 1]


@pytest.mark.slow
def test_several_writers_after_one_option(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """`--writers a.zip b.zip c.zip`, as the README has it: three people."""
    monkeypatch.setattr("models.downloads.download_mnist", unreachable)
    given = people(shell.folder, count=3, each=30)
    said = shell("demo", "--writers", *given, "--confirm-rate", "1")
    assert all(path.stem in said for path in given)


def unreachable() -> Path:
    """No network."""
    from models.downloads import DownloadFailed

    raise DownloadFailed("no network in the tests")


def test_an_mnist_that_was_named_is_not_passed_over(tmp_path: Path) -> None:
    """--mnist WRONG refuses instead of falling back."""
    with pytest.raises(CorpusUnavailable):
        demonstration.prepare(settings.load({}, home=tmp_path, mnist=tmp_path / "nowhere"), say=lambda text: None)


def test_the_scratch_home_deletes_only_what_is_its_own(tmp_path: Path) -> None:
    """A folder with other files is refused; an empty one and an earlier demo's are used."""
    scratch = tmp_path / "demo"
    scratch.mkdir()
    (scratch / "thesis.tex").touch()
    loaded = settings.load({}, home=tmp_path, corpus="digits")
    with pytest.raises(BadSettings, match="got other files"):
        demonstration._clear(scratch)
    (scratch / "thesis.tex").unlink()
    demonstration._clear(scratch)
    (scratch / "old.db").touch()
    demonstration._clear(scratch)
    assert [path.name for path in scratch.iterdir()] == [demonstration.MARKER_FILE]
    assert loaded.corpus == "digits"


@pytest.mark.parametrize("people", [2, 3, 11, 14, 200])
def test_the_salt_gives_a_third_to_the_judge(people: int) -> None:
    """By names alone, whatever their number, and always the same; the gate needs three judges."""
    names = [f"writer-{number}" for number in range(people)]
    found = demonstration.salt(names, demonstration.HOLDOUT_SHARE)
    judges = sum(split.role_of(name, found, demonstration.HOLDOUT_SHARE) is Role.HOLDOUT for name in names)
    assert judges == min(max(round(people / 3), 3), people - 1)
    assert demonstration.salt(names, demonstration.HOLDOUT_SHARE) == found


def test_one_person_is_not_enough() -> None:
    """One person cannot both teach and judge."""
    with pytest.raises(BadSettings, match="at least two people"):
        demonstration.salt(["anna"], demonstration.HOLDOUT_SHARE)
