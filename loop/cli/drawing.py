"""``loop device draw PICTURE``: read a picture as the device's app would, and do what the asking policy says."""

from pathlib import Path
from typing import Annotated, Any

import typer

from loop.cli.output import Json, console, emit, percent
from loop.clock import utc_now
from loop.data.digits import Digit
from loop.errors import BadSettings
from loop.feed.client import asking, sending
from loop.feed.client import state as states
from loop.feed.client.asking import Considered
from loop.feed.client.sending import Server
from loop.feed.client.state import Held

NOT_ASKED = "expected no answer, since the policy does not ask the user about this drawing; send a correction instead"


def draw(
    picture: Annotated[Path, typer.Argument(help="PNG or JPEG of one digit.")],
    state: Annotated[Path, typer.Option("--state", help="Folder of the device; `loop device sync` creates it.")],
    send: Annotated[
        str | None,
        typer.Option(help="Send what the policy says to this server, for instance http://127.0.0.1:8000/v1."),
    ] = None,
    key: Annotated[str | None, typer.Option(help="The app's key; needed with --send.")] = None,
    source_secret: Annotated[
        str | None, typer.Option(help="The secret of the source; default: the device's own, made at the first use.")
    ] = None,
    answer: Annotated[int | None, typer.Option(min=0, max=9, help="The digit that the user answered.")] = None,
    as_json: Json = False,
) -> None:
    """Read a digit with the installed model, decide once whether to send it and whether to ask its user, and send it.

    If the policy asks the user, nothing is sent yet: run it again with --answer, or without to send the drawing alone.
    """
    if send is not None and not key:
        raise BadSettings("--key: expected the app's key with --send, got nothing; `loop keys create` makes one")
    held, digit, shares = _read(state, picture)
    found = asking.consider(state, digit.digest, shares, utc_now())
    if answer is not None and (found.decided is None or not found.decided.asked):
        raise BadSettings(f"--answer: {NOT_ASKED}")
    receipt = None
    if send is not None and _sends(found, answer):
        server = Server(send, key or "", source_secret or sending.own_secret(state))
        receipt = sending.send(server, digit.pixels, found, held.version, answer)
    document = _document(found, held, shares, receipt)
    if as_json:
        emit(document)
        return
    best = found.best
    console.print(
        f"version {held.version} reads {best.digit}, {percent(best.share)} sure; then {best.second}, "
        f"{percent(best.second_share)}"
    )
    console.print(str(document["says"]), soft_wrap=True)
    if receipt is not None:
        console.print(f"{'answer' if answer is not None else 'drawing'} sent: correction {receipt['id']}")


def _sends(found: Considered, answer: int | None) -> bool:
    return found.decided is not None and found.decided.send and (answer is not None or not found.ask_now)


def _read(folder: Path, picture: Path) -> tuple[Held, Digit, list[float]]:
    """The installed model, the digit, and the ten probabilities that the model gives."""
    from loop.cli import one_picture
    from loop.evaluation import digit_classifier

    known = states.load(folder)
    held = None if known is None else known.current
    if held is None or not states.is_intact(folder, held):
        raise BadSettings(f"{folder}: expected a device with an installed model; run `loop device sync` first")
    digit = one_picture.read(picture)
    model = digit_classifier.load(states.model_file(folder, held.digest).read_bytes())
    shares = digit_classifier.classifier(model).probabilities(digit.pixels[None])[0]
    return held, digit, [float(share) for share in shares]


def _document(found: Considered, held: Held, shares: list[float], receipt: dict[str, Any] | None) -> dict[str, Any]:
    decided = found.decided
    return {
        "version": held.version,
        "label": found.best.digit,
        "runner_up": found.best.second,
        "probabilities": shares,
        "unsure": found.unsure,
        "send": decided is not None and decided.send,
        "ask": found.ask_now,
        "rate": None if decided is None else decided.rate,
        "known": found.known,
        "says": _says(found),
        "sent": receipt,
    }


def _says(found: Considered) -> str:
    """The decision, in a sentence."""
    decided, best = found.decided, found.best
    if decided is None:
        return "no asking policy is valid: nothing is sent and nobody is asked; sync the device"
    kind = "unsure" if found.unsure else "sure"
    if found.unsure is None:
        kind = "decided under a policy that has expired"
    if found.ask_now:
        return f"{kind}: ask the user once, a {best.digit} or a {best.second}? Then --answer"
    before = ", as decided before" if found.known else ""
    return f"{kind}: {'send it' if decided.send else 'keep it'}, with chance {decided.rate:g} to be sent{before}"
