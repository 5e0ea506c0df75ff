"""Trust the root that a new version of an app has built in: installed apps take it over, and never go back.

The app's own signature vouches for its root, so that root needs no signature of the chain: it is the way back after the
root keys were lost or stolen. Only the version orders roots; an app older than the device's root changes nothing.
"""

import hashlib
from dataclasses import replace

from loop.feed import envelope, refusals, trust
from loop.feed.document import Root
from loop.feed.trust import Trusted


def consider(trusted: Trusted, data: bytes) -> Trusted:
    """What to trust in an app with the root document ``data`` built in: its root if that is newer, else as before.

    A root of the same epoch keeps the last feed's sequence, one of any other epoch forgets it: after a theft of the
    root keys the thief chose the last epoch. Raises ``FeedRefused``, ``Equivocated`` for a second root of a version.
    """
    found = trust.begin(data)
    one_document_per_version(trusted, found)
    if not is_newer(found.root, trusted.root):
        return trusted
    if found.root.epoch != trusted.root.epoch:
        return found
    return replace(trusted, root=found.root, root_data=data)


def is_newer(found: Root, trusted: Root) -> bool:
    """Whether the built-in root replaces the trusted one: an old app must not bring revoked keys back."""
    return found.version > trusted.version


def one_document_per_version(trusted: Trusted, found: Trusted) -> None:
    """Every app has the same document for a version of the root; further signatures under it do not matter."""
    mine, other = (envelope.unseal(each.root_data).body for each in (trusted, found))
    if found.root.version == trusted.root.version and mine != other:
        raise refusals.Equivocated(
            f"built-in root {found.root.version}: expected the root {_short(mine)} that this device trusts, "
            f"got {_short(other)}; build in a root of a higher version"
        )


def _short(body: bytes) -> str:
    return f"{hashlib.sha256(body).hexdigest():.12}…"
