"""What the doctor looks at, one noun a file. A check takes a ``Patient`` and yields findings; without any, all is well.

Checks look and change nothing. What they raise as a ``LoopError`` is a finding, too.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime

from loop.home import Home
from loop.operations.finding import Finding


@dataclass(frozen=True, slots=True)
class Installation:
    """A home, whose database may not answer, at a moment of this machine's clock."""

    home: Home
    now: datetime


Check = Callable[[Installation], Iterator[Finding]]
