"""How many questions a day are worth asking, as ``pacing`` decided last. Loads no NumPy: ``loop status`` reads it."""

import json

from sqlalchemy.orm import Session

from loop.home.sections import Asking
from loop.store.service import key_values

KEY = "ask.pace"


def keep(tx: Session, per_day: int) -> None:
    """Keep what was decided. ``tx`` must be exclusive."""
    key_values.put(tx, KEY, json.dumps({"per_day": per_day}))


def per_day(tx: Session, rules: Asking) -> int:
    """The kept pace within today's limits; ``ask.per_day`` if none was decided or ``ask.adapt`` is off."""
    kept = key_values.get(tx, KEY) if rules.adapt else None
    if kept is None:
        return rules.per_day
    return min(rules.per_day, max(rules.least_per_day, int(json.loads(kept)["per_day"])))
