"""Concurrent uploads share a transaction, and each is answered once it is on disk.

One thread writes. A batch consists of the uploads that arrive while the last batch is written, or within
``commit_wait_ms`` of its first upload, so that they share the cost of one fsync. Rules:

- No upload is answered before the commit, and no upload of a failed batch is acknowledged.
- The queue is bounded: past ``serve.waiting`` uploads, ``Busy`` is raised at once.
- The thread survives every failure: a full disk fails the current batch, and the next one tries again.
- A sender that hangs up does not affect the others; its upload is stored, and its retry is a replay.
"""

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from loop import intake
from loop.clock import Clock, utc_now
from loop.errors import Busy, DeploymentError, StoreUnavailable
from loop.home import Home
from loop.intake import Answer, Prepared, Rules
from loop.intake.announced_rates import AnnouncedRates

RETRY_SECONDS = 1.0  # writing a full queue takes less

Outcome = list[Answer] | Exception
OnCommit = Callable[[int, float], object]
"""Called after each transaction, in the writer's thread, with its number of uploads and its seconds."""


@dataclass(frozen=True, slots=True, eq=False)
class _Submission:
    """The uploads of one ``submit``, when they were submitted (monotonic), and the future of their outcome."""

    prepared: Sequence[Prepared]
    since: float
    future: asyncio.Future[list[Answer]]

    def end(self, outcome: Outcome) -> None:
        """Set the outcome, on the future's own loop; a cancelled caller's future is already done."""
        if self.future.done():
            return
        if isinstance(outcome, Exception):
            self.future.set_exception(outcome)
        else:
            self.future.set_result(outcome)


class GroupCommit:
    """The queue in front of the store, and the thread that empties it. Call ``close``, or uploads may stay queued."""

    def __init__(self, home: Home, clock: Clock = utc_now, on_commit: OnCommit | None = None) -> None:
        self._home = home
        self._clock = clock
        self._on_commit = on_commit
        self._announced = AnnouncedRates(home.store, home.settings.confirm_rate)
        attest = home.settings.attest
        exempt_before = attest.exempt_before if attest.mode == "require" else None
        self._rules = Rules(home.settings.serve.source_per_day, exempt_before)
        self._queue: deque[_Submission] = deque()
        self._queued_uploads = 0
        self._closed = False
        self._in_doubt = False  # the last batch failed
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="group-commit", daemon=True)
        self._thread.start()

    async def submit(self, prepared: Sequence[Prepared]) -> list[Answer]:
        """The answers of ``intake.commit``, once all uploads are on disk. They share one transaction, unless there are
        more than ``commit_batch``.

        Raises ``Busy`` if too many uploads are queued; ``StoreUnavailable`` or ``DiskFull`` if the batch could not be
        written: some may then be stored after all, and sending them again is safe.
        """
        if not prepared:
            return []
        waiting = _Submission(prepared, time.monotonic(), asyncio.get_running_loop().create_future())
        self._enqueue(waiting)
        return await waiting.future

    def close(self) -> None:
        """Write and answer all queued uploads, then accept no more. Blocks until this is done."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()

    def _enqueue(self, waiting: _Submission) -> None:
        limits = self._home.settings.serve
        with self._changed:
            if self._closed:
                raise Busy("this server is stopping; send it again", RETRY_SECONDS)
            if self._queue and self._queued_uploads + len(waiting.prepared) > limits.waiting:
                raise Busy(f"{self._queued_uploads:,} uploads already wait for the disk; send it again", RETRY_SECONDS)
            self._queue.append(waiting)
            self._queued_uploads += len(waiting.prepared)
            if len(self._queue) == 1 or self._queued_uploads >= limits.commit_batch:  # else the writer's wait times out
                self._changed.notify()

    def _run(self) -> None:
        while batch := self._gather():
            outcomes = self._commit(batch)
            _deliver(zip(batch, outcomes, strict=True))

    def _gather(self) -> list[_Submission]:
        """The next batch; empty once the queue is closed and written."""
        limits = self._home.settings.serve
        with self._changed:
            while not self._queue and not self._closed:
                self._changed.wait()
            until = self._queue[0].since + limits.commit_wait_ms / 1000 if self._queue else 0.0
            while not self._closed and self._queued_uploads < limits.commit_batch:
                if (left := until - time.monotonic()) <= 0:
                    break
                self._changed.wait(left)
            return self._take(limits.commit_batch)

    def _take(self, most: int) -> list[_Submission]:
        taken: list[_Submission] = []
        size = 0
        while self._queue and (not taken or size + len(self._queue[0].prepared) <= most):
            taken.append(self._queue.popleft())
            size += len(taken[-1].prepared)
        self._queued_uploads -= size
        return taken

    def _commit(self, batch: Sequence[_Submission]) -> list[Outcome]:
        """The outcome of each submission. An error goes to the waiting callers, and this thread continues."""
        try:
            if self._in_doubt:
                self._settle()
            answers = iter(self._answers([upload for waiting in batch for upload in waiting.prepared]))
            return [[next(answers) for _ in waiting.prepared] for waiting in batch]
        except DeploymentError as error:
            self._in_doubt = True
            return [error] * len(batch)
        except Exception as error:  # noqa: BLE001 (raised again in every request that waits for it)
            return [error] * len(batch)

    def _settle(self) -> None:
        """After a failure, before the next answer: make sure that every readable row is on disk.

        A commit with a failed fsync leaves its rows in SQLite's log. A later connection may read them as stored, and
        the sender's retry would then be answered as a replay of a row that never reached the disk.
        """
        self._home.store.close()
        if not self._home.store.compact():
            raise StoreUnavailable("the database's log is still in use after a failure; send it again")
        self._in_doubt = False

    def _answers(self, uploads: Sequence[Prepared]) -> list[Answer]:
        settings, answers = self._home.settings, list[Answer]()
        for start in range(0, len(uploads), settings.serve.commit_batch):
            part = uploads[start : start + settings.serve.commit_batch]
            began, now = time.monotonic(), self._clock()
            answers += intake.commit(self._home.store, part, settings.holdout_share, now, self._rules, self._announced)
            if self._on_commit is not None:
                self._on_commit(len(part), time.monotonic() - began)
        return answers


def _deliver(outcomes: Iterable[tuple[_Submission, Outcome]]) -> None:
    """Wake the waiting callers, with one call for each event loop."""
    by_loop: dict[asyncio.AbstractEventLoop, list[tuple[_Submission, Outcome]]] = {}
    for waiting, outcome in outcomes:
        by_loop.setdefault(waiting.future.get_loop(), []).append((waiting, outcome))
    for loop, theirs in by_loop.items():
        with suppress(RuntimeError):  # the loop is closed: no caller is left
            loop.call_soon_threadsafe(_end, theirs)


def _end(outcomes: Iterable[tuple[_Submission, Outcome]]) -> None:
    for waiting, outcome in outcomes:
        waiting.end(outcome)
