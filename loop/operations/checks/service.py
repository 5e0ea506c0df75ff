"""Checks of the service: queues are processed, API keys are valid, a public address requires keys, and the root
certificate of attestations is there.
"""

from collections.abc import Iterator
from datetime import timedelta

from loop import access
from loop.operations.checks import Installation
from loop.operations.finding import Finding, broken, note, ok, warning
from loop.store.feedback import attestations
from loop.store.service import health

OVERDUE = timedelta(hours=1)
KEY_EXPIRY_WARNING = timedelta(days=14)
DELIVERY_ADVICE = (
    "loop webhooks deliveries --status given-up shows the reasons; then loop webhooks retry N, or loop gc removes them"
)


def queues(installation: Installation) -> Iterator[Finding]:
    """No upload and no delivery waits too long."""
    with installation.home.store.read() as tx:
        arrivals, deliveries = health.arrivals(tx), health.deliveries(tx)
        given_up = health.deliveries(tx, "given-up")
    fix = "check that loop up is running; see its log"
    if arrivals.oldest is not None and installation.now - arrivals.oldest > OVERDUE:
        actual = f"{arrivals.count:,} wait, the oldest since {arrivals.oldest:%Y-%m-%d %H:%M} UTC"
        yield warning("arrivals", "uploads scored by the champion within an hour", actual, fix)
    if deliveries.oldest is not None and installation.now - deliveries.oldest > OVERDUE:
        actual = f"{deliveries.count:,} wait, one since {deliveries.oldest:%Y-%m-%d %H:%M} UTC"
        yield warning("deliveries", "events delivered when they are due", actual, fix)
    if given_up.count:
        yield note("deliveries", f"{given_up.count:,} were given up", DELIVERY_ADVICE)
    yield ok("queues", f"{arrivals.count:,} arrivals and {deliveries.count:,} deliveries wait")


def keys(installation: Installation) -> Iterator[Finding]:
    """At least one key is valid, no key is about to expire, and a public address requires keys."""
    every = [key for key in access.every(installation.home) if key.revoked_at is None]
    usable = [key for key in every if key.expires_at is None or key.expires_at > installation.now]
    serving = installation.home.settings.serve
    if not usable and not serving.loopback:
        actual = f"serve.host is {serving.host}, and no API key is valid"
        yield broken("API keys", "a public address with keys", actual, "loop keys create NAME")
    elif not usable:
        yield note("API keys", "none: uploads are refused", "loop keys create NAME, or loop serve, which creates one")
    else:
        yield ok("API keys", f"{len(usable)} valid")
    for key in every:
        if key.expires_at is not None and key.expires_at - installation.now < KEY_EXPIRY_WARNING:
            actual = f"{key.name} (key {key.id}, {key.role}): {key.expires_at:%Y-%m-%d %H:%M} UTC"
            fix = f"loop keys create NAME, then loop keys revoke {key.id}"
            yield warning("API keys", f"keys that are valid for {KEY_EXPIRY_WARNING.days} more days", actual, fix)


def attesting(installation: Installation) -> Iterator[Finding]:
    """The root certificate of attestations can be read and is valid; how many sources are attested."""
    home, now = installation.home, installation.now
    from loop.intake import attestation  # here, since it loads NumPy, and `loop status` needs none of it

    if (policy := attestation.policy(home)) is None:
        yield ok("attestation", "off: every copy of the app's key makes sources, which are young at first")
        return
    until = policy.root.not_valid_after_utc
    if not policy.root.not_valid_before_utc <= now < until:
        actual = f"{home.settings.attest_root_file} is valid from {policy.root.not_valid_before_utc} to {until}"
        yield broken("attestation", "a root certificate that is valid now", actual, "download Apple's current root")
        return
    with home.store.read() as tx:
        every, attested = attestations.counts(tx, home.settings.attest.exempt_before)
    mode = home.settings.attest.mode
    yield ok("attestation", f"{mode}: {attested:,} of {every:,} sources are attested; root until {until:%Y-%m-%d}")
