"""Which drawings leave the pool after a round: too old, copies, and past the pool's size the least informative. Pure.

Only drawings that took part in their lottery leave it for what they show: as copies, or as little informative. Before
it, a drawing leaves by age alone, which says nothing about what it shows. ``queue`` says why that keeps the picture
unbiased.
"""

import numpy as np
from numpy.typing import NDArray

from loop.asking import copies
from loop.asking.candidates import Candidates
from loop.asking.queue import Plan, PoolColumns
from loop.home.sections import Asking


def surplus(
    pool: PoolColumns,
    ages: NDArray[np.float64],
    unsure: NDArray[np.float64],
    shortlist: tuple[NDArray[np.intp], Candidates],
    plan: Plan,
    rules: Asking,
) -> NDArray[np.intp]:
    """The rows to drop, ascending: older than ``pool_days``; and of those without a lottery to come the copies, near
    copies in the shortlist, copies of what was asked about or has a label, and past ``pool_size`` the oldest and least
    informative.

    ``ages (n,)`` in days; ``unsure (n,)``, larger is more. A drawing's worth is its uncertainty, halved for each third
    of ``pool_days`` that it has waited. Of copies the one that is worth most stays.
    """
    rows, candidates = shortlist
    asked = np.array([question.row for question in plan.questions], np.intp)
    worth = unsure * 0.5 ** (3 * np.maximum(ages, 0) / rules.pool_days)
    worth[asked] = np.inf  # a copy of what is asked goes
    order = np.lexsort((pool.ids, -worth))
    digests = np.ascontiguousarray(pool.digests).view("S32").ravel()  # numpy sorts these as bytes
    goes = np.ones(len(pool), np.bool_)
    goes[order[np.unique(digests[order], return_index=True)[1]]] = False
    goes[rows[copies.near_copies(candidates, worth[rows], rules.near)]] = True
    goes |= pool.repeats
    free = _free(pool, plan, rules)
    goes &= free
    goes |= ages > rules.pool_days
    goes[asked] = False
    free[asked] = False  # they left the pool
    kept = order[(free & ~goes)[order]]
    still_to_draw = np.count_nonzero(~goes) - len(kept) - len(asked)
    goes[kept[max(0, rules.pool_size - still_to_draw) :]] = True
    return np.flatnonzero(goes)


def _free(pool: PoolColumns, plan: Plan, rules: Asking) -> NDArray[np.bool_]:
    """The drawings without a lottery to come: theirs was held, or none ever is."""
    free = pool.drawn.copy()
    free[plan.new] = True
    return free | (rules.random_share == 0)
