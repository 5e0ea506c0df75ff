"""Every secret of the store that is kept sealed: the holdout salt and the webhooks' secrets.

An earlier release stored them as they are: ``seal_all`` seals those, once.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from loop.errors import BadKey
from loop.store import sealing, tables
from loop.store.feedback.split import SALT_KEY
from loop.store.service import hooks


@dataclass(frozen=True, slots=True)
class Kept:
    """One secret as it is stored; ``hook`` is None for the salt."""

    purpose: str
    stored: str
    hook: int | None = None

    @property
    def key(self) -> str | None:
        """The id of its key; None if it is not sealed."""
        return sealing.key_of(self.stored) if sealing.is_sealed(self.stored) else None


def every(tx: Session) -> list[Kept]:
    """Each secret: the salt, then the webhooks' by number."""
    return list(_every(tx))


def seal_all(tx: Session) -> int:
    """Seal what is stored as it is; how many. ``tx`` must be exclusive. Raises ``BadKey``."""
    plain = [kept for kept in _every(tx) if kept.key is None]
    for kept in plain:
        _store(tx, kept, sealing.seal(tx, kept.stored, kept.purpose))
    return len(plain)


def seal_anew(tx: Session) -> int:
    """Seal every secret with the current key; how many. ``tx`` must be exclusive. Raises ``BadKey``."""
    kept = every(tx)
    for each in kept:
        _store(tx, each, sealing.seal(tx, sealing.opened(tx, each.stored, each.purpose), each.purpose))
    return len(kept)


def closed(tx: Session) -> list[tuple[Kept, BadKey]]:
    """The secrets that do not open here, each with the reason."""
    found = []
    for kept in _every(tx):
        try:
            sealing.opened(tx, kept.stored, kept.purpose)
        except BadKey as error:
            found.append((kept, error))
    return found


def require_open(tx: Session) -> None:
    """Raises ``BadKey`` for the first secret that does not open here."""
    for _, error in closed(tx):
        raise error


def give_up(tx: Session, now: datetime) -> list[Kept]:
    """Forget the secrets that do not open, because their key is lost: the salt is made anew when it is needed, webhooks
    are removed. Returns what was forgotten. ``tx`` must be exclusive.
    """
    lost = [kept for kept, _ in closed(tx)]
    for kept in lost:
        if kept.hook is None:
            tx.execute(delete(tables.Fact).where(tables.Fact.key == SALT_KEY))
        else:
            hooks.remove(tx, kept.hook, now)
    return lost


def _every(tx: Session) -> Iterator[Kept]:
    salt = tx.scalar(select(tables.Fact.value).where(tables.Fact.key == SALT_KEY))
    if salt is not None:
        yield Kept(SALT_KEY, salt)
    hook = tables.Hook
    for number, secret in tx.execute(select(hook.id, hook.secret).where(hook.secret != "").order_by(hook.id)).all():
        yield Kept(hooks.purpose_of(number), secret, number)


def _store(tx: Session, kept: Kept, value: str) -> None:
    if kept.hook is None:
        tx.execute(update(tables.Fact).where(tables.Fact.key == SALT_KEY).values(value=value))
    else:
        tx.execute(update(tables.Hook).where(tables.Hook.id == kept.hook).values(secret=value))
