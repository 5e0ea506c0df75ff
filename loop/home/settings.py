"""Typed settings, the only reader of the environment: defaults < HOME/settings.toml < loop.toml < ``LOOP_*``.

``loop init`` writes the home's file where it had to choose a corpus. ``loop.toml`` is read from the current folder, or
from the path in ``LOOP_CONFIG``. An unknown key is an error in every layer: a misspelt ``LOOP_DATABSE_URL`` must not
mean the default database. That, and the origin of each value, is why this module reads the layers itself.
"""

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from loop import durable
from loop.errors import BadSettings
from loop.evaluation.verdict import ExportLimits, Policy
from loop.home.sections import Asking, Attest, Canary, Jury, Review, Schedule, Screen, Serving, Trust
from loop.store.engine import masked

PREFIX = "LOOP_"
NOT_SETTINGS = {"LOOP_CONFIG"}  # the path of loop.toml
DEFAULT_HOME = Path("var")
HOME_FILE = "settings.toml"
Layers = tuple[tuple[str, dict[str, Any]], ...]
"""Origin and values, the weakest layer first."""
Share = Annotated[float, Field(gt=0, lt=1)]


class Settings(BaseModel):
    """Every setting of the loop; ``loop settings`` prints each with its value and origin."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)

    home: Path = Field(DEFAULT_HOME, description="folder with artifacts, the SQLite store and plots")
    database_url: SecretStr | None = Field(
        None, description="SQLAlchemy URL (sqlite, postgresql); default: home/loop.db"
    )
    mnist: Path | None = Field(None, description="folder with MNIST's IDX files, or an mnist.npz")
    corpus: Literal["mnist", "digits"] = Field(
        "mnist", description="base corpus; digits (scikit-learn's 1,797) only for demonstrations"
    )
    seed: int = Field(0, ge=0, le=2**31 - 1, description="seed of a night's training")
    actor: str | None = Field(None, max_length=100, description="name in the ledger; default: the login name")
    auto_promote: bool = Field(True, description="a challenger that passed becomes champion at once")
    min_new: int = Field(20, ge=1, description="a night with fewer new uploads is skipped")
    holdout_share: Share = Field(0.2, description="share of sources that only judge and never teach")
    snapshot_budget: int = Field(5_000, ge=1, description="largest number of uploads that a night teaches")
    source_cap: int | None = Field(
        None, ge=1, description="largest number of them from one source, beside its share (trust.source_share)"
    )
    lease_seconds: float = Field(
        60, ge=1, le=3600, description="another process may take over a run that is silent for longer"
    )
    model_author: str = Field("Digit Loop", min_length=1, max_length=200, description="written to every .mlmodel")
    model_licence: str = Field("MIT", min_length=1, max_length=200, description="written to every .mlmodel")
    precision: Literal["float32", "float16", "int8"] = Field(
        "int8", description="weights of a published .mlmodel; svm always uses float64"
    )
    mlpackage: bool = Field(
        False, description="also write an .mlpackage (ML Program, iOS 15); it is not judged, and svm has none"
    )
    keys: Path | None = Field(None, description="folder with the feed's private keys; default: home/keys")
    key_passphrase: SecretStr | None = Field(None, description="passphrase of encrypted keys; default: ask")
    sealing_key: Path | None = Field(
        None, description="file with the key of the database's secrets; default: home/sealing.key"
    )
    feed_expires_hours: int = Field(168, ge=1, le=8760, description="devices refuse a feed older than this")
    confirm_rate: float = Field(0.05, ge=0, le=1, description="probability that a device confirms a right answer")
    rollout_percent: int = Field(100, ge=0, le=100, description="percentage of devices that install a new champion")
    feed_folder: Path | None = Field(None, description="folder for the published feed; default: home/feed")
    webhooks_private: bool = Field(False, description="allow webhooks to private and loopback addresses")
    log_format: Literal["auto", "text", "json"] = Field("auto", description="auto: text on a terminal, else JSON")
    serve: Serving = Field(default_factory=Serving, description="the API's address, limits and quotas")
    schedule: Schedule = Field(default_factory=Schedule, description="when nights are due, and their limits")
    trust: Trust = Field(default_factory=Trust, description="shares of a lesson, and how trust is computed")
    attest: Attest = Field(default_factory=Attest, description="which sources must attest, and how it is verified")
    screen: Screen = Field(default_factory=Screen, description="screening of a lesson before it is taught")
    jury: Jury = Field(default_factory=Jury, description="which uploads of holdout sources judge")
    review: Review = Field(default_factory=Review, description="how reviewers answer questions")
    ask: Asking = Field(default_factory=Asking, description="which drawings become questions")
    canary: Canary = Field(default_factory=Canary, description="how each challenger is probed for back doors")
    gate: Policy = Field(default_factory=Policy, description="the gate's margins and minimum sizes")
    trial: ExportLimits = Field(default_factory=ExportLimits, description="limits of a published file")

    @field_validator("home", "mnist", "keys", "sealing_key", "feed_folder")
    @classmethod
    def _expanded(cls, path: Path | None) -> Path | None:
        return None if path is None else path.expanduser()

    @property
    def published(self) -> Path:
        """The folder with the published feed."""
        return self.feed_folder or self.home / "feed"

    @property
    def sealing_key_file(self) -> Path:
        """The file with the key that seals the database's secrets."""
        return self.sealing_key or self.home / "sealing.key"

    @property
    def attest_root_file(self) -> Path:
        """The file with the root certificate of attestations."""
        return self.home / Path(self.attest.root_file).expanduser()

    @property
    def url(self) -> str:
        """The database URL for SQLAlchemy, secrets included."""
        if self.database_url is None:
            made = URL.create("sqlite", database=str(self.home.absolute() / "loop.db"))
            return made.render_as_string(hide_password=False)
        url = make_url(self.database_url.get_secret_value())
        if url.drivername in {"postgres", "postgresql"}:
            url = url.set(drivername="postgresql+psycopg")
        return url.render_as_string(hide_password=False)


