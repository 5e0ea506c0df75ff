"""The whole night on both databases, with a small real family on real digits."""

import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import models
from loop import home as homes
from loop import intake, registry
from loop.clock import utc_now
from loop.data.digits import digit
from loop.errors import DiskFull, OpsError, RunInProgress
from loop.evaluation.verdict import Policy
from loop.home import Home
from loop.home.sections import Canary
from loop.home.settings import Settings
from loop.intake import Upload
from loop.night import lease, publishing, retrain
from loop.store.feedback import split
from loop.store.nights import runs, versions
from loop.store.values import Attribution, Kind, RunStatus
from models import coreml
from models.family import Images
from tests.helpers import linear, stores
from tests.helpers.people import season

LENIENT = Policy(
    minimum_base=100,
    margin_points=50,
    class_margin_points=100,
    minimum_feedback=20,
    minimum_confirmations=5,
    base_floor_percent=70,
    class_floor_percent=30,
)
LENIENT_CANARY = Canary(share=1)
"""A linear model that learned shifted digits takes any mark beside a digit for its ink."""


@pytest.fixture
def home(url: str, tmp_path: Path, small_corpus: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Home]:
    """A founded home whose CNN family is the linear one, on the bundled digits."""
    monkeypatch.setattr(models, "get", models.get)  # so that both are put back
    monkeypatch.setattr(homes, "corpus", homes.corpus)
    linear.install(small_corpus)
    made = homes.at(settings(url, tmp_path), migrated=False)
    stores.migrate(made.store)
    with made.store.write() as tx:
        split.set_salt(tx, "salt")
    retrain.create_base(made)
    yield made
    made.store.close()


def settings(url: str, folder: Path) -> Settings:
    """Settings of the tests' home."""
    return Settings(
        home=folder / "home", database_url=url, corpus="digits", gate=LENIENT, canary=LENIENT_CANARY, holdout_share=0.4
    )


def rolled(images: Images) -> Images:
    """Digits shifted sideways, which a pixel-based model misreads."""
    return np.roll(images, 6, axis=2)


def write(
    home: Home, people: int = 8, each: int = 40, hand: Callable[[Images], Images] = rolled, *, seasoned: bool = True
) -> None:
    """Uploads of people with unusual handwriting, which the base often misreads, and some confirmations.

    ``seasoned``: they have been known for a month.
    """
    corpus = homes.corpus(home.settings, "mnist")
    strange = hand(corpus.train_images)
    uploads = []
    for who in range(people):
        for row in range(who * each, (who + 1) * each):
            label = int(corpus.train_labels[row])
            wrong = row % 4 != 0
            uploads.append(
                Upload(
                    source=f"person-{who}",
                    image=digit(strange[row] if wrong else corpus.train_images[row]),
                    label=label,
                    kind=Kind.CORRECTION if wrong else Kind.CONFIRMATION,
                    predicted=(label + 1) % 10 if wrong else label,
                    rate=1.0 if wrong else 0.5,
                )
            )
    answers = intake.accept_many(home.store, uploads, home.settings.holdout_share, utc_now())
    assert all(isinstance(answer, intake.Receipt) for answer in answers)
    if seasoned:
        season(home.store)


def champion(home: Home) -> int:
    """The champion's number."""
    found = registry.champion(home, "cnn")
    assert found is not None
    return found.number


def test_founding_registers_the_base_once(home: Home) -> None:
    """Version 1 is the base and champion; a second `create_base` changes nothing and starts no run."""
    assert champion(home) == 1
    with home.store.read() as tx:
        before = len(runs.recent(tx))
    assert retrain.create_base(home).number == 1
    with home.store.read() as tx:
        assert len(runs.recent(tx)) == before


def test_a_night_teaches_judges_and_publishes(home: Home) -> None:
    """Corrections give a better, judged and promoted version with its lineage in its file."""
    write(home)
    done = retrain.run(home)
    assert done.status is RunStatus.FINISHED
    assert done.version is not None
    assert done.judged is not None
    before, after = done.judged.before, done.judged.after
    assert before is not None
    assert after.on("feedback").accuracy > before.on("feedback").accuracy
    assert done.judged.outcome == "passed", [r.text for v in done.judged.verdicts.values() for r in v.reasons]
    assert champion(home) == done.version.number == 2
    model = coreml.load(home.artifacts.get(done.version.artifact_digest, ".mlmodel"))
    assert model.metadata["loop.version"] == "2"
    assert model.metadata["loop.snapshot"] == done.version.snapshot_digest
    assert model.metadata["loop.base"] == done.version.base_digest
    assert model.metadata["loop.recipe"] == done.version.recipe_digest
    assert model.metadata["loop.accuracy.digits"].startswith(f"{after.scores[0].accuracy:.4f}")
    assert set(done.seconds) == {
        "snapshot",
        "screen",
        "freeze",
        "teach",
        "export",
        "evaluate",
        "probe",
        "judge",
        "publish",
    }


@pytest.mark.slow
def test_the_same_night_again_is_skipped(home: Home) -> None:
    """The same base, snapshot, recipe and seed: skipped; forced, it gives the same weights under another number."""
    write(home)
    first = retrain.run(home).version
    again = retrain.run(home)
    assert again.status is RunStatus.SKIPPED
    assert "version 2" in str(again.reason)
    forced = retrain.run(home, force=True).version
    assert first is not None
    assert forced is not None
    assert (forced.number, forced.weights_digest) == (3, first.weights_digest)


