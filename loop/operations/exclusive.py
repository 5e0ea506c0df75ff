"""One tidying or restoring at a time in a home, and a restoring only while nobody else works there."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from loop import durable
from loop.errors import BadSettings, OpsError
from loop.home import Home

LOCK = ".operations.lock"


@contextmanager
def exclusive(home: Home) -> Iterator[None]:
    """No other ``loop gc`` or ``restore`` in this home; a killed one's lock is gone with it. Raises ``OpsError``."""
    folder = home.settings.home
    with ExitStack() as held:
        try:
            held.enter_context(durable.locked(folder / LOCK, wait_seconds=0))
        except durable.AlreadyLocked:
            raise OpsError(f"{folder}: another `loop gc` or `loop restore` is at work here; wait for it") from None
        except OSError as error:
            raise BadSettings(f"{folder}: expected a folder that can be written to ({error.strerror})") from None
        yield
