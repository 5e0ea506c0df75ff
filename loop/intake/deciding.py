"""The rules that decide about each upload of a batch, given the store's content and the earlier uploads of the batch.

- A key that the sender chose belongs to one body for good: resent, it gets its first answer; with another body it is
  refused. This also holds for a key whose upload was already stored under another key.
- One image with one label counts once per source, whatever the key: the second upload is answered as a duplicate.
- A source may store a limited number of uploads a day. Only new uploads count, so no retry is refused for the quota.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from loop.errors import ClientError, KeyConflict, QuotaSpent
from loop.intake.upload import Prepared
from loop.store.feedback.uploads import Bound, Content, Key, Sender, Stored


@dataclass(frozen=True, slots=True)
class Taken:
    """An upload that is already stored (``Stored``) or part of this batch (``Prepared``); flags as in a receipt."""

    upload: Stored | Prepared
    duplicate: bool = False
    replayed: bool = False


class Decisions:
    """Decides upload by upload, and collects the rows to write: ``new``, ``bound`` and ``used``."""

    def __init__(
        self,
        senders: Mapping[str, Sender],
        keys: Mapping[Key, Bound],
        contents: Mapping[Content, Stored],
        now: datetime,
        per_day: int | None,
    ) -> None:
        self.senders = senders
        self.new: list[Prepared] = []
        self.bound: list[tuple[Prepared, Stored | Prepared]] = []
        self.used: dict[int, int] = {}
        self._keys: dict[Key, tuple[str, Taken]] = {
            key: (found.body_digest, Taken(found.stored, found.duplicate, replayed=True)) for key, found in keys.items()
        }
        self._contents: dict[Content, Stored | Prepared] = dict(contents)
        self._now = now
        self._per_day = per_day

    def decide(self, upload: Prepared) -> Taken | ClientError | QuotaSpent:
        """Decide about the next upload."""
        sender, columns = self.senders[upload.source], upload.columns
        key = (sender.id, columns["key"])
        before = self._keys.get(key)
        if upload.keyed and before is not None:
            body_digest, first = before
            return first if body_digest == columns["body_digest"] else _conflict(upload)
        content = (sender.id, columns["digest"], columns["label"])
        same = self._contents.get(content)
        if same is not None:
            if upload.keyed:
                self.bound.append((upload, same))
                self._keys[key] = (columns["body_digest"], Taken(same, duplicate=True, replayed=True))
            return Taken(same, duplicate=True)
        if before is not None:  # the sender has used the key that is derived from this image and label
            return _conflict(upload)
        if self._per_day is not None and not self._spend(sender, self._per_day):
            return _spent(upload, self._per_day, self._now)
        self.new.append(upload)
        self._contents[content] = upload
        self._keys[key] = (columns["body_digest"], Taken(upload, replayed=True))
        return Taken(upload)

    def _spend(self, sender: Sender, per_day: int) -> bool:
        before = sender.used if sender.day == today(self._now) else 0
        used = self.used.get(sender.id, before)
        if used < per_day:
            self.used[sender.id] = used + 1
        return used < per_day


def today(now: datetime) -> date:
    """The UTC day of the quotas."""
    return now.astimezone(UTC).date()


def _conflict(upload: Prepared) -> KeyConflict:
    return KeyConflict(
        f"key {upload.columns['key'][:60]!r} of {upload.source[:60]!r}: already used for another upload; "
        "resend that upload unchanged, or use a new key"
    )


def _spent(upload: Prepared, per_day: int, now: datetime) -> QuotaSpent:
    midnight = datetime.combine(today(now) + timedelta(days=1), time(), UTC)
    return QuotaSpent(
        f"{upload.source[:60]!r} has stored {per_day:,} uploads today, which is the daily quota; "
        "send the rest after midnight UTC",
        (midnight - now).total_seconds(),
    )
