"""Typed settings: defaults, then ``loop.toml``, then ``LOOP_*``; the only reader of the environment.

``loop.toml`` is looked for in the current folder, or where ``LOOP_CONFIG`` says. A key that nobody knows is an
error, wherever it stands: a misspelt ``LOOP_DATABSE_URL`` must not quietly mean the default database. (This, and the
origin of each value, is why the layers are read here and only validated by pydantic.)
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

from loop.errors import BadSettings
from loop.evaluation.verdict import ExportLimits, Policy
from loop.home.sections import Schedule, Serving
from loop.store.engine import masked

PREFIX = "LOOP_"
NOT_SETTINGS = {"LOOP_CONFIG"}  # the path of loop.toml
Share = Annotated[float, Field(gt=0, lt=1)]


class Settings(BaseModel):
    """Every knob of the loop; ``loop settings`` prints each with its value and origin."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)

    home: Path = Field(Path("var"), description="where artifacts, the SQLite store and plots live")
    database_url: SecretStr | None = Field(
        None, description="SQLAlchemy URL (sqlite, postgresql); default: home/loop.db"
    )
    mnist: Path | None = Field(None, description="folder with MNIST's IDX files, or an mnist.npz")
    corpus: Literal["mnist", "digits"] = Field(
        "mnist", description="base corpus; digits (scikit-learn's 1,797) is for demonstrations"
    )
    seed: int = Field(0, ge=0, le=2**31 - 1, description="seed of a night's training")
    actor: str | None = Field(None, max_length=100, description="who the ledger names; default: the login")
    auto_promote: bool = Field(True, description="a challenger that passed becomes champion at once")
    min_new: int = Field(20, ge=1, description="fewer newly accepted uploads than this: the night is skipped")
    holdout_share: Share = Field(0.2, description="share of sources that only judge and never teach")
    snapshot_budget: int = Field(5_000, ge=1, description="uploads a night teaches at most")
    source_cap: int = Field(500, ge=1, description="uploads of one source that a night teaches at most")
    lease_seconds: float = Field(60, ge=1, le=3600, description="a run silent for longer may be taken over")
    model_author: str = Field("Digit Loop", min_length=1, max_length=200, description="in every .mlmodel")
    model_licence: str = Field("MIT", min_length=1, max_length=200, description="in every .mlmodel")
    precision: Literal["float32", "float16", "int8"] = Field(
        "int8", description="weights of a published .mlmodel; svm knows float64 only"
    )
    mlpackage: bool = Field(
        False, description="also pack a version as .mlpackage (ML Program, iOS 15); not judged, and not of svm"
    )
    keys: Path | None = Field(None, description="folder with the feed's private keys; default: home/keys")
    key_passphrase: SecretStr | None = Field(None, description="opens them where they are encrypted; default: asked")
    feed_expires_hours: int = Field(168, ge=1, le=8760, description="a feed that is not renewed for so long is refused")
    confirm_rate: float = Field(0.05, ge=0, le=1, description="chance with which a device confirms a right answer")
    rollout_percent: int = Field(100, ge=0, le=100, description="share of devices that take a new champion")
    feed_folder: Path | None = Field(None, description="where the feed is published; default: home/feed")
    webhooks_private: bool = Field(False, description="webhooks may go to private and loopback addresses")
    log_format: Literal["auto", "text", "json"] = Field("auto", description="auto: text on a terminal, else JSON")
    serve: Serving = Field(default_factory=Serving, description="the API's address, limits and quotas")
    schedule: Schedule = Field(default_factory=Schedule, description="when nights are due, what one may cost")
    gate: Policy = Field(default_factory=Policy, description="the gate's margins and minimum sizes")
    trial: ExportLimits = Field(default_factory=ExportLimits, description="what a published file may cost")

    @field_validator("home", "mnist", "keys", "feed_folder")
    @classmethod
    def _expanded(cls, path: Path | None) -> Path | None:
        return None if path is None else path.expanduser()

    @property
    def published(self) -> Path:
        """The folder that devices are fed from."""
        return self.feed_folder or self.home / "feed"

    @property
    def url(self) -> str:
        """The database URL in the form SQLAlchemy takes, secrets included."""
        if self.database_url is None:
            made = URL.create("sqlite", database=str(self.home.absolute() / "loop.db"))
            return made.render_as_string(hide_password=False)
        url = make_url(self.database_url.get_secret_value())
        if url.drivername in {"postgres", "postgresql"}:
            url = url.set(drivername="postgresql+psycopg")
        return url.render_as_string(hide_password=False)


