"""One opened LOOP_HOME: its settings, store, artifacts and loaded models; night, API and command line start from it."""

import getpass
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from loop.errors import BadSettings, CorpusUnavailable, StoreUnavailable
from loop.home.artifacts import Artifacts
from loop.home.model_cache import ModelCache
from loop.home.sealing_key import KeyFile
from loop.home.settings import Settings
from loop.store import Store, schema
from loop.store.service import secrets_at_rest

if TYPE_CHECKING:
    from loop.data.corpus import Corpus


@dataclass(frozen=True, slots=True, eq=False)
class Home:
    """Settings, store, artifacts and loaded models of one installation."""

    settings: Settings
    store: Store
    artifacts: Artifacts
    models: ModelCache = field(init=False)

    def __post_init__(self) -> None:
        """Start with no model loaded."""
        object.__setattr__(self, "models", ModelCache(self.artifacts))

    @property
    def reports(self) -> Path:
        """Folder for plots and contact sheets."""
        return self.settings.home / "reports"

    @property
    def actor(self) -> str:
        """The name written to the ledger. Raises ``BadSettings``."""
        if self.settings.actor:
            return self.settings.actor
        try:
            return getpass.getuser()
        except (KeyError, OSError):
            raise BadSettings("actor: this process has no login name; set LOOP_ACTOR") from None


def at(settings: Settings, *, migrated: bool = True) -> Home:
    """Open a home. Raises ``StoreUnavailable``; also ``SchemaBehind`` if ``migrated``, else the caller migrates."""
    if not migrated:
        _make_private(settings.home)
    home = opened(settings, create=not migrated)
    if migrated:
        schema.require_head(home.store)
    return home


def opened(settings: Settings, *, create: bool) -> Home:
    """A home in any state; unless ``create``, no folder and no file is made."""
    store = Store(settings.url, create=create, keys=KeyFile(settings.sealing_key_file))
    return Home(settings, store, Artifacts(settings.home / "artifacts"))


def migrate(home: Home) -> int:
    """Bring the store to this release: its schema, then the secrets that an earlier release stored unsealed.

    Returns how many secrets were sealed: a second process, or a second call, finds none. Raises ``StoreUnavailable``,
    ``SchemaBehind``, ``BadKey``.
    """
    schema.migrate(home.store)
    with home.store.exclusive() as tx:
        sealed = secrets_at_rest.seal_all(tx)
        secrets_at_rest.require_open(tx)
    if sealed:
        home.store.compact()  # the log still has the plain secret; in the file `secure_delete` has overwritten it
    return sealed


def require_secrets(home: Home) -> None:
    """Raises ``BadKey`` if this machine lacks the key of a secret in the database; long-running processes ask first."""
    with home.store.read() as tx:
        secrets_at_rest.require_open(tx)


def _make_private(folder: Path) -> None:
    """Create the home, readable by its owner only; one that exists keeps its permissions (``loop doctor`` looks)."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise StoreUnavailable(f"{folder}: cannot create the home ({error.strerror}); correct LOOP_HOME") from None


def corpus(settings: Settings, wanted: str) -> "Corpus":
    """The base corpus that a family needs, or ``digits`` if the setting asks for it; downloaded if it is missing.

    Raises ``CorpusUnavailable``.
    """
    try:
        return corpus_here(settings, wanted)
    except CorpusUnavailable:
        from loop.data import corpus as corpora

        return corpora.mnist(settings.mnist, download=True)


def corpus_here(settings: Settings, wanted: str) -> "Corpus":
    """The same, if it is on this machine. Raises ``CorpusUnavailable``."""
    return _corpus("digits" if "digits" in (settings.corpus, wanted) else "mnist", settings.mnist)


@lru_cache(maxsize=2)
def _corpus(name: str, path: Path | None) -> "Corpus":
    """Read and checked once per process: its arrays are read-only, and each night needs it several times."""
    from loop.data import corpus as corpora  # here, so that commands without digits do not load NumPy and Pillow

    return corpora.digits() if name == "digits" else corpora.mnist(path)
