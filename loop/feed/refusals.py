"""Why a device refuses: one error per rule, so that a report from a device names the rule.

All are ``FeedRefused``. A device that gets one keeps its current model. Messages state what was expected and what was
received.
"""

from loop.errors import FeedRefused


class Unavailable(FeedRefused):
    """The server or folder did not return the file; its content may be fine."""


class TooSlow(FeedRefused):
    """The source sends bytes too slowly."""


class TooLong(FeedRefused):
    """The source sent more bytes than declared, or than such a document may have."""


class Truncated(FeedRefused):
    """The source sent fewer bytes than declared. They are kept, so that the next sync can resume."""


class NotCanonical(FeedRefused):
    """The document is not canonical JSON."""


class UnknownFormat(FeedRefused):
    """The document is of a type or format that this code does not read."""


class BadDocument(FeedRefused):
    """A field is missing, unknown, or outside its range."""


class KeyMismatch(FeedRefused):
    """A key id is not the digest of its key."""


class TooFewSignatures(FeedRefused):
    """There are fewer valid signatures by certified keys than the threshold."""


class KeyExpired(FeedRefused):
    """There are enough signatures, but too few by keys that have not expired."""


class RootSkipped(FeedRefused):
    """A root does not directly follow the trusted one."""


class EpochFell(FeedRefused):
    """A root goes back to an earlier epoch."""


class RootWithheld(FeedRefused):
    """The feed names a root that the server did not provide."""


class OtherEpoch(FeedRefused):
    """The feed is of another epoch than the root, from before a recovery."""


class RolledBack(FeedRefused):
    """The sequence is lower than one that the device has seen."""


class Equivocated(FeedRefused):
    """The device has seen this sequence, or this version of the root, with another document."""


class Expired(FeedRefused):
    """The feed has expired."""


class NoChannel(FeedRefused):
    """The feed has no release for this family and format."""


class WrongDigest(FeedRefused):
    """A file does not have the digest that the feed names."""


class WrongModel(FeedRefused):
    """The file's metadata names another family or version than the feed."""


class DoesNotLoad(FeedRefused):
    """The file is not a model that this device can run."""


class SelfTestFailed(FeedRefused):
    """The model does not reproduce its golden vectors."""


class StateUnreadable(FeedRefused):
    """The device's own state is missing or damaged. The device does not guess it."""
