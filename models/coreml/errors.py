"""The one error family that leaves this package: a file, or an array given to it, that cannot be run.

Each message is one line that starts with the file's name and, where one is to blame, the layer's name and kind.
"""


class ModelError(Exception):
    """Base of every error raised by ``load``, ``inspect`` and ``Model.predict``; one line of at most 500 characters."""

    def __init__(self, message: str) -> None:
        line = " ".join(message.splitlines())
        super().__init__(line if len(line) <= 500 else f"{line[:499]}…")


class Malformed(ModelError):
    """The file contradicts itself or the specification: truncated, wrong counts, missing inputs, bad values."""


class AnotherKind(Malformed):
    """The bytes are recognised as a file of another kind; the message names it and the next step."""


class Unsupported(ModelError):
    """The file may be right, but asks for something that this runtime does not do; it never guesses."""


class LimitExceeded(ModelError):
    """Running the file would take more memory or time than ``Limits`` allows."""


class BadInput(ModelError):
    """An array given to ``predict`` has the wrong name, shape, type or values."""
