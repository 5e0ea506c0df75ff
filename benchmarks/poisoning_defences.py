"""Turn defences off by their settings, for the negative controls of ``poisoning``."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NoReturn
from unittest.mock import patch

from loop.home.sections import Canary, Jury, Screen, Trust
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


DEFENCES: Mapping[str, dict[str, Any]] = {
    "shares": {"trust": Trust(days=0, young_share=1, source_share=1, source_floor=1_000_000)},
    "screening": {"screen": Screen(on=False)},
    "canaries": {"canary": Canary(share=1, retry=False)},
    "jury": {"jury": Jury(days=1, hand_share=1)},
}
"""Name → the settings that turn it off: no source is young; nothing is screened; no draw fails; hands judge at once."""
NAMES = tuple(DEFENCES)
UNPROBED = {"canary": Canary(on=False)}
"""Beside all of ``DEFENCES`` turned off, for ``off``: what is then left of a night is what it cost without defences."""


def settings(choice: str) -> dict[str, Any]:
    """The settings that differ from the defaults. ``choice`` is ``all``, ``none``, ``off`` or ``without:NAME``. With
    ``none`` challengers are probed, and no draw fails; with ``off`` they are not.
    """
    without = NAMES if choice in {"none", "off"} else ()
    if choice.startswith("without:"):
        without = (choice.removeprefix("without:"),)
        if without[0] not in NAMES:
            raise SystemExit(f"--defences: expected one of {', '.join(NAMES)}, got {without[0]!r}")
    elif choice not in {"all", "none", "off"}:
        raise SystemExit(f"--defences: expected all, none, off or without:NAME, got {choice!r}")
    changed = {field: section for name in without for field, section in DEFENCES[name].items()}
    return changed | UNPROBED if choice == "off" else changed
