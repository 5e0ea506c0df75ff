"""The split: a source is assigned to one side when it is first seen, and never moves.

One person's handwriting never both teaches and judges. The side follows from a secret salt, so that nobody chooses it.
"""

import hashlib
import secrets

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from loop.store import sealing, tables
from loop.store.values import Role

SALT_KEY = "holdout salt"


def role_of(name: str, salt: str, holdout_share: float) -> Role:
    """The side of a source, by a salted hash of its id, so that a sender cannot choose its side."""
    hashed = hashlib.sha256(f"{salt}\0{name}".encode()).digest()
    return Role.HOLDOUT if int.from_bytes(hashed[:8]) < holdout_share * 2**64 else Role.TRAIN


def set_salt(tx: Session, salt: str | None = None) -> str:
    """This store's salt, created (or set to ``salt``) if there is none yet. It is stored sealed. Raises ``BadKey``."""
    fact = tx.get(tables.Fact, SALT_KEY)
    if fact is None:
        fact = tables.Fact(key=SALT_KEY, value=sealing.seal(tx, salt or secrets.token_hex(16), SALT_KEY))
        try:
            with tx.begin_nested():
                tx.add(fact)
        except IntegrityError:  # another process was first
            fact = tx.scalars(select(tables.Fact).where(tables.Fact.key == SALT_KEY)).one()
    return sealing.opened(tx, fact.value, SALT_KEY)
