"""The rules that decide about each upload of a batch, given the store's content and the earlier uploads of the batch.

- An upload that was drawn before its source was erased is refused: it must not bring the source back. Without
  ``captured_at`` it counts as drawn before for ``ERASURE_GRACE``.
- A key that the sender chose belongs to one body for good: resent, it gets its first answer; with another body it is
  refused. This also holds for a key whose upload was already stored under another key.
- What a source says about one image is its word. One image has one current word per source: the same word again is
  answered as a duplicate, another one supersedes it.
- The order of arrival decides which word is the latest, unless both were captured at a known time: then the later of
  the two stays, and the earlier is only kept as history. A time after its own arrival, or from before 2007, is not a
  known time.
- A drawing says nothing about its image: it never replaces a word, and a later word replaces it.
- A withdrawn word comes back only under a new key: without one, an upload may be a late retry.
- A source may store a limited number of uploads a day. Only new uploads count, so no retry is refused for the quota.
- Where devices must attest, a source that is neither attested nor exempt stores no new upload (``attestation``).
"""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from loop.errors import CallerError, ClientError, KeyConflict, QuotaSpent, SourceErased
from loop.errors.attestation import NotAttested
from loop.intake.upload import Prepared, known_time
from loop.store.feedback.senders import Sender
from loop.store.feedback.uploads import Bound, Key, Picture, Stored
from loop.store.values import Kind, Status

ERASURE_GRACE = timedelta(days=30)
"""Background uploads of a phone that was offline arrive within this time."""


@dataclass(frozen=True, slots=True)
class Taken:
    """An upload that is already stored (``Stored``) or part of this batch (``Prepared``); flags as in a receipt."""

    upload: Stored | Prepared
    duplicate: bool = False
    replayed: bool = False


class Decisions:
    """Decides upload by upload, and collects the rows to write: ``new``, ``bound`` and ``used``.

    Of ``new``, ``superseded`` are history at once, ``supersedes`` maps a word to the one that it replaces, and
    ``keys`` has the keys of those that cannot have the key derived from image and word. ``unattested`` are the ids of
    sources that must be attested first.
    """

    def __init__(
        self,
        senders: Mapping[str, Sender],
        keys: Mapping[Key, Bound],
        last_words: Mapping[Picture, Stored],
        now: datetime,
        per_day: int | None,
        exempt_before: datetime | None = None,
    ) -> None:
        self.senders = senders
        self.new: list[Prepared] = []
        self.superseded: set[Prepared] = set()
        self.supersedes: dict[Prepared, Stored | Prepared] = {}
        self.keys: dict[Prepared, str] = {}
        self.bound: list[tuple[Prepared, Stored | Prepared]] = []
        self.used: dict[int, int] = {}
        self.unattested: set[int] = set()
        self._keys: dict[Key, tuple[str, Taken]] = {
            key: (found.body_digest, Taken(found.stored, found.duplicate, replayed=True)) for key, found in keys.items()
        }
        self._last: dict[Picture, Stored | Prepared] = dict(last_words)
        self._now = now
        self._today = today(now)
        self._per_day = per_day
        self._exempt_before = exempt_before

    def decide(self, upload: Prepared) -> Taken | ClientError | CallerError:
        """Decide about the next upload."""
        sender, columns = self.senders[upload.source], upload.columns
        if sender.erased_at is not None and not _drawn_after(upload, sender.erased_at):
            return _erased(sender.erased_at)
        key = (sender.id, columns["key"])
        before = self._keys.get(key)
        if upload.keyed and before is not None:
            body_digest, first = before
            return first if body_digest == columns["body_digest"] else _conflict(upload)
        last = self._last.get((sender.id, columns["digest"]))
        same = self._same(upload, last, None if before is None else before[1].upload)
        if same is not None:
            if upload.keyed:
                self.bound.append((upload, same))
                self._keys[key] = (columns["body_digest"], Taken(same, duplicate=True, replayed=True))
            return Taken(same, duplicate=True)
        if before is not None and not _alike(before[1].upload, upload):
            return _conflict(upload)  # the sender has used the key that is derived from this image and word
        if self._exempt_before is not None and not sender.may_send(self._exempt_before):
            self.unattested.add(sender.id)
            return _unattested()
        if not self._spend(sender):
            return self._spent(upload)
        self._add(upload, sender, last)
        return Taken(upload)

    def _same(
        self, upload: Prepared, last: Stored | Prepared | None, derived: Stored | Prepared | None
    ) -> Stored | Prepared | None:
        """The upload that this one repeats, if any; ``derived`` has the key derived from its image and word."""
        if last is None:
            return None
        if upload.columns["kind"] is Kind.DRAWING and not _withdrawn(last):
            return last  # the source has said more about this image already
        if _alike(last, upload) and not (upload.keyed and _withdrawn(last)):
            return last
        late_retry = (
            not upload.keyed and derived is not None and _alike(derived, upload) and _captured_before(upload, last)
        )
        return derived if late_retry else None

    def _add(self, upload: Prepared, sender: Sender, last: Stored | Prepared | None) -> None:
        columns, key = upload.columns, (sender.id, upload.columns["key"])
        self.new.append(upload)
        if key in self._keys:
            self.keys[upload] = f"{columns['key']}-{secrets.token_hex(8)}"
        else:
            self._keys[key] = (columns["body_digest"], Taken(upload, replayed=True))
        if last is not None and _captured_before(upload, last):
            self.superseded.add(upload)
            return
        self._last[sender.id, columns["digest"]] = upload
        if last is not None and not _withdrawn(last):
            self.supersedes[upload] = last
        if isinstance(last, Prepared):
            self.superseded.add(last)

    def _spend(self, sender: Sender) -> bool:
        before = sender.used if sender.day == self._today else 0
        used = self.used.get(sender.id, before)
        allowed = self._per_day is None or used < self._per_day
        if allowed:
            self.used[sender.id] = used + 1
        return allowed

    def _spent(self, upload: Prepared) -> QuotaSpent:
        midnight = datetime.combine(self._today + timedelta(days=1), time(), UTC)
        return QuotaSpent(
            f"{upload.source[:60]!r} has stored {self._per_day:,} uploads today, which is the daily quota; "
            "send the rest after midnight UTC",
            (midnight - self._now).total_seconds(),
        )


