"""The command line, as its users meet it: clear answers, clear refusals, no traceback, JSON that parses."""

import json
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import models
from loop import cli
from loop import home as homes
from loop.data import digits
from loop.home.settings import Settings
from tests.helpers import linear

LENIENT = {
    "MARGIN_POINTS": "50",
    "CLASS_MARGIN_POINTS": "100",
    "MINIMUM_FEEDBACK": "20",
    "MINIMUM_CONFIRMATIONS": "5",
    "BASE_FLOOR_PERCENT": "70",
    "CLASS_FLOOR_PERCENT": "30",
}


class Shell:
    """Runs `loop …` in this process, in an empty folder with a home of its own."""

    def __init__(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], folder: Path, small: Path | None
    ) -> None:
        """Settings come from the environment only."""
        self.monkeypatch, self.capsys, self.folder = monkeypatch, capsys, folder
        for name in [name for name in os.environ if name.startswith("LOOP_")]:
            monkeypatch.delenv(name)
        monkeypatch.chdir(folder)
        monkeypatch.setattr(models, "get", models.get)  # so that both are put back
        monkeypatch.setattr(homes, "corpus", homes.corpus)
        monkeypatch.setattr("secrets.token_hex", lambda size: "salt")  # the split of so few people must not be chance
        self.real_corpus = homes.corpus
        if small is not None:
            linear.install(small)
        self.set(HOME=str(folder / "home"), CORPUS="digits", ACTOR="tester", HOLDOUT_SHARE="0.4")
        self.set(**{f"GATE__{name}": value for name, value in LENIENT.items()})
        self.set(CANARY__SHARE="1")  # a linear model takes any mark beside a digit for its ink

    def set(self, **variables: str) -> None:
        """LOOP_… for the following commands."""
        for name, value in variables.items():
            self.monkeypatch.setenv(f"LOOP_{name}", value)

    def __call__(self, *arguments: object, status: int = 0) -> str:
        """The command's standard output; its exit status must be ``status``."""
        self.monkeypatch.setattr(sys, "argv", ["loop", *map(str, arguments)])
        with pytest.raises(SystemExit) as caught:
            cli.main()
        self.out, self.err = self.capsys.readouterr()
        assert (caught.value.code or 0) == status, self.out + self.err
        assert "Traceback" not in self.out + self.err
        return self.out

    def json(self, *arguments: object) -> Any:
        """The command's JSON."""
        return json.loads(self(*arguments, "--json"))

    def refused(self, *arguments: object) -> str:
        """The one line on standard error of a command that fails."""
        self(*arguments, status=1)
        lines = [line for line in self.err.strip().splitlines() if not re.match(r"\d:\d\d:\d\d ", line)]  # progress
        assert len(lines) == 1, self.err
        return lines[0]


@pytest.fixture
def loop(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, small_corpus: Path
) -> Shell:
    """A shell."""
    return Shell(monkeypatch, capsys, tmp_path, small_corpus)


def people(folder: Path, count: int = 8, each: int = 60) -> list[Path]:
    """Zips of handwriting, rolled sideways so that the base misreads much of it."""
    data, paths = homes.corpus(Settings(), "digits"), []
    for who in range(count):
        paths.append(folder / f"person-{who}.zip")
        with zipfile.ZipFile(paths[-1], "w") as archive:
            for row in range(who * each, (who + 1) * each):
                pixels = np.roll(data.train_images[row], 5 if row % 3 else 0, axis=1)
                archive.writestr(f"{data.train_labels[row]}/{row}.png", digits.to_png(pixels))
    return paths


