"""``loop init``, ``migrate``, ``settings``, ``base``: make a home ready and look at it."""

from pathlib import Path
from typing import Annotated

import typer

import models
from loop import artifacts, lease, night
from loop import home as homes
from loop import settings as knobs
from loop.cli.output import FamilyName, Json, console, emit, progress, table
from loop.errors import BadSettings
from loop.store import feedback, schema


def init(family: FamilyName = "cnn", as_json: Json = False) -> None:
    """Make a home ready: store migrated, base registered as first version and champion.

    A second call changes nothing. Each family has its own base and champion.
    """
    known_family(family)
    home = homes.at(knobs.load(), migrated=False)
    schema.migrate(home.store)
    with home.store.write() as tx:
        feedback.set_salt(tx)
    with progress(quiet=as_json) as report:
        version = night.found(home, family, progress=report, clock=lease.utc_now)
    if as_json:
        emit({"home": home.settings.home, "database": home.store.shown_url, "family": family, "base": version.number})
        return
    console.print(f"home      {home.settings.home.absolute()}\ndatabase  {home.store.shown_url}")
    console.print(f"base      version {version.number} of {family}; `loop show {version.number}` tells more")


def migrate() -> None:
    """Bring the database's schema to the revision that this code needs."""
    home = homes.at(knobs.load(), migrated=False)
    before = schema.current(home.store)
    schema.migrate(home.store)
    console.print(f"{home.store.shown_url}: {before or 'empty'} → {schema.head()}")


def settings(as_json: Json = False) -> None:
    """Every setting with its value and where it came from; secrets are masked."""
    lines = knobs.lines(knobs.load())
    if as_json:
        emit({line.name: {"value": line.value, "origin": line.origin} for line in lines})
        return
    shown = table("Settings: defaults < loop.toml < LOOP_*", "setting", "value", "origin", "what it is")
    for line in lines:
        shown.add_row(line.name, line.value, line.origin, line.description)
    console.print(shown)


def base(
    out: Annotated[Path, typer.Option(help="Where to write the weights (.npz, no pickle).")],
    family: FamilyName = "cnn",
    seed: Annotated[int | None, typer.Option(help="Default: the setting `seed`.")] = None,
) -> None:
    """Train a family's base anew, by its recipe, on its base corpus; minutes for the CNN."""
    known_family(family)
    loaded = knobs.load(seed=seed)
    corpus = homes.corpus(loaded, models.get(family).corpus)
    with progress() as report:
        trained = models.get(family).train_base(corpus.train_images, corpus.train_labels, loaded.seed, report)
    data = artifacts.pack(trained.weights())
    artifacts.write_whole(out, data)
    console.print(f"{out}: {len(data):,} bytes, weights sha256 {artifacts.digest(data)}")


def known_family(name: str) -> None:
    """Raises ``BadSettings`` for a family that does not exist."""
    if name not in models.NAMES:
        raise BadSettings(f"family: expected {' or '.join(models.NAMES)}, got {name[:40]!r}")