@dataclass(frozen=True, slots=True)
class Line:
    """One printed setting: dotted name, value (secrets masked), origin."""

    name: str
    value: str
    origin: str
    description: str


def load(environ: Mapping[str, str] | None = None, **overrides: Any) -> Settings:
    """Settings from defaults < the home's file < loop.toml < ``environ`` < ``overrides`` (None: not given).

    Raises ``BadSettings``, which names the key and its origin.
    """
    layers = _layers(os.environ if environ is None else environ, overrides)
    merged: dict[str, Any] = {}
    for _, layer in layers:
        merged = _merge(merged, layer)
    try:
        settings = Settings.model_validate(merged)
        _check_url(settings.url)
    except ValidationError as error:
        raise BadSettings(_explain(error, layers)) from None
    except (ArgumentError, ValueError):
        raise BadSettings(
            "database_url: expected sqlite:///PATH or postgresql://USER:PASSWORD@HOST/NAME; "
            "got no valid URL; correct LOOP_DATABASE_URL or loop.toml"
        ) from None
    return settings


def lines(settings: Settings, environ: Mapping[str, str] | None = None) -> list[Line]:
    """Every setting with its value and origin, in the order of the class."""
    layers = _layers(os.environ if environ is None else environ, {})
    rows = []
    for name, info in Settings.model_fields.items():
        value = getattr(settings, name)
        if is_dataclass(value):
            rows += [
                Line(f"{name}.{f.name}", str(getattr(value, f.name)), _origin(layers, name, f.name), "")
                for f in fields(value)
            ]
            continue
        if name == "database_url":
            value = masked(settings.url)
        rows.append(Line(name, _shown(value), _origin(layers, name), info.description or ""))
    return rows


def write(home: Path, values: Mapping[str, str], reason: str) -> Path:
    """Write the home's own settings, with a comment; its path. Raises ``DiskFull``."""
    path = home / HOME_FILE
    body = "".join(f'{name} = "{value}"\n' for name, value in values.items())
    durable.write_whole(path, f"# {reason} loop.toml and LOOP_* override these.\n{body}".encode())
    return path


def _layers(environ: Mapping[str, str], overrides: Mapping[str, Any]) -> Layers:
    upper = (
        ("loop.toml", _from_file(environ)),
        ("environment", _from_environ(environ)),
        ("command line", {key: value for key, value in overrides.items() if value is not None}),
    )
    homes = [layer["home"] for _, layer in upper if "home" in layer]
    path = Path(homes[-1] if homes else DEFAULT_HOME).expanduser() / HOME_FILE
    below = _read(path) if path.is_file() else {}
    if "home" in below:
        raise BadSettings(f"{path}: home cannot be set there; set LOOP_HOME")
    return ((str(path), below), *upper)


def _shown(value: object) -> str:
    return "–" if value is None else str(value)


def _origin(layers: Layers, *path: str) -> str:
    last = "default"
    for name, layer in layers:
        node: Any = layer
        for key in path:
            node = node.get(key) if isinstance(node, dict) else None
        if node is not None:
            last = name
    return last


def _from_file(environ: Mapping[str, str]) -> dict[str, Any]:
    named = environ.get("LOOP_CONFIG")
    path = Path(named or "loop.toml")
    if not path.exists():
        if named:
            raise BadSettings(f"LOOP_CONFIG: expected a file, {path} does not exist; correct or unset it")
        return {}
    return _read(path)


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise BadSettings(f"{path}: not readable as TOML ({error}); correct the file") from None


def _from_environ(environ: Mapping[str, str]) -> dict[str, Any]:
    """``LOOP_HOME`` → home, ``LOOP_GATE__ALPHA`` → gate.alpha; empty values count as unset."""
    values: dict[str, Any] = {}
    for variable, value in environ.items():
        if not variable.startswith(PREFIX) or variable in NOT_SETTINGS or value == "":
            continue
        path = variable.removeprefix(PREFIX).lower().split("__")
        node = values
        for key in path[:-1]:
            node = node.setdefault(key, {})
            if not isinstance(node, dict):
                raise BadSettings(f"{variable}: LOOP_{key.upper()} is also set, as a single value; unset one of them")
        node[path[-1]] = value
    return values


def _merge(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    both = {k: _merge(below[k], v) for k, v in above.items() if isinstance(v, dict) and k in below}
    return below | above | both


def _check_url(url: str) -> None:
    parsed = make_url(url)
    if parsed.drivername not in {"sqlite", "postgresql+psycopg"}:
        raise BadSettings(f"database_url: expected sqlite or postgresql, got {parsed.drivername}; correct the URL")
    if parsed.drivername == "sqlite" and parsed.database in {None, "", ":memory:"}:
        raise BadSettings("database_url: expected sqlite:///PATH, got a database in memory, which is lost at exit")


def _explain(error: ValidationError, layers: Layers) -> str:
    """The first mistake in one line, without the rejected value: it may contain a password."""
    first = error.errors(include_input=False, include_url=False)[0]
    path = [str(part) for part in first["loc"]]
    origin = _origin(layers, *path)
    if first["type"] in {"extra_forbidden", "unexpected_keyword_argument"}:
        return f"{'.'.join(path)}: no such setting (from {origin}); `loop settings` lists all settings"
    return f"{'.'.join(path)}: {first['msg']} (from {origin}); correct it there"
