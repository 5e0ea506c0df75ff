"""The last measurement of what asking is worth, in ``LOOP_HOME/worth.json``: for the status, and for when to stop.

It is a cache like the plot beside it: backups leave it out, and ``loop worth`` makes it again.
"""

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from loop import durable
from loop.home import Home

log = logging.getLogger(__name__)


def path(home: Home) -> Path:
    """The file."""
    return home.settings.home / "worth.json"


def keep(home: Home, document: Mapping[str, Any]) -> None:
    """Keep a measurement. Raises ``DiskFull``."""
    durable.write_whole(path(home), json.dumps(document, indent=1).encode())


def last(home: Home) -> dict[str, Any] | None:
    """The last measurement as JSON values; None if there is none, or if its file is damaged."""
    try:
        document = json.loads(path(home).read_bytes())
    except FileNotFoundError:
        return None
    except (ValueError, OSError) as error:
        log.warning("%s cannot be read (%s); run `loop worth` again", path(home), error)
        return None
    return document if isinstance(document, dict) and {"at", "text", "curves"} <= document.keys() else None