@dataclass(frozen=True, slots=True)
class Line:
    """One printed setting: dotted name, shown value (secrets masked), where it came from."""

    name: str
    value: str
    origin: str
    description: str


def load(environ: Mapping[str, str] | None = None, **overrides: Any) -> Settings:
    """Settings from defaults < loop.toml < ``environ`` < ``overrides`` (None means: not given).

    Raises ``BadSettings`` naming the key and its origin.
    """
    environ = os.environ if environ is None else environ
    given = {key: value for key, value in overrides.items() if value is not None}
    layers = (_from_file(environ), _from_environ(environ), given)
    merged: dict[str, Any] = {}
    for layer in layers:
        merged = _merge(merged, layer)
    try:
        settings = Settings.model_validate(merged)
        _check_url(settings.url)
    except ValidationError as error:
        raise BadSettings(_explain(error, layers)) from None
    except (ArgumentError, ValueError):
        raise BadSettings(
            "database_url: expected sqlite:///PATH or postgresql://USER:PASSWORD@HOST/NAME; "
            "what came is not a URL; mend LOOP_DATABASE_URL or loop.toml"
        ) from None
    return settings


def lines(settings: Settings, environ: Mapping[str, str] | None = None) -> list[Line]:
    """Every setting with its value and origin, in the order of the class."""
    environ = os.environ if environ is None else environ
    layers = (("loop.toml", _from_file(environ)), ("environment", _from_environ(environ)))
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


def _shown(value: object) -> str:
    return "–" if value is None else str(value)


def _origin(layers: tuple[tuple[str, dict[str, Any]], ...], *path: str) -> str:
    found = "default"
    for origin, layer in layers:
        node: Any = layer
        for key in path:
            node = node.get(key) if isinstance(node, dict) else None
        if node is not None:
            found = origin
    return found


def _from_file(environ: Mapping[str, str]) -> dict[str, Any]:
    named = environ.get("LOOP_CONFIG")
    path = Path(named or "loop.toml")
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        if named:
            raise BadSettings(f"LOOP_CONFIG: expected a file, {path} does not exist; mend or unset it") from None
        return {}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise BadSettings(f"{path}: not readable as TOML ({error}); mend the file") from None


def _from_environ(environ: Mapping[str, str]) -> dict[str, Any]:
    """``LOOP_HOME`` → home, ``LOOP_GATE__ALPHA`` → gate.alpha; empty values count as unset."""
    found: dict[str, Any] = {}
    for variable, value in environ.items():
        if not variable.startswith(PREFIX) or variable in NOT_SETTINGS or value == "":
            continue
        path = variable.removeprefix(PREFIX).lower().split("__")
        node = found
        for key in path[:-1]:
            node = node.setdefault(key, {})
            if not isinstance(node, dict):
                raise BadSettings(f"{variable}: LOOP_{key.upper()} is set as one value too; unset one of them")
        node[path[-1]] = value
    return found


def _merge(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    both = {k: _merge(below[k], v) for k, v in above.items() if isinstance(v, dict) and k in below}
    return below | above | both


def _check_url(url: str) -> None:
    parsed = make_url(url)
    if parsed.drivername not in {"sqlite", "postgresql+psycopg"}:
        raise BadSettings(f"database_url: expected sqlite or postgresql, got {parsed.drivername}; mend the URL")
    if parsed.drivername == "sqlite" and parsed.database in {None, "", ":memory:"}:
        raise BadSettings("database_url: expected sqlite:///PATH, got a database in memory, which nothing would keep")


def _explain(error: ValidationError, layers: tuple[dict[str, Any], ...]) -> str:
    """The first mistake in one line; a rejected value is never repeated, it may hold a password."""
    first = error.errors(include_input=False, include_url=False)[0]
    path = [str(part) for part in first["loc"]]
    names = zip(("loop.toml", "environment", "command line"), layers, strict=True)
    origin = _origin(tuple(names), *path)
    if first["type"] in {"extra_forbidden", "unexpected_keyword_argument"}:
        return f"{'.'.join(path)}: no such setting (from {origin}); `loop settings` lists them all"
    return f"{'.'.join(path)}: {first['msg']} (from {origin}); mend it there"
