"""Set the policy that phones follow, and write down why; the feed's next publication carries it."""

from dataclasses import asdict
from datetime import datetime, timedelta

from loop.asking.policy import Arrivals, Capacity, Proposal, differs, propose
from loop.feed.asking import AskingPolicy
from loop.home import Home
from loop.store.asking import policies, pool
from loop.store.asking.policies import SetPolicy

WINDOW = timedelta(days=7)


def announce(home: Home, now: datetime) -> Proposal | None:
    """Set a new policy if the drawings of the last week, or the settings, are worth one; else None."""
    rules = home.settings.ask
    with home.store.exclusive() as tx:
        set_before = policies.latest(tx)
        before = None if set_before is None else AskingPolicy(**set_before.document)
        margins, rates = pool.phone_margins(tx, now - WINDOW)
        days = WINDOW.days if set_before is None else min(WINDOW, max(now - set_before.set_at, timedelta(days=1))).days
        arrivals = Arrivals(margins, rates, float(days))
        capacity = Capacity(rules.per_day, rules.random_share, rules.ask_user, rules.asked_a_day)
        proposal = propose(before, arrivals, capacity)
        if not differs(before, proposal.policy):
            return None
        policies.add(tx, SetPolicy(asdict(proposal.policy), proposal.reasons, home.actor, now))
    return proposal
