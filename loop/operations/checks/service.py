"""The service: do queues run dry, may anybody call, is it open to whom it should not?"""

from collections.abc import Iterator
from datetime import timedelta

from loop import access
from loop.operations.checks import Installation
from loop.operations.finding import Finding, broken, note, ok, warning
from loop.store.service import health

OVERDUE = timedelta(hours=1)
KEY_EXPIRY_WARNING = timedelta(days=14)
DELIVERY_ADVICE = (
    "loop webhooks deliveries --status given-up says why; then loop webhooks retry N, or loop gc forgets them"
)


def queues(patient: Installation) -> Iterator[Finding]:
    """Nothing waits for longer than it takes."""
    with patient.home.store.read() as tx:
        arrivals, deliveries = health.arrivals(tx), health.deliveries(tx)
        given_up = health.deliveries(tx, "given-up")
    fix = "is loop up running? see its log"
    if arrivals.oldest is not None and patient.now - arrivals.oldest > OVERDUE:
        came = f"{arrivals.count:,} wait, the oldest since {arrivals.oldest:%Y-%m-%d %H:%M} UTC"
        yield warning("arrivals", "uploads read by the champion within an hour", came, fix)
    if deliveries.oldest is not None and patient.now - deliveries.oldest > OVERDUE:
        came = f"{deliveries.count:,} wait, one since {deliveries.oldest:%Y-%m-%d %H:%M} UTC"
        yield warning("deliveries", "events told when they are due", came, fix)
    if given_up.count:
        yield note("deliveries", f"{given_up.count:,} were given up", DELIVERY_ADVICE)
    yield ok("queues", f"{arrivals.count:,} arrivals and {deliveries.count:,} deliveries wait")


def keys(patient: Installation) -> Iterator[Finding]:
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
        if key.expires_at is not None and key.expires_at - patient.now < KEY_EXPIRY_WARNING:
            came = f"{key.name} (key {key.id}, {key.role}): {key.expires_at:%Y-%m-%d %H:%M} UTC"
            fix = f"loop keys create NAME, then loop keys revoke {key.id}"
            yield warning("API keys", f"keys that are valid for {KEY_EXPIRY_WARNING.days} days more", came, fix)
