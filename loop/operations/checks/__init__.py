"""The doctor's checks, one file per subject. A check takes an ``Installation`` and yields findings; none means passed.

Checks change nothing. A ``LoopError`` that a check raises becomes a finding.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime

from loop.home import Home
from loop.operations.finding import Finding


@dataclass(frozen=True, slots=True)
class Installation:
    """A home and this machine's time. The home's database may not answer."""

    home: Home
    now: datetime


Check = Callable[[Installation], Iterator[Finding]]
