"""``loop init``, ``migrate``, ``settings``, ``base``: create a home, migrate its store, list its settings."""

from pathlib import Path
from typing import Annotated

import typer

import models
from loop import durable, registry
from loop import home as homes
from loop.cli.output import FamilyName, Json, emit, errors, print_table, progress, say, table
from loop.clock import utc_now
from loop.errors import BadSettings, CorpusUnavailable
from loop.home import artifacts
from loop.home import settings as configuration
from loop.home.settings import Settings
from loop.night import retrain
from loop.store import schema
from loop.store.feedback import split
from models.downloads import cached_mnist

WithoutMnist = Annotated[
    bool, typer.Option("--without-mnist", help="If MNIST is missing and cannot be downloaded, use the bundled digits.")
]


def init(family: FamilyName = "cnn", without_mnist: WithoutMnist = False, as_json: Json = False) -> None:
    """Create a home: migrate the store, register the base as version 1 and champion.

    A second call changes nothing. Each family has its own base and champion.
    """
    known_family(family)
    loaded = _with_corpus(configuration.load(), family, without_mnist)
    home = homes.at(loaded, migrated=False)
    homes.migrate(home)
    with home.store.write() as tx:
        split.set_salt(tx)
    with progress(quiet=as_json) as report:
        version = retrain.create_base(home, family, progress=report, clock=utc_now)
    champion = registry.champion(home, family)
    if as_json:
        named = {"family": family, "base": version.number, "champion": None if champion is None else champion.number}
        emit({"home": home.settings.home, "database": home.store.shown_url, **named})
        return
    say(f"home      {home.settings.home.absolute()}\ndatabase  {home.store.shown_url}")
    say(f"base      version {version.number} of {family}; `loop show {version.number}` describes it")
    if champion is None:
        say(f"champion  none: the base did not pass; `loop verdict {version.number}` lists the reasons", "bold yellow")


def _with_corpus(loaded: Settings, family: str, without_mnist: bool) -> Settings:
    """Settings under which the family's corpus can be read; a choice of the bundled digits is written to the home.

    Raises ``CorpusUnavailable``.
    """
    wanted = models.get(family).corpus
    if wanted == "mnist" and loaded.corpus == "mnist" and loaded.mnist is None and not cached_mnist().exists():
        errors.print(f"MNIST is not in Keras's cache ({cached_mnist()}); downloading it", soft_wrap=True)
    try:
        homes.corpus(loaded, wanted)
    except CorpusUnavailable as missing:
        if not without_mnist or loaded.mnist is not None:
            raise
        path = configuration.write(loaded.home, {"corpus": "digits"}, "MNIST was not available to `loop init`.")
        errors.print(f"{missing}. Nights replay scikit-learn's bundled digits instead: {path}", soft_wrap=True)
        return configuration.load()
    return loaded


def migrate(as_json: Json = False) -> None:
    """Migrate the database to the schema of this release."""
    home = homes.at(configuration.load(), migrated=False)
    before = schema.current(home.store)
    sealed = homes.migrate(home)
    if as_json:
        emit({"database": home.store.shown_url, "before": before, "now": schema.head(), "sealed": sealed})
        return
    say(f"{home.store.shown_url}: {before or 'empty'} → {schema.head()}")
    if sealed:
        say(f"{sealed} secrets sealed with the key in {home.settings.sealing_key_file}; keep a copy of that file")


def settings(as_json: Json = False) -> None:
    """List every setting with its value and origin; secrets are masked."""
    lines = configuration.lines(configuration.load())
    if as_json:
        emit({line.name: {"value": line.value, "origin": line.origin} for line in lines})
        return
    title = "Settings: defaults < HOME/settings.toml < loop.toml < LOOP_*"
    shown = table(title, "setting", "value", "origin", "description")
    for line in lines:
        shown.add_row(line.name, line.value, line.origin, line.description)
    print_table(shown)


def base(
    out: Annotated[Path, typer.Option(help="File for the weights (.npz, without pickle).")],
    family: FamilyName = "cnn",
    seed: Annotated[int | None, typer.Option(help="Default: the setting `seed`.")] = None,
    as_json: Json = False,
) -> None:
    """Train a family's base from scratch on its base corpus.

    The CNN takes minutes.
    """
    known_family(family)
    loaded = configuration.load(seed=seed)
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
