"""Set the policy that phones follow, and write down why; the feed's next publication carries it."""

from dataclasses import asdict, replace
from datetime import datetime, timedelta

from loop.asking import kept_pace
from loop.asking.policy import Arrivals, Capacity, Proposal, differs, propose
from loop.asking.stopping import Pace
from loop.feed.asking import AskingPolicy
from loop.home import Home
from loop.store.asking import policies, pool
from loop.store.asking.policies import SetPolicy

DAY = timedelta(days=1)
WINDOW = 7 * DAY


def announce(home: Home, now: datetime, pace: Pace | None = None) -> Proposal | None:
    """Set a new policy if the drawings of the last week, the settings, or the pace are worth one; else None.

    ``pace`` is how many answers a day are worth asking for, with the reasons; by default the one that was decided last.
    """
    rules = home.settings.ask
    with home.store.exclusive() as tx:
        wanted = kept_pace.per_day(tx, rules) if pace is None else pace.per_day
        set_before = policies.latest(tx)
        before = None if set_before is None else AskingPolicy(**set_before.document)
        margins, rates = pool.phone_margins(tx, now - WINDOW)
        asked_for = now - (policies.begun_at(tx) or now)  # drawings of earlier policies have their own rates
        arrivals = Arrivals(margins, rates, min(WINDOW, max(asked_for, DAY)) / DAY)
        capacity = Capacity(wanted, rules.random_share, rules.ask_user, rules.asked_a_day)
        proposal = propose(before, arrivals, capacity)
        if not differs(before, proposal.policy) and not (pace is not None and pace.moved):
            return None
        if pace is not None:
            proposal = replace(proposal, reasons=(*proposal.reasons, *pace.reasons))
        policies.add(tx, SetPolicy(asdict(proposal.policy), proposal.reasons, home.actor, now))
    return proposal
