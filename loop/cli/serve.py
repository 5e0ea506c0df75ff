"""``loop serve``, ``loop up``: the service, and the whole loop in one command."""

import gc
import signal
import socket
import subprocess
import sys
from typing import Annotated, Any

import typer
from rich.text import Text

from loop import access
from loop import home as homes
from loop.cli.output import errors, say
from loop.clock import utc_now
from loop.errors import BadSettings
from loop.home import Home, logs
from loop.home import settings as knobs
from loop.home.settings import Settings
from loop.store import schema
from loop.store.nights import versions

Host = Annotated[str | None, typer.Option(help="Address to listen on; default: the setting serve.host.")]
Port = Annotated[int | None, typer.Option(min=0, max=65535, help="0: any free one; default: the setting serve.port.")]


def serve(host: Host = None, port: Port = None) -> None:
    """The HTTP API: uploads, feed and models, versions, nights. It describes itself at /openapi.json.

    The first start makes a key for operators and shows it once. A public address needs keys that were made before.
    """
    home = homes.at(_settings(host, port))
    logs.begin(home.settings)
    _show_first_key(home)
    _serve(home)


def up(host: Host = None, port: Port = None) -> None:
    """The whole loop: API, pages and scheduler, in one command. What is missing is made first, as by `loop init`.

    For one machine, with the embedded database. Where they are to be restarted one by one, run `loop serve` and
    `loop schedule`.
    """
    from loop.schedule import background  # here, so that other commands start without them
    from loop.schedule.scheduler import Scheduler

    settings = _settings(host, port)
    _found(settings)
    home = homes.at(settings)
    logs.begin(settings)
    _show_first_key(home)
    scheduler = Scheduler(home, chores=background.tasks(home))
    scheduler.start()
    try:
        _serve(home)
    finally:
        scheduler.close()


def _serve(home: Home) -> None:
    """Serve until a signal; then finish what was begun."""
    import uvicorn  # here, so that other commands start without it

    from loop import api
    from loop.api import protocol

    serving = home.settings.serve
    listening = _listen(serving.host, serving.port)
    server = uvicorn.Server(uvicorn.Config(api.create(home), **protocol.options()))
    for sign in (signal.SIGTERM, signal.SIGINT):  # until uvicorn has handlers of its own, and when it is done
        signal.signal(sign, lambda *_: setattr(server, "should_exit", True))
    shown = f"[{serving.host}]" if ":" in serving.host else serving.host
    _spare_the_collector()
    say(f"listening on http://{shown}:{listening.getsockname()[1]}")
    server.run(sockets=[listening])


def _spare_the_collector() -> None:
    """Leave out of every collection what lives as long as the server, and collect less often.

    Walking all that was imported took about 100 ms each time: a third of the uploads a second, and nearly all of p99.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


def _settings(host: str | None, port: int | None) -> Settings:
    said: dict[str, Any] = {name: value for name, value in (("host", host), ("port", port)) if value is not None}
    return knobs.load(serve=said or None)


def _found(settings: Settings) -> None:
    """Make the home ready in a process of its own, which may load TensorFlow. Raises ``BadSettings``."""
    home = homes.at(settings, migrated=False)
    if schema.current(home.store) == schema.head():
        with home.store.read() as tx:
            ready = versions.base(tx, settings.schedule.family) is not None
    else:
        ready = False
    home.store.close()
    if ready:
        return
    made = subprocess.run([sys.executable, "-m", "loop", "init", "--family", settings.schedule.family], check=False)  # noqa: S603 (our own)
    if made.returncode:
        raise BadSettings("`loop init` failed, it says why above; mend that, then `loop up` again")


def _show_first_key(home: Home) -> None:
    """A store without keys gets one for operators, on a loopback address. Raises ``BadSettings``."""
    if not home.settings.serve.loopback:
        now = utc_now()
        if not any(key.usable(now) for key in access.every(home)):
            raise BadSettings(
                f"serve.host: {home.settings.serve.host} is public and there is no key; `loop keys create` first"
            )
        return
    secret = access.first_key(home, utc_now())
    if secret is not None:
        errors.print(Text("first key, for operators; it is not shown again: ") + Text(secret, "bold"), soft_wrap=True)


def _listen(host: str, port: int) -> socket.socket:
    """A listening socket. Raises ``BadSettings`` for an address that cannot be had."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        made = socket.socket(family, kind, protocol)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind(address)
        made.listen(2048)  # from now on whoever connects is kept until the server is ready
    except OSError as error:
        raise BadSettings(f"serve: cannot listen on {host}:{port} ({error.strerror}); choose another") from None
    return made
