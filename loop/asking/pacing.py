"""How many questions a day are worth asking now: read the signals, decide (``stopping``), and keep the number."""

from dataclasses import replace
from datetime import datetime, timedelta

import numpy as np
from sqlalchemy.orm import Session

from loop.asking import kept_pace, kept_worth, stopping
from loop.asking.stopping import Pace, Signals
from loop.home import Home
from loop.store.asking import answered, pool
from loop.store.asking.values import Arm
from loop.store.feedback import narrow
from loop.store.nights import versions
from loop.store.values import Version

LAST_ANSWERS = 200
DRAWINGS, LABELLED = 500, 1_000
"""Drawings that are read for the signals, and labelled digits that they are compared with: a second's work."""
WINDOW = timedelta(days=7)


def adapt(home: Home, family: str, now: datetime) -> Pace:
    """Decide and keep the pace. With ``ask.adapt`` off it is ``ask.per_day``.

    Raises ``ArtifactCorrupt``, ``BadModel``, ``StoreUnavailable``.
    """
    rules = home.settings.ask
    if not rules.adapt or not rules.per_day:
        return Pace(rules.per_day, ())
    found = stopping.pace(signals(home, family, now), rules.per_day, rules.least_per_day)
    with home.store.exclusive() as tx:
        moved = found.per_day != kept_pace.per_day(tx, rules)
        kept_pace.keep(tx, found.per_day)
    return replace(found, moved=moved)


def signals(home: Home, family: str, now: datetime) -> Signals:
    """What is known now. Reads some hundred drawings with the last two champions."""
    with home.store.frozen() as tx:
        champion = versions.champion(tx, family)
        answers = answered.contradicted(tx, LAST_ANSWERS)
        taught = sum(len(answered.teaching(tx, arm)[0]) for arm in (Arm.ASKED, Arm.RANDOM))
        fixes = _fixes(home, family, taught)
        if champion is None:
            return Signals(fixes, None, stopping.contradicted(*answers), None)
        ids, rates = answered.newest_drawings(tx, now - WINDOW, DRAWINGS)
        drawings = narrow.pixels(tx, ids)
        known = narrow.pixels(tx, pool.labelled_ids(tx, LABELLED))
        earlier = _earlier(tx, champion)
    model = home.models.get(champion.artifact_digest)
    reading = model.read(drawings)
    changed = None
    if earlier is not None and len(drawings):
        before = home.models.get(earlier.artifact_digest).probabilities(drawings).argmax(axis=1)
        changed = stopping.changed(before, reading.probabilities.argmax(axis=1), 1 / rates)
    embedded = model.read(known).embeddings
    new_kind = stopping.new_kind(reading.embeddings, embedded) if reading.embeddings.shape[1] else None
    return Signals(fixes, changed, stopping.contradicted(*answers), new_kind)


def _fixes(home: Home, family: str, taught: int) -> float | None:
    document = kept_worth.last(home)
    if document is None or document.get("family") != family:
        return None
    sizes = document["curves"].get(Arm.ASKED, [])
    accuracies = [float(size["accuracy"]["value"]) for size in sizes]
    found = stopping.fixes([int(size["labels"]) for size in sizes], accuracies, taught)
    return None if found is None or not np.isfinite(found) else found


def _earlier(tx: Session, champion: Version) -> Version | None:
    """The champion before this one, which it was judged against."""
    if champion.champion is None:
        return None
    return versions.get(tx, champion.champion)
