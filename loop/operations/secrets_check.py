"""Check the sealed secrets of the store: the key file is here and private, every secret is sealed and opens."""

from collections.abc import Iterator

from loop.errors import BadKey
from loop.home import Home
from loop.home.sealing_key import KeyFile
from loop.operations.finding import Finding, broken, ok, warning
from loop.store.service import secrets_at_rest


def examine(home: Home) -> Iterator[Finding]:
    """One finding for each thing that is wrong. Raises ``StoreUnavailable``."""
    path = home.settings.sealing_key_file
    expected = "a sealing key that opens every secret of the database"
    try:
        keys = KeyFile(path).read()
    except BadKey as error:
        yield broken("secrets", expected, str(error), f"chmod 600 {path}, or copy the file from another machine")
        return
    with home.store.read() as tx:
        every, closed = secrets_at_rest.every(tx), secrets_at_rest.closed(tx)
    if closed:
        actual = f"{len(closed)} of {len(every)} do not open: {closed[0][1]}"
        yield broken("secrets", expected, actual, f"copy the key file to {path}; if it is lost: loop secrets reset")
    if plain := sum(kept.key is None for kept in every):
        actual = f"{plain} of {len(every)} are stored as they are"
        yield warning("secrets", "secrets that are sealed", actual, "loop migrate")
    what = f"{len(every)} sealed" + (f", with key {keys[0].id} in {path}" if keys else "; no key yet")
    yield ok("secrets", what)
