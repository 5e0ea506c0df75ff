"""One tidying or restoring at a time in a home, and a restoring only while nobody else works there."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager

from loop.errors import BadSettings, OpsError
from loop.home import Home

LOCK = ".operations.lock"


@contextmanager
def exclusive(home: Home) -> Iterator[None]:
    """No other ``loop gc`` or ``restore`` in this home; a killed one's lock is gone with it. Raises ``OpsError``."""
    folder = home.settings.home
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = (folder / LOCK).open("ab")
    except OSError as error:
        raise BadSettings(f"{folder}: expected a folder that can be written to ({error.strerror})") from None
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise OpsError(f"{folder}: another `loop gc` or `loop restore` is at work here; wait for it") from None
        yield
