"""Which version is champion: promote, roll back, and a ledger that remembers."""

from datetime import timedelta
from pathlib import Path

import pytest

from loop import registry
from loop.errors import ArtifactCorrupt, NotPromotable, UnknownVersion
from loop.home import Home
from loop.home.artifacts import Artifacts
from loop.home.settings import Settings
from loop.store import Store, values
from loop.store.nights import runs, versions
from loop.store.values import Attribution
from tests.conftest import NOW
from tests.store.conftest import version

WHY = Attribution("ops", "a reason")


@pytest.fixture
def home(store: Store, tmp_path: Path) -> Home:
    """A home whose artifacts hold whatever ``add`` registers."""
    return Home(Settings(home=tmp_path), store, Artifacts(tmp_path / "artifacts"))


def add(home: Home, outcome: str = "passed", family: str = "cnn") -> int:
    """Register one more version with a real file."""
    with home.store.exclusive() as tx:
        run = runs.claim(tx, family, "night", runs.me(), 60, NOW)
        runs.reserve(tx, run.id)
        run = runs.get(tx, run.id)
        runs.finish(tx, run.id, values.RunStatus.FINISHED, None, {}, NOW)
        digest = home.artifacts.put(f"model {run.reserved}".encode(), ".mlmodel")
        new = version(run, artifact_digest=digest)
        verdict = values.Verdict(new.number, "good enough", outcome, {}, NOW)
        registry.register(tx, new, [verdict], WHY, NOW)
    return new.number


def champion(home: Home) -> int | None:
    """The CNN champion's number."""
    found = registry.champion(home, "cnn")
    return None if found is None else found.number


def test_promote_and_promote_twice(home: Home) -> None:
    """The first promotion moves the alias; the second says that nothing is left to do."""
    number = add(home)
    move = registry.promote(home, number, WHY, NOW)
    assert (move.before, move.after, move.actor, move.reason) == (None, number, "ops", "a reason")
    with pytest.raises(NotPromotable, match="already champion"):
        registry.promote(home, number, WHY, NOW)


@pytest.mark.parametrize("outcome", ["failed", "inconclusive"])
def test_what_did_not_pass_needs_an_override(home: Home, outcome: str) -> None:
    """Without --override it is refused; with it the ledger says so, with the verdict of the time."""
    number = add(home, outcome)
    with pytest.raises(NotPromotable, match=f"got {outcome}"):
        registry.promote(home, number, WHY, NOW)
    move = registry.promote(home, number, Attribution("ops", "we must", override=True), NOW)
    assert (move.override, move.verdict) == (True, outcome)


def test_a_corrupt_file_is_not_promoted(home: Home) -> None:
    """The artifact's digest is checked first; the alias does not move."""
    number = add(home)
    digest = registry._checked(home, number).artifact_digest
    home.artifacts.path(digest, ".mlmodel").write_bytes(b"rotten")
    with pytest.raises(ArtifactCorrupt):
        registry.promote(home, number, WHY, NOW)
    assert champion(home) is None


def test_unknown_version(home: Home) -> None:
    """Promoting or rolling back to what never was names the command that lists."""
    with pytest.raises(UnknownVersion, match="loop versions"):
        registry.promote(home, 99, WHY, NOW)


def test_nothing_to_roll_back_to(home: Home) -> None:
    """With no champion, or only one ever, rollback refuses."""
    with pytest.raises(NotPromotable, match="no earlier champion"):
        registry.rollback(home, "cnn", None, WHY, NOW)
    registry.promote(home, add(home), WHY, NOW)
    with pytest.raises(NotPromotable, match="no earlier champion"):
        registry.rollback(home, "cnn", None, WHY, NOW)


def test_rolling_back_twice_goes_back_two(home: Home) -> None:
    """1, 2, 3 promoted: back to 2, back to 1, then no further; and a new promotion starts from there."""
    for _ in range(3):
        registry.promote(home, add(home), WHY, NOW)
    assert registry.rollback(home, "cnn", None, WHY, NOW).after == 2
    assert registry.rollback(home, "cnn", None, WHY, NOW).after == 1
    with pytest.raises(NotPromotable):
        registry.rollback(home, "cnn", None, WHY, NOW)
    registry.promote(home, 3, WHY, NOW)
    assert registry.rollback(home, "cnn", None, WHY, NOW).after == 1


def test_rollback_leads_only_to_former_champions(home: Home) -> None:
    """--to a version that never was champion is refused and says which command does that."""
    for _ in range(2):
        registry.promote(home, add(home), WHY, NOW)
    never = add(home)
    with pytest.raises(NotPromotable, match=f"loop promote {never}"):
        registry.rollback(home, "cnn", never, WHY, NOW)
    assert registry.rollback(home, "cnn", 1, WHY, NOW).after == 1


def test_families_have_their_own_champions(home: Home) -> None:
    """Promoting an SVM leaves the CNN champion alone."""
    cnn, svm = add(home), add(home, family="svm")
    registry.promote(home, cnn, WHY, NOW)
    registry.promote(home, svm, WHY, NOW)
    assert champion(home) == cnn


def test_what_was_in_production_on_that_day(home: Home) -> None:
    """The ledger answers for any moment: before, between, after."""
    for day in range(3):
        registry.promote(home, add(home), WHY, NOW + timedelta(days=day))
    with home.store.read() as tx:
        found = [versions.holder(tx, "cnn", as_of=NOW + timedelta(days=d, hours=1)) for d in (-1, 0, 1, 5)]
    assert found == [None, 1, 2, 3]