@pytest.mark.slow
def test_the_whole_circle(loop: Shell) -> None:
    """init, replay, retrain, versions, history, rollback, promote: what each says is what the store holds."""
    assert loop.json("init")["base"] == 1
    paths = people(loop.folder)
    replayed = loop.json("replay", *paths, "--confirm-rate", "0.5")
    assert {one["role"] for one in replayed} == {"train", "holdout"}
    done = loop.json("retrain")
    assert {"run", "status", "reason", "version", "verdict", "artifact", "seconds"} <= set(done)
    assert (done["status"], done["version"], done["verdict"], done["promoted"]) == ("finished", 2, "passed", True)
    artifact = done["artifact"]
    data = Path(artifact["path"]).read_bytes()
    assert len(data) == artifact["bytes"]
    assert [row["alias"] for row in loop.json("versions")] == ["champion", None]
    assert loop.json("show", 2)["digest"] == artifact["sha256"]
    assert [v["outcome"] for v in loop.json("verdict", 2)] == ["passed", "passed"]
    loop("rollback", "--reason", "smells")
    assert loop.json("history")["champions"] == {"cnn": 1}
    assert "smells" in loop("history")
    loop("promote", 2, "--reason", "better after all")
    assert loop.json("history", "--as-of", "2020-01-01")["champions"] == {}
    loop("show", 2, "--save", loop.folder / "Digits.mlmodel")
    assert (loop.folder / "Digits.mlmodel").read_bytes() == data
    assert "skipped" in loop("retrain")
    assert [run["status"] for run in loop.json("runs")] == ["skipped", "finished", "finished"]


@pytest.mark.slow
def test_a_second_init_changes_nothing(loop: Shell) -> None:
    """init twice: the same version, no second run."""
    loop("init")
    loop("init")
    assert len(loop.json("runs")) == 1


@pytest.mark.slow
def test_import_counts_and_reasons(loop: Shell) -> None:
    """Accepted, duplicate and refused are counted, with reasons; only an import of nothing fails."""
    loop("init")
    folder = loop.folder / "anna"
    (folder / "3").mkdir(parents=True)
    good = digits.to_png(homes.corpus(Settings(), "digits").train_images[3])
    (folder / "3" / "a.png").write_bytes(good)
    (folder / "3" / "b.png").write_bytes(good)
    (folder / "3" / "c.png").write_bytes(b"text renamed")
    (folder / "3" / "d.png").write_bytes(b"")
    found = loop.json("import", folder, "--source", "anna")
    assert (found["accepted"], found["duplicate"], found["refused"]) == (1, 1, 2)
    assert sum(found["reasons"].values()) == 2
    (folder / "3" / "a.png").unlink()
    (folder / "3" / "b.png").unlink()
    loop("import", folder, "--source", "anna", status=1)


@pytest.mark.slow
def test_bad_days_are_one_line(loop: Shell) -> None:
    """Each mistake of an operator: one line naming what to do, exit status 1, no traceback."""
    assert "loop migrate" in loop.refused("versions")
    loop("migrate")
    assert "loop init" in loop.refused("retrain")
    assert "loop init" in loop.refused("replay", *people(loop.folder, 1, 5))
    loop("init")
    assert "loop versions" in loop.refused("promote", 99, "--reason", "x")
    assert "loop versions" in loop.refused("verdict", 99)
    assert "already champion" in loop.refused("promote", 1, "--reason", "x")
    assert "no earlier champion" in loop.refused("rollback", "--reason", "x")
    assert "cnn or svm" in loop.refused("retrain", "--family", "rnn")
    assert "nowhere" in loop.refused("import", "nowhere", "--source", "a")
    with zipfile.ZipFile("empty.zip", "w"):
        pass
    assert "empty.zip" in loop.refused("import", "empty.zip", "--source", "a")
    with zipfile.ZipFile("climbs.zip", "w") as archive:
        archive.writestr("../../3/a.png", b"x")
    assert "climbs.zip" in loop.refused("import", "climbs.zip", "--source", "a")
    assert not (loop.folder.parent / "3").exists()
    loop.monkeypatch.setattr(homes, "corpus", loop.real_corpus)
    loop.set(CORPUS="mnist", MNIST=str(loop.folder / "none"))
    assert "LOOP_MNIST" in loop.refused("retrain", "--force")
    loop.set(DATABASE_URL="postgresql://loop:geheim@127.0.0.1:1/none")
    assert "does not answer" in (said := loop.refused("versions"))
    assert "geheim" not in said


def test_promote_asks_for_a_reason(loop: Shell) -> None:
    """Without --reason nothing moves: a wrong command line, exit status 2."""
    loop("promote", 1, status=2)
    assert "--reason" in loop.err


def test_settings_show_their_origin(loop: Shell) -> None:
    """The listing names each setting's value and origin."""
    found = loop.json("settings")
    assert found["corpus"] == {"value": "digits", "origin": "environment"}
    assert found["seed"] == {"value": "0", "origin": "default"}
    assert "LOOP_" in loop("settings")


