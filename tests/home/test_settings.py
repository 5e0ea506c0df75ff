"""Settings: defaults, then the file, then the environment; mistakes are one line, secrets never shown."""

from pathlib import Path

import pytest

from loop.errors import BadSettings
from loop.home import settings


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def origins(environ: dict[str, str]) -> dict[str, tuple[str, str]]:
    """Name → (value, origin), as `loop settings` prints them."""
    loaded = settings.load(environ)
    return {line.name: (line.value, line.origin) for line in settings.lines(loaded, environ)}


def test_the_environment_goes_over_the_file_over_the_defaults(folder: Path) -> None:
    """Each value comes from the highest layer that names it, and says from which."""
    (folder / "loop.toml").write_text("seed = 3\nmin_new = 7\n[gate]\nalpha = 0.01\nmargin_points = 1\n")
    found = origins({"LOOP_SEED": "5", "LOOP_GATE__ALPHA": "0.02"})
    assert found["seed"] == ("5", "environment")
    assert found["min_new"] == ("7", "loop.toml")
    assert found["gate.alpha"] == ("0.02", "environment")
    assert found["gate.margin_points"] == ("1.0", "loop.toml")
    assert found["holdout_share"][1] == "default"


@pytest.mark.usefixtures("folder")
def test_a_password_is_never_shown() -> None:
    """Neither the listing nor an error repeats what is secret."""
    url = "postgresql://loop:geheim@db.example/loop"
    assert "geheim" not in str(origins({"LOOP_DATABASE_URL": url}))
    assert "geheim" not in repr(settings.load({"LOOP_DATABASE_URL": url}))
    with pytest.raises(BadSettings) as caught:
        settings.load({"LOOP_DATABASE_URL": "mysql://loop:geheim@db/loop"})
    assert "geheim" not in str(caught.value)


@pytest.mark.usefixtures("folder")
def test_postgresql_means_psycopg_3() -> None:
    """The URL that everybody writes leads to the driver that is installed, with its password."""
    loaded = settings.load({"LOOP_DATABASE_URL": "postgresql://loop:geheim@db/loop"})
    assert loaded.url == "postgresql+psycopg://loop:geheim@db/loop"


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("environ", "says"),
    [
        ({"LOOP_DATABSE_URL": "sqlite://"}, "databse_url: no such setting .from environment"),
        ({"LOOP_SEED": "seven"}, "seed: .*integer"),
        ({"LOOP_HOLDOUT_SHARE": "1.5"}, "holdout_share: .*less than 1"),
        ({"LOOP_GATE__ALPHA": "0.9"}, "gate: .*alpha"),
        ({"LOOP_GATE__ALHPA": "0.1"}, "gate.alhpa: no such setting"),
        ({"LOOP_DATABASE_URL": "not a url"}, "database_url: expected"),
        ({"LOOP_DATABASE_URL": "mysql://h/d"}, "expected sqlite or postgresql, got mysql"),
        ({"LOOP_CONFIG": "nowhere.toml"}, "nowhere.toml does not exist"),
    ],
)
def test_mistakes_are_one_line_that_names_the_key(environ: dict[str, str], says: str) -> None:
    """A misspelt or impossible setting stops everything, in one line."""
    with pytest.raises(BadSettings, match=says) as caught:
        settings.load(environ)
    assert "\n" not in str(caught.value)


def test_a_broken_file_is_one_line(folder: Path) -> None:
    """loop.toml that is no TOML names the file."""
    (folder / "loop.toml").write_text("seed = = 3")
    with pytest.raises(BadSettings, match=r"loop\.toml: not readable as TOML"):
        settings.load({})


def test_the_home_s_own_file_is_the_weakest_layer(folder: Path) -> None:
    """What `loop init` wrote counts until loop.toml or the environment say otherwise; it cannot move the home."""
    home = folder / "elsewhere"
    path = settings.write(home, {"corpus": "digits"}, "a reason")
    environ = {"LOOP_HOME": str(home)}
    assert settings.load(environ).corpus == "digits"
    assert {line.name: line.origin for line in settings.lines(settings.load(environ), environ)}["corpus"] == str(path)
    assert settings.load(environ | {"LOOP_CORPUS": "mnist"}).corpus == "mnist"
    assert settings.load({}).corpus == "mnist"
    path.write_text('home = "third"', encoding="utf-8")
    with pytest.raises(BadSettings, match="set LOOP_HOME"):
        settings.load(environ)
