"""What a file says of itself in words."""

from typing import Any


def texts(message: Any) -> dict[str, str]:
    """Return a ``Metadata`` message's entries; user-defined ones keep their own keys, the four named ones win."""
    named = {
        "description": message.shortDescription,
        "version": message.versionString,
        "author": message.author,
        "license": message.license,
    }
    return {**dict(sorted(message.userDefined.items())), **{key: text for key, text in named.items() if text}}
