"""The errors, grouped by the party that must act.

Each message is one line: what was expected, what was got, what to do next. Expected outcomes are values, not errors: a
refused challenger is a verdict, a night with too little data is a skipped run. The name of a class is also the type of
its problem document (``BadImage``: ``urn:digit-loop:bad-image``) and its label in the metrics, so it does not change.
"""


class LoopError(Exception):
    """Base of every error that this project raises on purpose; the command line prints it as one line."""


class ClientError(LoopError):
    """The sender must act: the request is not acceptable, and nothing of it was stored."""


class BadImage(ClientError):
    """The bytes are not a readable digit: corrupt, blank, or of an unknown format."""


class ImageTooLarge(BadImage):
    """The image has more bytes or pixels than the limits allow; a smaller copy is accepted."""


class BadField(ClientError):
    """A field of the request is outside its range or of another type."""


class MissingField(BadField):
    """A required field is missing."""


class UnknownField(BadField):
    """The request has a field that the operation does not know."""


class BadBase64(BadField):
    """The image is not valid base64."""


class BadLabel(BadField):
    """The label is not a digit from 0 to 9, or it contradicts the kind and the prediction."""


class BadRate(BadField):
    """The sampling rate is outside its range, or a correction has one."""


class RateNotAnnounced(BadField):
    """The sampling rate of an upload is not one that the server announced to phones."""


class RepeatedKey(ClientError):
    """An object in a JSON body has one key twice: two readers could believe different values."""


class BadIdempotencyKey(BadField):
    """The idempotency key is missing in a batch, too long, not printable, or differs from the one in the header."""


class SourceErased(ClientError):
    """The source was erased after this upload was drawn; nothing of it is stored, now or later."""


class BadModel(ClientError):
    """The file is not a Core ML digit classifier: unreadable, unsupported, or its labels are not the ten digits."""


class NotReadable(ClientError):
    """The body of a request is cut off, malformed, or not what its headers state."""


class TooLarge(ClientError):
    """The body of a request is longer, or has more parts, than this server accepts."""


class SplitBatch(ClientError):
    """A batch is refused as a whole, whatever its corrections are: halve it and send both halves."""

    def __init__(self, message: str, status: int = 413) -> None:
        super().__init__(message)
        self.status = status


class WrongMediaType(ClientError):
    """The body of a request has a media type or encoding that the operation does not accept."""


class BodyTooSlow(ClientError):
    """The body of a request did not arrive completely in time."""


class KeyConflict(ClientError):
    """The same source used one idempotency key for two different bodies."""


class CallerError(LoopError):
    """The caller may not do this, or not now."""


class UnknownCorrection(CallerError):
    """The caller's source has no correction with this number."""


class UnknownSource(CallerError):
    """Nothing is stored of this source."""


class UnknownQuestion(CallerError):
    """There is no question with this number, or its source was erased."""


class QuestionClosed(CallerError):
    """The question needs no more answers, or its drawing was taken back."""


class AlreadyAnswered(CallerError):
    """The reviewer has answered this question differently."""


class NothingToUndo(CallerError):
    """The reviewer has no answer that can be taken back."""


class NoKey(CallerError):
    """The request has no key."""


class KeyRefused(CallerError):
    """The key is unknown, has expired, or was revoked."""


class NoSource(CallerError):
    """A shared key was sent without the secret of the source."""


class NotAllowed(CallerError):
    """The role of the key, or its source, does not permit this."""


class QuotaSpent(CallerError):
    """The quota is spent; the same request is accepted after ``retry_after`` seconds."""

    def __init__(self, message: str, retry_after: float) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class FeedRefused(LoopError):
    """The publisher of the feed must act, or this is an attack; the device keeps its model."""


class OpsError(LoopError):
    """An operator asked for something that the loop's state does not allow."""


class UnknownVersion(OpsError):
    """The store has no such version, run or verdict."""


class UnknownRound(OpsError):
    """The store has no such round of asking, or it is no longer kept."""


class NoChampion(OpsError):
    """The family has no champion yet."""


class NotPromotable(OpsError):
    """The version may not become champion: verdict not passed, already champion, or nothing to go back to."""


class BadReason(OpsError):
    """An operator's name or reason is empty, too long, or not printable."""


class NotPublishable(OpsError):
    """The feed may not be published: no root, no key that may sign, or the folder belongs to another feed."""


class NotPublished(OpsError):
    """The published folder has no such file, or nothing was published yet."""


class BadBackup(OpsError):
    """A backup is damaged, of another schema, of another program, or not what this home may become."""


class UploadRefused(OpsError):
    """A server refused the drawing or answer that this device sent."""


class BadHook(OpsError):
    """No such webhook or delivery, or an address that may not be called."""


class RunInProgress(OpsError):
    """Another run holds the lease."""


class SlotTaken(OpsError):
    """Another run has or had this slot: a night that is due once runs once."""


class LessonErased(OpsError):
    """Data that this run trains on was erased in the meantime; its version may not be published.

    ``sources`` are the ids of the sources that took something back.
    """

    def __init__(self, message: str, sources: frozenset[int] = frozenset()) -> None:
        super().__init__(message)
        self.sources = sources


class BackDoorTaught(OpsError):
    """The challenger has a back door; the night may teach again without what could have taught it.

    ``uploads`` are the ids of those that carry the trigger; where they cannot be named, ``labels`` are the digits that
    draw it.
    """

    def __init__(
        self, message: str, uploads: frozenset[int] = frozenset(), labels: frozenset[int] = frozenset()
    ) -> None:
        super().__init__(message)
        self.uploads = uploads
        self.labels = labels


class LeaseLost(OpsError):
    """Another run took over this run's lease; everything that this run still writes is refused."""


class DeploymentError(LoopError):
    """The installation must be corrected: database, disk, corpus or settings."""


class BadKey(DeploymentError):
    """A private key cannot be opened, or other users can read it."""


class StoreUnavailable(DeploymentError):
    """The database does not answer or refuses the work."""


class Busy(DeploymentError):
    """Too many uploads are waiting for the disk; the same request is accepted after ``retry_after`` seconds."""

    def __init__(self, message: str, retry_after: float) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class SchemaBehind(DeploymentError):
    """The schema of the database is not the one that this code was written for."""


class CorpusUnavailable(DeploymentError):
    """The base corpus is missing, unreadable, or has another checksum than the published one."""


class ArtifactCorrupt(DeploymentError):
    """A stored file is missing, or its bytes do not have the digest in its name."""


class DiskFull(DeploymentError):
    """A file could not be written completely; nothing half-written is left."""


class BadSettings(DeploymentError):
    """A setting is unknown, malformed or contradicts another."""


def one_line(error: BaseException, longest: int = 160) -> str:
    """The message of another library's error, on one line and at most ``longest`` characters."""
    return " ".join(str(error).split())[:longest] or type(error).__name__