@pytest.mark.slow
def test_too_little_new_is_skipped_with_numbers(home: Home) -> None:
    """Below `min_new` the night is skipped with both numbers in its reason; force teaches them."""
    write(home, people=8, each=2)
    done = retrain.run(home)
    assert done.status is RunStatus.SKIPPED
    assert "need 20" in str(done.reason)
    assert retrain.run(home, force=True).status is RunStatus.FINISHED


def test_nothing_to_teach(home: Home) -> None:
    """An empty store is a skipped night with its reason, recorded."""
    done = retrain.run(home, force=True)
    assert "nothing to teach" in str(done.reason)
    with home.store.read() as tx:
        assert runs.get(tx, done.run).status is RunStatus.SKIPPED


@pytest.mark.slow
def test_a_dry_run_registers_nothing(home: Home) -> None:
    """A dry run teaches and judges, but registers no version, moves no alias and adds no artifact."""
    write(home)
    files = sorted(home.artifacts.root.rglob("*"))
    done = retrain.run(home, dry_run=True)
    assert done.judged is not None
    assert done.version is None
    assert champion(home) == 1
    assert sorted(home.artifacts.root.rglob("*")) == files
    assert retrain.run(home).version is not None  # the dry run's snapshot does not count as taught


@pytest.mark.slow
def test_a_refused_challenger_is_registered_not_promoted(home: Home) -> None:
    """The verdict is always written; the champion stays; ops may override with a reason, on the record."""
    write(home)
    strict = replace(LENIENT, minimum_feedback=100_000)
    strict_home = replace(home, settings=home.settings.model_copy(update={"gate": strict}))
    done = retrain.run(strict_home)
    assert done.version is not None
    assert done.judged is not None
    assert done.judged.outcome == "inconclusive"
    assert champion(home) == 1
    with home.store.read() as tx:
        document = versions.verdicts(tx, 2)[0].document
    assert "need 100000" in json.dumps(document)


@pytest.mark.slow
def test_auto_promotion_can_be_off(home: Home) -> None:
    """A passed challenger then waits for `loop promote`."""
    write(home)
    waiting = replace(home, settings=home.settings.model_copy(update={"auto_promote": False}))
    done = retrain.run(waiting)
    assert done.version is not None
    assert not publishing.promoted(home, done.version)
    registry.promote(home, done.version.number, Attribution("ops", "looks good"), utc_now())


@pytest.mark.slow
def test_one_run_at_a_time(home: Home) -> None:
    """While a run lives, a second is refused; it goes once the first has ended."""
    write(home)
    with lease.hold(home, "cnn", "night", utc_now) as shift:
        with pytest.raises(RunInProgress):
            retrain.run(home)
        shift.finish(RunStatus.SKIPPED, "test")
    assert retrain.run(home).status is RunStatus.FINISHED


@pytest.fixture
def nearly_full(home: Home) -> Iterator[None]:
    """The artifacts on a file system of their own, with space for a version's first file, not for all four."""
    root, kept = home.artifacts.root, home.artifacts.root.with_name("kept")
    root.rename(kept)
    root.mkdir()
    mount, umount = shutil.which("mount"), shutil.which("umount")
    options = ["-t", "tmpfs", "-o", "size=4m", "tmpfs", str(root)]
    if mount is None or umount is None or subprocess.run([mount, *options], check=False).returncode:
        pytest.skip("mounting a small tmpfs needs root on Linux")
    shutil.copytree(kept, root, dirs_exist_ok=True)
    (root / "filler").write_bytes(bytes(shutil.disk_usage(root).free - 28 * 1024))
    yield
    subprocess.run([umount, str(root)], check=True)
    root.rmdir()
    kept.rename(root)


@pytest.mark.slow
def test_a_full_disk_while_publishing(home: Home, request: pytest.FixtureRequest) -> None:
    """A full disk leaves no version and no partial file; the run has the reason, and the next night works."""
    write(home)
    request.getfixturevalue("nearly_full")
    before = {path for path in home.artifacts.root.rglob("*") if path.is_file()}
    with pytest.raises(DiskFull, match="no space for"):
        retrain.run(home)
    assert not list(home.artifacts.root.rglob(".new-*"))
    assert {path for path in home.artifacts.root.rglob("*") if path.is_file()} > before  # it filled up on the way
    with home.store.read() as tx:
        assert runs.recent(tx)[0].status is RunStatus.FAILED
        assert "no space" in str(runs.recent(tx)[0].reason)
        assert [v.number for v in versions.every(tx)] == [1]
    assert champion(home) == 1
    roomy = replace(home, artifacts=type(home.artifacts)(home.artifacts.root.with_name("kept")))
    assert retrain.run(roomy).version is not None


def test_without_init_it_says_what_to_run(url: str, tmp_path: Path) -> None:
    """A migrated but unfounded home names `loop init`."""
    made = homes.at(settings(url, tmp_path), migrated=False)
    stores.migrate(made.store)
    with pytest.raises(OpsError, match="loop init"):
        retrain.run(made)
    made.store.close()
