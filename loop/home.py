"""One opened LOOP_HOME: its settings, its store, its artifacts. What ``night``, ``cli`` and the API compose from."""

import getpass
from dataclasses import dataclass
from pathlib import Path

from loop.artifacts import Artifacts
from loop.corpus import Corpus
from loop.errors import BadSettings
from loop.settings import Settings
from loop.store import Store, schema


@dataclass(frozen=True, slots=True, eq=False)
class Home:
    """Settings, store and artifacts of one installation."""

    settings: Settings
    store: Store
    artifacts: Artifacts

    @property
    def reports(self) -> Path:
        """Folder for what people look at: plots and sheets."""
        return self.settings.home / "reports"

    @property
    def actor(self) -> str:
        """Who the ledger names."""
        if self.settings.actor:
            return self.settings.actor
        try:
            return getpass.getuser()
        except (KeyError, OSError):
            raise BadSettings("actor: this process has no login name; set LOOP_ACTOR") from None


def at(settings: Settings, *, migrated: bool = True) -> Home:
    """Open a home. Raises ``SchemaBehind`` (unless ``migrated`` is False: whoever migrates) and
    ``StoreUnavailable``.
    """
    home = Home(settings, Store(settings.url), Artifacts(settings.home / "artifacts"))
    if migrated:
        schema.require_head(home.store)
    return home


def corpus(settings: Settings, wanted: str) -> Corpus:
    """The base corpus a family wants, or ``digits`` where the settings say so. Raises ``CorpusUnavailable``."""
    from loop import corpus as corpora

    return corpora.digits() if "digits" in (settings.corpus, wanted) else corpora.mnist(settings.mnist, download=True)
