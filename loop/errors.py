"""The errors, grouped by who must act.

Each message is one line: what was expected, what came, what to do next. Expected outcomes are values, not
errors: a refused challenger is a verdict, a night with too little data is a skipped run.
"""


class LoopError(Exception):
    """Base of every error this project raises on purpose; the command line prints it as one line."""


class ClientError(LoopError):
    """The sender must act: what was sent cannot be taken, and nothing of it was stored."""


class BadImage(ClientError):
    """The bytes are not a readable digit: corrupt, blank, oversize or of an unknown format."""


class BadLabel(ClientError):
    """The label is not one of 0 to 9, or a field of the upload is outside its range."""


class BadModel(ClientError):
    """The file is not a Core ML digit classifier: unreadable, unsupported, or its labels are not the ten digits."""


class NotReadable(ClientError):
    """A request's body is cut off, malformed, or not what its headers say."""


class TooLarge(ClientError):
    """A request's body is longer, or has more parts, than this server takes."""


class WrongMediaType(ClientError):
    """A request's body is of a kind that nobody asked for."""


class BodyTooSlow(ClientError):
    """A request's body did not come whole in time."""


class KeyConflict(ClientError):
    """The same source used one idempotency key for two different bodies."""


class CallerError(LoopError):
    """Whoever calls the API may not do this, or not now."""


class NoKey(CallerError):
    """No key came with the request."""


class KeyRefused(CallerError):
    """The key is unknown, has expired, or was revoked."""


class NoSource(CallerError):
    """A shared key came without the secret that says which source is calling."""


class NotAllowed(CallerError):
    """The key's role, or its source, may not do this."""


class QuotaSpent(CallerError):
    """Too much for now; the same request is taken after ``retry_after`` seconds."""

    def __init__(self, message: str, retry_after: float) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class FeedRefused(LoopError):
    """Whoever publishes the feed must act, or somebody attacks it; the device stays on what it has."""


class OpsError(LoopError):
    """An operator asked for something that the loop's state does not allow."""


class UnknownVersion(OpsError):
    """No such version, run or verdict in the store."""


class NotPromotable(OpsError):
    """The version may not become champion: verdict not passed, already champion, or nothing to go back to."""


class BadReason(OpsError):
    """An operator's name or reason is empty, too long, or holds what cannot be printed."""


class NotPublishable(OpsError):
    """The feed may not be published: no root, no key that may sign, or a folder that is somebody else's."""


class NotPublished(OpsError):
    """No such file in the published folder, or nothing was published yet."""


class BadBackup(OpsError):
    """A backup is damaged, of another schema, not ours, or not what this home may become."""


class BadHook(OpsError):
    """No such webhook or delivery, or an address that may not be called."""


class RunInProgress(OpsError):
    """Another run holds the lease."""


class SlotTaken(OpsError):
    """Another run has this slot, or had it: a night that is due once runs once."""


class LessonErased(OpsError):
    """Something that this run teaches was erased meanwhile; it may not be published."""


class LeaseLost(OpsError):
    """This run's lease was taken over by another; whatever it still wanted to write is refused."""


class DeploymentError(LoopError):
    """Whoever installed this must act: database, disk, corpus or settings."""


class BadKey(DeploymentError):
    """A private key cannot be opened, or is open to others."""


class StoreUnavailable(DeploymentError):
    """The database does not answer or refuses the work."""


class Busy(DeploymentError):
    """Too many uploads wait for the disk; the same request is taken after ``retry_after`` seconds."""

    def __init__(self, message: str, retry_after: float) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class SchemaBehind(DeploymentError):
    """The database's schema is not the one this code was written for."""


class CorpusUnavailable(DeploymentError):
    """The base corpus is missing, unreadable, or has another checksum than the published one."""


class ArtifactCorrupt(DeploymentError):
    """A stored file is missing or its bytes do not have the digest they are named by."""


class DiskFull(DeploymentError):
    """A file could not be written whole; nothing half-written is left."""


class BadSettings(DeploymentError):
    """A setting is unknown, malformed or contradicts another."""


def one_line(error: BaseException, longest: int = 160) -> str:
    """What another library said, fit to stand in one of our messages."""
    return " ".join(str(error).split())[:longest] or type(error).__name__
