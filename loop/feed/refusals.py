"""Why a device refuses: one error for each rule, so that a report from the field names the rule.

All are ``FeedRefused``. Whoever meets one keeps what it has. Messages say what was expected and what came.
"""

from loop.errors import FeedRefused


class Unavailable(FeedRefused):
    """The server or folder does not give the file; nothing is known to be wrong with it."""


class TooSlow(FeedRefused):
    """Bytes come, but so slowly that the device would never be done."""


class TooLong(FeedRefused):
    """More bytes come than were declared, or than such a document may have."""


class Truncated(FeedRefused):
    """Fewer bytes came than were declared; what came is kept, to go on from there."""


class NotCanonical(FeedRefused):
    """Not the one way in which these bytes could have been written."""


class UnknownFormat(FeedRefused):
    """Another kind or format of document than this code reads."""


class BadDocument(FeedRefused):
    """A field is missing, unknown, or outside its range."""


class KeyMismatch(FeedRefused):
    """A key id that is not the digest of its key."""


class TooFewSignatures(FeedRefused):
    """Fewer valid signatures by certified keys than the threshold."""


class KeyExpired(FeedRefused):
    """There are enough signatures, but not by keys that are still valid."""


class RootSkipped(FeedRefused):
    """A root that does not directly follow the trusted one."""


class EpochFell(FeedRefused):
    """A root that goes back to an earlier epoch."""


class RootWithheld(FeedRefused):
    """The feed was made under a root that the server did not show."""


class OtherEpoch(FeedRefused):
    """The feed is of another epoch than the root: from before a recovery."""


class RolledBack(FeedRefused):
    """A lower sequence than one that was seen."""


class Equivocated(FeedRefused):
    """A sequence that was seen, with another document."""


class Expired(FeedRefused):
    """The feed was valid until a time that has passed."""


class NoChannel(FeedRefused):
    """The feed has nothing for this family and format."""


class WrongDigest(FeedRefused):
    """A file's bytes are not those that the feed names."""


class WrongModel(FeedRefused):
    """The file says that it is of another family or version than the feed says."""


class DoesNotLoad(FeedRefused):
    """The file is no model that this device can run."""


class SelfTestFailed(FeedRefused):
    """The model answers its golden vectors otherwise than expected."""


class StateUnreadable(FeedRefused):
    """The device's own state is missing or damaged; it does not guess."""
