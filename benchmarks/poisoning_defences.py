"""Turn defences off, for the negative controls of ``poisoning``: each by its own settings, or by what it replaces."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, NoReturn
from unittest.mock import patch

from loop.home.sections import Trust
from models.cnn import Cnn


class StoppedHereError(Exception):
    """The night was stopped where it would begin to teach."""


@contextmanager
def stopping_before_teaching() -> Iterator[None]:
    """While the block runs, a night raises ``StoppedHereError`` in place of teaching the network."""

    def stop(*_: Any) -> NoReturn:
        raise StoppedHereError

    with patch.object(Cnn, "fine_tune", stop):
        yield


def _no_shares(_: ExitStack) -> dict[str, Any]:
    """No source is young, and each may fill the lesson up to the cap of a source."""
    return {"trust": Trust(days=0, young_share=1, source_share=1, source_floor=1_000_000)}


DEFENCES = {"shares": _no_shares}
"""Name → a function that turns it off: it returns settings, and may replace functions for as long as the stack."""
NAMES = tuple(DEFENCES)


@contextmanager
def set_to(choice: str) -> Iterator[dict[str, Any]]:
    """The settings that differ from the defaults; while the block runs, replaced functions are replaced.

    ``choice`` is ``all``, ``none`` or ``without:NAME``.
    """
    without = NAMES if choice == "none" else ()
    if choice.startswith("without:"):
        without = (choice.removeprefix("without:"),)
        if without[0] not in NAMES:
            raise SystemExit(f"--defences: expected one of {', '.join(NAMES)}, got {without[0]!r}")
    elif choice not in {"all", "none"}:
        raise SystemExit(f"--defences: expected all, none or without:NAME, got {choice!r}")
    with ExitStack() as stack:
        settings: dict[str, Any] = {}
        for name in without:
            settings |= DEFENCES[name](stack)
        yield settings
