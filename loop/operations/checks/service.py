"""The service: do queues run dry, may anybody call, is it open to whom it should not?"""

from collections.abc import Iterator
from datetime import timedelta

from loop import access
from loop.operations.checks import Patient
from loop.operations.finding import Finding, broken, note, ok, warning
from loop.store import health

LATE = timedelta(hours=1)
SOON = timedelta(days=14)
WHY = "loop webhooks deliveries --status given-up says why; then loop webhooks retry N, or loop gc forgets them"


def queues(patient: Patient) -> Iterator[Finding]:
    """Nothing waits for longer than it takes."""
    with patient.home.store.read() as tx:
        arrivals, deliveries = health.arrivals(tx), health.deliveries(tx)
        given_up = health.deliveries(tx, "given-up")
    fix = "is loop up running? see its log"
    if arrivals.oldest is not None and patient.now - arrivals.oldest > LATE:
        came = f"{arrivals.count:,} wait, the oldest since {arrivals.oldest:%Y-%m-%d %H:%M} UTC"
        yield warning("arrivals", "uploads read by the champion within an hour", came, fix)
    if deliveries.oldest is not None and patient.now - deliveries.oldest > LATE:
        came = f"{deliveries.count:,} wait, one since {deliveries.oldest:%Y-%m-%d %H:%M} UTC"
        yield warning("deliveries", "events told when they are due", came, fix)
    if given_up.count:
        yield note("deliveries", f"{given_up.count:,} were given up", WHY)
    yield ok("queues", f"{arrivals.count:,} arrivals and {deliveries.count:,} deliveries wait")


def keys(patient: Patient) -> Iterator[Finding]:
    """Somebody may call, and nobody's key is about to end unnoticed; a public address is not open to all."""
    every = [key for key in access.every(patient.home) if key.revoked_at is None]
    usable = [key for key in every if key.expires_at is None or key.expires_at > patient.now]
    serving = patient.home.settings.serve
    if not usable and not serving.loopback:
        came = f"serve.host is {serving.host}, and no API key is valid"
        yield broken("API keys", "a public address with keys", came, "loop keys create NAME")
    elif not usable:
        yield note("API keys", "none: nobody can upload", "loop keys create NAME, or loop serve: it makes a first one")
    else:
        yield ok("API keys", f"{len(usable)} valid")
    for key in every:
        if key.expires_at is not None and key.expires_at - patient.now < SOON:
            came = f"{key.name} (key {key.id}, {key.role}): {key.expires_at:%Y-%m-%d %H:%M} UTC"
            fix = f"loop keys create NAME, then loop keys revoke {key.id}"
            yield warning("API keys", f"keys that are valid for {SOON.days} days more", came, fix)
