"""``loop init``, ``migrate``, ``settings``, ``base``: make a home ready and look at it."""

from pathlib import Path
from typing import Annotated

import typer

import models
from loop import durable, registry
from loop import home as homes
from loop.cli.output import FamilyName, Json, console, emit, progress, say, table
from loop.clock import utc_now
from loop.errors import BadSettings
from loop.home import artifacts
from loop.home import settings as knobs
from loop.night import retrain
from loop.store import schema
from loop.store.feedback import corrections


def init(family: FamilyName = "cnn", as_json: Json = False) -> None:
    """Make a home ready: store migrated, base registered as first version and champion.

    A second call changes nothing. Each family has its own base and champion.
    """
    known_family(family)
    home = homes.at(knobs.load(), migrated=False)
    schema.migrate(home.store)
    with home.store.write() as tx:
        corrections.set_salt(tx)
    with progress(quiet=as_json) as report:
        version = retrain.create_base(home, family, progress=report, clock=utc_now)
    champion = registry.champion(home, family)
    if as_json:
        named = {"family": family, "base": version.number, "champion": None if champion is None else champion.number}
        emit({"home": home.settings.home, "database": home.store.shown_url, **named})
        return
    say(f"home      {home.settings.home.absolute()}\ndatabase  {home.store.shown_url}")
    say(f"base      version {version.number} of {family}; `loop show {version.number}` tells more")
    if champion is None:
        say(f"champion  none: the base did not pass, read `loop verdict {version.number}`", "bold yellow")


def migrate(as_json: Json = False) -> None:
    """Bring the database's schema to the revision that this code needs."""
    home = homes.at(knobs.load(), migrated=False)
    before = schema.current(home.store)
    schema.migrate(home.store)
    if as_json:
        emit({"database": home.store.shown_url, "before": before, "now": schema.head()})
    else:
        say(f"{home.store.shown_url}: {before or 'empty'} → {schema.head()}")


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
    as_json: Json = False,
) -> None:
    """Train a family's base anew, by its recipe, on its base corpus; minutes for the CNN."""
    known_family(family)
    loaded = knobs.load(seed=seed)
    corpus = homes.corpus(loaded, models.get(family).corpus)
    with progress(quiet=as_json) as report:
        trained = models.get(family).train_base(corpus.train_images, corpus.train_labels, loaded.seed, report)
    data = artifacts.pack(trained.weights())
    durable.write_whole(out, data)
    if as_json:
        emit({"path": out, "bytes": len(data), "sha256": artifacts.digest(data)})
    else:
        say(f"{out}: {len(data):,} bytes, sha256 {artifacts.digest(data)}")


def known_family(name: str) -> None:
    """Raises ``BadSettings`` for a family that does not exist."""
    if name not in models.NAMES:
        raise BadSettings(f"family: expected {' or '.join(models.NAMES)}, got {name[:40]!r}")
