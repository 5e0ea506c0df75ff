"""The paths of a feed's files, below a published folder or a server's ``/v1``: only numbers and digests vary."""

FEED_FILE = "feed.json"
ASKING_FILE = "asking.json"


def root_path(version: int) -> str:
    """The path of a root document."""
    return f"root/{version}.json"


def model_path(digest: str) -> str:
    """The path of a model."""
    return f"models/{digest}.mlmodel"


def golden_path(digest: str) -> str:
    """The path of a model's golden vectors."""
    return f"golden/{digest}.json"