@pytest.mark.parametrize("command", [[], *([name] for name in ("init", "retrain", "score", "promote", "gate-power"))])
def test_help_reads_well(loop: Shell, command: list[str]) -> None:
    """Help exits 0 and says what the command is for."""
    assert "Usage: loop" in loop(*command, "--help")


def test_help_is_broken_where_the_terminal_ends(loop: Shell) -> None:
    """And not where the lines of the source end."""
    loop.monkeypatch.setenv("COLUMNS", "200")
    assert "asks its running night to end at its next step, and frees the slot" in loop("schedule", "--help")


@pytest.mark.slow
def test_listing_never_loads_tensorflow(tmp_path: Path) -> None:
    """`loop versions` and friends start without TensorFlow, Keras, coremltools, scikit-learn or matplotlib."""
    script = (
        "import sys; import loop.cli; import loop.night.retrain; import loop.intake.replay\n"
        "heavy = {'tensorflow', 'keras', 'coremltools', 'sklearn', 'matplotlib', 'scipy'} & set(sys.modules)\n"
        "print(sorted(heavy)); sys.exit(bool(heavy))"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_sources_are_listed(loop: Shell) -> None:
    """Each source with its side and its counts, the newest upload first; the erased one is gone."""
    loop("init")
    loop("replay", *people(loop.folder, 3, 30), "--confirm-rate", "1")
    found = loop.json("sources")
    assert [row["name"] for row in found] == ["person-2", "person-1", "person-0"]
    assert all(row["uploads"] == row["corrections"] + row["confirmations"] > 0 for row in found)
    assert {row["role"] for row in found} <= {"train", "holdout"}
    assert "person-1" in loop("sources")
    loop("erase", "person-1", "--yes")
    assert [row["name"] for row in loop.json("sources", "--limit", "1")] == ["person-2"]
    assert "person-1" not in loop("sources")


@pytest.mark.slow
def test_status_counts_what_a_night_would_count(loop: Shell) -> None:
    """Uploads of sources that teach are what `loop retrain` needs; the screen says so, and how many."""
    loop("init")
    loop.set(MIN_NEW="1000")
    replayed = loop.json("replay", *people(loop.folder, 8, 10), "--confirm-rate", "1")
    teach = sum(one["stored"] for one in replayed if one["role"] == "train")
    assert 0 < teach < sum(one["stored"] for one in replayed)
    assert loop.json("status")["to_teach"] == teach
    assert f"{teach} of them teach; a night needs 1,000" in loop("status")
    judges = sum(one["role"] == "holdout" for one in replayed)
    assert loop.json("status")["jury"] == {"ready": judges, "waiting": 0, "first": None}
    assert f"{judges} hand{' judges' if judges == 1 else 's judge'}" in loop("status")
    assert f"{teach} " in loop.json("retrain")["reason"]


@pytest.mark.slow
def test_init_without_mnist_says_what_it_uses(loop: Shell) -> None:
    """Without --without-mnist it refuses; with it, the home keeps the choice, and every command and `status` know."""
    loop.monkeypatch.setattr(homes, "corpus", loop.real_corpus)
    loop.monkeypatch.setenv("KERAS_HOME", str(loop.folder / "keras"))
    loop.monkeypatch.setattr("models.downloads.download_mnist", unreachable)
    loop.monkeypatch.delenv("LOOP_CORPUS")
    homes._corpus.cache_clear()
    loop("init", status=1)
    assert "LOOP_MNIST" in loop.err
    loop("init", "--without-mnist")
    assert "downloading" in loop.err
    path = loop.folder / "home" / "settings.toml"
    assert "scikit-learn's bundled digits" in loop.err
    assert str(path) in loop.err
    assert loop.json("settings")["corpus"] == {"value": "digits", "origin": str(path)}
    assert "demonstrations only" in loop("status")
    loop.set(MNIST=str(loop.folder / "nowhere"), HOME=str(loop.folder / "other"))
    assert "nowhere" in loop.refused("init", "--without-mnist")  # a corpus that was named is not replaced


def unreachable() -> Path:
    """No network."""
    from models.downloads import DownloadFailed

    raise DownloadFailed("no network in the tests")
