"""``loop device …``: follow a feed as an app does, from the command line."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from loop.cli.drawing import draw
from loop.cli.lazy import group
from loop.cli.output import Json, console, emit, when
from loop.clock import utc_now
from loop.errors import BadSettings, FeedRefused
from loop.feed import client, trust
from loop.feed.client import state as states
from loop.feed.document import IOS_VERSION

Folder = Annotated[Path, typer.Option("--state", help="Folder in which the device keeps its state and models.")]


def sync(
    url: Annotated[str, typer.Option(help="Address of the feed: http(s)://…, or a published folder.")],
    state: Folder,
    root: Annotated[
        Path | None,
        typer.Option(help="Root document built into the app: needed for the first sync; a newer one counts later."),
    ] = None,
    family: Annotated[str, typer.Option(help="Model family: cnn or svm.")] = "cnn",
    ios: Annotated[
        str | None, typer.Option(help="Behave as this iOS version, for instance 16.4; default: any.")
    ] = None,
    timeout_seconds: Annotated[
        float, typer.Option(min=0.1, max=600, help="Longest wait for the next bytes, in seconds.")
    ] = 20,
    as_json: Json = False,
) -> None:
    """Check the feed for a newer model: verify, download, test and switch. A refused feed or model changes nothing."""
    if ios is not None and not IOS_VERSION.fullmatch(ios):
        raise BadSettings(f"--ios: expected a version like 16.4, got {ios[:20]!r}")
    running = None if ios is None else trust.version_of(ios)
    app_root = None if root is None else _read(root)
    try:
        with client.at(url, timeout_seconds) as source:
            done = client.sync(source, state, f"{family}.mlmodel", utc_now(), root=app_root, ios=running)
    except FeedRefused as error:
        if as_json:
            emit({"refused": type(error).__name__, "says": str(error)})
            raise typer.Exit(1) from None
        raise
    if as_json:
        emit(asdict(done) | {"model": _model(state, done.current)})
        return
    console.print(f"{done.action}: {done.why}")
    console.print(f"feed {done.sequence} of epoch {done.epoch}, root {done.root}, until {when(done.expires)}")
    _print(state, done.current)


def status(state: Folder, as_json: Json = False) -> None:
    """Show what a device trusts and runs, from its folder alone."""
    known = states.load(state)
    if known is None:
        raise BadSettings(f"{state}: expected a device's folder; `loop device sync --root …` creates one")
    whole = states.is_intact(state, known.current)
    if as_json:
        trusted = known.trusted
        seen = {"root": trusted.root.version, "epoch": trusted.root.epoch, "sequence": trusted.sequence}
        held = {"current": known.current, "previous": known.previous}
        emit(seen | {"channel": known.channel} | held | {"model": _model(state, known.current) if whole else None})
        return
    console.print(f"{known.channel}, root {known.trusted.root.version}, sequence {known.trusted.sequence or 'none'}")
    _print(state, known.current if whole else None)


def _print(folder: Path, held: states.Held | None) -> None:
    if held is None:
        console.print("no model: the app uses the one that it was built with")
        return
    console.print(f"version {held.version}")
    console.print(str(states.model_file(folder, held.digest)), soft_wrap=True)


def _model(folder: Path, held: states.Held | None) -> Any:
    return None if held is None else states.model_file(folder, held.digest).absolute()


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise BadSettings(f"{path}: expected the app's root document ({error.strerror})") from None


app = group("Follow a feed as a device does.", sync=sync, status=status, draw=draw)
