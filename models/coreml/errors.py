"""All errors that this package raises: a file, or an array given to it, cannot be run.

Each message is one line that starts with the file's name and, if a layer is the cause, the layer's name and kind.
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
    """The file may be valid, but needs something that this runtime does not support; it never guesses."""


class LimitExceeded(ModelError):
    """Running the file would take more memory or time than ``Limits`` allows."""


class BadInput(ModelError):
    """An array given to ``predict`` has the wrong name, shape, type or values."""
