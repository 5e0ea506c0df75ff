"""A file's metadata."""

from typing import Any


def texts(message: Any) -> dict[str, str]:
    """Return a ``Metadata`` message's entries; the four named ones replace user-defined ones of the same key."""
    named = {
        "description": message.shortDescription,
        "version": message.versionString,
        "author": message.author,
        "license": message.license,
    }
    return {**dict(sorted(message.userDefined.items())), **{key: text for key, text in named.items() if text}}