def today(now: datetime) -> date:
    """The UTC day of the quotas."""
    return now.astimezone(UTC).date()


def _alike(one: Stored | Prepared, other: Stored | Prepared) -> bool:
    """Whether the two say the same about the same image."""
    return _word(one) == _word(other)


def _word(upload: Stored | Prepared) -> tuple[str, int | str]:
    if isinstance(upload, Prepared):
        columns = upload.columns
        return columns["digest"], columns["kind"] if columns["label"] is None else columns["label"]
    return upload.digest, upload.kind if upload.label is None else upload.label


def _withdrawn(upload: Stored | Prepared) -> bool:
    return isinstance(upload, Stored) and upload.status is Status.WITHDRAWN


def _captured_before(upload: Prepared, last: Stored | Prepared) -> bool:
    """Whether both were captured at a known time, and this upload earlier."""
    earlier, later = _captured_at(upload), _captured_at(last)
    return earlier is not None and later is not None and earlier < later


def _captured_at(upload: Stored | Prepared) -> datetime | None:
    if isinstance(upload, Prepared):
        return known_time(upload.columns["captured_at"], upload.columns["received_at"])
    return known_time(upload.captured_at, upload.received_at)


def _drawn_after(upload: Prepared, erased_at: datetime) -> bool:
    captured = _captured_at(upload)
    return upload.columns["received_at"] > erased_at + ERASURE_GRACE if captured is None else captured > erased_at


def _erased(erased_at: datetime) -> SourceErased:
    return SourceErased(
        f"expected a drawing from after {erased_at:%Y-%m-%d %H:%M:%S} UTC, when this source was erased; drop this one, "
        "and send captured_at with new ones"
    )


def _unattested() -> NotAttested:
    return NotAttested(
        "expected a source that a device has attested, got one that is not; attest it with POST "
        "/v1/attestation/challenge and POST /v1/attestation, and send this again"
    )


def _conflict(upload: Prepared) -> KeyConflict:
    return KeyConflict(
        f"key {upload.columns['key'][:60]!r} of {upload.source[:60]!r}: already used for another upload; "
        "resend that upload unchanged, or use a new key"
    )
