"""``loop score FILE.mlmodel PICTURE``: what a model reads in one picture, which has no label."""

from pathlib import Path
from typing import Any

from rich.text import Text

from loop.cli.output import console, emit, percent, print_table, say, table
from loop.data import digits
from loop.errors import BadImage
from loop.evaluation.digit_classifier import DigitClassifier
from models.coreml import kinds

SHOWN_SHARE = 0.0005  # smaller probabilities are left out of the table


def is_picture(path: Path) -> bool:
    """Whether ``path`` is a PNG or JPEG file, by its first bytes."""
    try:
        return path.is_file() and kinds.of_path(path) in (kinds.PNG, kinds.JPEG)
    except OSError:
        return False  # the reader of labelled digits explains a path that cannot be read


def score(reader: DigitClassifier, file: Path, picture: Path, as_json: bool) -> None:
    """Print the answer for one picture. Raises ``BadImage``, ``BadModel``."""
    drawn = read(picture)
    shares = reader.probabilities(drawn.pixels[None])[0]
    document = {
        "model": reader.model,
        "file": file,
        "picture": picture,
        "normalised": drawn.normalised,
        "label": int(shares.argmax()),
        "probabilities": [float(share) for share in shares],
        "assumptions": list(reader.assumptions),
    }
    if as_json:
        emit(document)
    else:
        _print(document)


def read(picture: Path) -> digits.Digit:
    """The digit in a picture. Raises ``BadImage``, with the path."""
    limit = digits.DEFAULT_LIMITS.bytes
    try:
        with picture.open("rb") as file:
            data = file.read(limit + 1)  # one byte too many is what the decoder refuses
    except OSError as error:
        raise BadImage(f"{picture} cannot be read ({error.strerror}); make it readable") from error
    try:
        return digits.read(data)
    except BadImage as error:
        raise BadImage(f"{picture}: {error}") from error


def _print(document: dict[str, Any]) -> None:
    label, shares = document["label"], document["probabilities"]
    console.print(Text(f"reads {label}", "bold") + Text(f", {percent(shares[label])} sure", ""))
    shown = table("", "digit", ">probability")
    for digit in sorted(range(10), key=lambda digit: -shares[digit]):
        if shares[digit] >= SHOWN_SHARE:
            shown.add_row(str(digit), percent(shares[digit]))
    print_table(shown)
    say("How the picture was read", "bold")
    say("  normalised to 28×28, as MNIST is" if document["normalised"] else "  28×28 pixels, kept bit for bit")
    say("How the file was read", "bold")
    for line in document["assumptions"]:
        say(f"  {''.join(letter if letter.isprintable() else '�' for letter in line)}")
