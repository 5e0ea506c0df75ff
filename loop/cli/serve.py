"""``loop serve`` runs the API, ``loop up`` the whole loop in one process."""

import gc
import signal
import socket
import subprocess
import sys
from contextlib import ExitStack
from typing import Annotated, Any

import typer
from rich.text import Text

from loop import access
from loop import home as homes
from loop.cli.output import errors, say
from loop.clock import utc_now
from loop.errors import BadSettings
from loop.home import Home, logs
from loop.home import settings as configuration
from loop.home.settings import Settings
from loop.store import schema
from loop.store.nights import versions

Host = Annotated[str | None, typer.Option(help="Address to listen on; default: the setting serve.host.")]
Port = Annotated[
    int | None, typer.Option(min=0, max=65535, help="Port; 0 picks a free one; default: the setting serve.port.")
]


def serve(host: Host = None, port: Port = None) -> None:
    """Serve the HTTP API and the pages.

    /openapi.json describes the API. The first start creates a key for operators and prints it once. A public address
    needs a key that was created before.
    """
    home = homes.at(_settings(host, port))
    logs.begin(home.settings)
    homes.require_secrets(home)
    _show_first_key(home)
    _serve(home)


def up(host: Host = None, port: Port = None) -> None:
    """Run the API, the pages and the scheduler in one process; create what is missing.

    Without MNIST, it uses scikit-learn's bundled digits, as `loop status` shows. For one machine with the embedded
    database. To restart API and scheduler separately, run `loop serve` and `loop schedule`.
    """
    from loop.schedule import background  # here, so that `serve` does not import them
    from loop.schedule.scheduler import Scheduler

    _create_if_missing(_settings(host, port))
    settings = _settings(host, port)  # again: `loop init` may have written the home's own
    home = homes.at(settings)
    logs.begin(settings)
    homes.require_secrets(home)
    _show_first_key(home)
    scheduler = Scheduler(home, tasks=background.tasks(home))
    scheduler.start()
    try:
        _serve(home)
    finally:
        scheduler.close()


def _serve(home: Home) -> None:
    """Serve until a signal; then finish the open requests."""
    import uvicorn  # here, so that `up` creates its home before it imports them

    from loop import api
    from loop.api import protocol

    serving = home.settings.serve
    listening = _listen(serving.host, serving.port)
    server = uvicorn.Server(uvicorn.Config(api.create(home), **protocol.options()))
    for number in (signal.SIGTERM, signal.SIGINT):  # before uvicorn installs its handlers, and after it removes them
        signal.signal(number, lambda *_: setattr(server, "should_exit", True))
    shown = f"[{serving.host}]" if ":" in serving.host else serving.host
    _spare_the_collector()
    say(f"listening on http://{shown}:{listening.getsockname()[1]}")
    server.run(sockets=[listening])


def _spare_the_collector() -> None:
    """Exclude imported objects from garbage collection, and collect less often.

    Traversing them took about 100 ms per collection: a third of the uploads per second, and nearly all of p99.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


def _settings(host: str | None, port: int | None) -> Settings:
    given: dict[str, Any] = {name: value for name, value in (("host", host), ("port", port)) if value is not None}
    return configuration.load(serve=given or None)


def _create_if_missing(settings: Settings) -> None:
    """Run ``loop init`` where the home has no base yet: in a process of its own, which may load TensorFlow.

    Raises ``BadSettings``.
    """
    home = homes.at(settings, migrated=False)
    migrated = schema.current(home.store) == schema.head()
    with ExitStack() as stack:
        ready = migrated and versions.base(stack.enter_context(home.store.read()), settings.schedule.family) is not None
    home.store.close()
    if ready:
        return
    init = [sys.executable, "-m", "loop", "init", "--family", settings.schedule.family, "--without-mnist"]
    if subprocess.run(init, check=False).returncode:  # noqa: S603 (our own)
        raise BadSettings("`loop init` failed for the reason printed above; fix it, then run `loop up` again")


def _show_first_key(home: Home) -> None:
    """Create a key for operators where a store has none and the address is loopback. Raises ``BadSettings``."""
    if not home.settings.serve.loopback:
        now = utc_now()
        if not any(key.usable(now) for key in access.every(home)):
            raise BadSettings(
                f"serve.host: {home.settings.serve.host} is public, but no key exists; run `loop keys create` first"
            )
        return
    secret = access.first_key(home, utc_now())
    if secret is not None:
        errors.print(Text("key for operators, printed only now: ") + Text(secret, "bold"), soft_wrap=True)


def _listen(host: str, port: int) -> socket.socket:
    """A listening socket. Raises ``BadSettings`` for an address that cannot be bound."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        made = socket.socket(family, kind, protocol)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind(address)
        made.listen(2048)  # the kernel queues connections until the server is ready
    except OSError as error:
        raise BadSettings(f"serve: cannot listen on {host}:{port} ({error.strerror}); choose another address") from None
    return made
