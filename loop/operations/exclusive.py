"""A lock that allows one ``loop gc`` or ``loop restore`` at a time in a home."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from loop import durable
from loop.errors import BadSettings, OpsError
from loop.home import Home

LOCK = ".operations.lock"


@contextmanager
def exclusive(home: Home) -> Iterator[None]:
    """Hold the lock; a killed process loses it. Raises ``OpsError`` if it is held, and ``BadSettings``."""
    folder = home.settings.home
    with ExitStack() as stack:
        try:
            stack.enter_context(durable.locked(folder / LOCK, wait_seconds=0))
        except durable.AlreadyLocked:
            raise OpsError(f"{folder}: another `loop gc` or `loop restore` is running here; wait for it") from None
        except OSError as error:
            raise BadSettings(f"{folder}: expected a folder that can be written ({error.strerror})") from None
        yield
