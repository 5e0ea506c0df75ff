"""Concurrent uploads share a transaction, and each is answered after the disk has it.

One writer thread; a batch is what has come while the last one was being written, or within ``commit_wait_ms`` of its
first upload. An fsync then costs all of them what it would have cost one. Rules:

- Nobody is answered before the commit, and nobody of a batch that failed is told that it is stored.
- What waits is bounded: past ``serve.waiting`` uploads, ``Busy`` is raised at once instead of a queue without end.
- The thread outlives every failure: a full disk fails the batch that met it, and the next one tries again.
- A sender who hangs up changes nothing for the others; what they sent is stored, and their retry is a replay.
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
from loop.intake import Answer, Prepared

RETRY_SECONDS = 1.0  # a full queue is written in less

Outcome = list[Answer] | Exception
OnCommit = Callable[[int, float], object]
"""Told of each transaction: how many uploads were in it, how many seconds it took. Called in the writer's thread."""


@dataclass(frozen=True, slots=True, eq=False)
class _Waiting:
    """What was handed in together, when (monotonic), and where its outcome is awaited."""

    prepared: Sequence[Prepared]
    since: float
    future: asyncio.Future[list[Answer]]

    def end(self, outcome: Outcome) -> None:
        """Hand over the outcome, on the future's own loop; a caller who was cancelled is not there to hear it."""
        if self.future.done():
            return
        if isinstance(outcome, Exception):
            self.future.set_exception(outcome)
        else:
            self.future.set_result(outcome)


class GroupCommit:
    """The queue in front of the store, and the thread that empties it. ``close`` it, or uploads may be left waiting."""

    def __init__(self, home: Home, clock: Clock = utc_now, on_commit: OnCommit | None = None) -> None:
        self._home = home
        self._clock = clock
        self._on_commit = on_commit
        self._queue: deque[_Waiting] = deque()
        self._waiting = 0  # uploads in the queue
        self._closed = False
        self._in_doubt = False  # since the last batch failed
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="group-commit", daemon=True)
        self._thread.start()

    async def submit(self, prepared: Sequence[Prepared]) -> list[Answer]:
        """The answers of ``intake.commit``, once all is on disk. Together they are one transaction, unless there are
        more of them than ``commit_batch``.

        Raises ``Busy`` when too many wait already; ``StoreUnavailable`` or ``DiskFull`` when the batch could not be
        written: then some may be stored after all, and sending them again is safe.
        """
        if not prepared:
            return []
        waiting = _Waiting(prepared, time.monotonic(), asyncio.get_running_loop().create_future())
        self._enqueue(waiting)
        return await waiting.future

    def close(self) -> None:
        """Write and answer all that waits, then take nothing more. Blocks until that is done."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()

    def _enqueue(self, waiting: _Waiting) -> None:
        limits = self._home.settings.serve
        with self._changed:
            if self._closed:
                raise Busy("this server is stopping; send it again", RETRY_SECONDS)
            if self._queue and self._waiting + len(waiting.prepared) > limits.waiting:
                raise Busy(f"{self._waiting:,} uploads wait for the disk already; send it again", RETRY_SECONDS)
            self._queue.append(waiting)
            self._waiting += len(waiting.prepared)
            if len(self._queue) == 1 or self._waiting >= limits.commit_batch:  # else the writer has its alarm set
                self._changed.notify()

    def _run(self) -> None:
        while batch := self._gather():
            outcomes = self._commit(batch)
            _tell(zip(batch, outcomes, strict=True))

    def _gather(self) -> list[_Waiting]:
        """The next batch, or nothing when all is written and no more will come."""
        limits = self._home.settings.serve
        with self._changed:
            while not self._queue and not self._closed:
                self._changed.wait()
            until = self._queue[0].since + limits.commit_wait_ms / 1000 if self._queue else 0.0
            while not self._closed and self._waiting < limits.commit_batch and (left := until - time.monotonic()) > 0:
                self._changed.wait(left)
            return self._take(limits.commit_batch)

    def _take(self, most: int) -> list[_Waiting]:
        taken: list[_Waiting] = []
        size = 0
        while self._queue and (not taken or size + len(self._queue[0].prepared) <= most):
            taken.append(self._queue.popleft())
            size += len(taken[-1].prepared)
        self._waiting -= size
        return taken

    def _commit(self, batch: Sequence[_Waiting]) -> list[Outcome]:
        """The outcome of each; what goes wrong reaches whoever waits, and this thread lives on."""
        try:
            if self._in_doubt:
                self._settle()
            answers = iter(self._answers([upload for waiting in batch for upload in waiting.prepared]))
            return [[next(answers) for _ in waiting.prepared] for waiting in batch]
        except DeploymentError as error:
            self._in_doubt = True
            return [error] * len(batch)
        except Exception as error:  # noqa: BLE001 (ours: raised again in every request that waits for it)
            return [error] * len(batch)

    def _settle(self) -> None:
        """After a failure, before anything is answered: have on disk whatever can be read.

        A commit whose fsync failed has left its rows in SQLite's log. A connection that is opened later may take them
        for stored, and the sender's retry would be answered as a replay of what the disk never got.
        """
        self._home.store.close()
        if not self._home.store.compact():
            raise StoreUnavailable("the database's log is in use since the last failure; send it again")
        self._in_doubt = False

    def _answers(self, uploads: Sequence[Prepared]) -> list[Answer]:
        settings, answers = self._home.settings, list[Answer]()
        for start in range(0, len(uploads), settings.serve.commit_batch):
            part = uploads[start : start + settings.serve.commit_batch]
            per_day, began = settings.serve.source_per_day, time.monotonic()
            answers += intake.commit(self._home.store, part, settings.holdout_share, self._clock(), per_day)
            if self._on_commit is not None:
                self._on_commit(len(part), time.monotonic() - began)
        return answers


def _tell(outcomes: Iterable[tuple[_Waiting, Outcome]]) -> None:
    """Wake everybody who waits, with one call for each event loop."""
    by_loop: dict[asyncio.AbstractEventLoop, list[tuple[_Waiting, Outcome]]] = {}
    for waiting, outcome in outcomes:
        by_loop.setdefault(waiting.future.get_loop(), []).append((waiting, outcome))
    for loop, theirs in by_loop.items():
        with suppress(RuntimeError):  # the loop is closed: nobody is left to tell
            loop.call_soon_threadsafe(_end, theirs)


def _end(outcomes: Iterable[tuple[_Waiting, Outcome]]) -> None:
    for waiting, outcome in outcomes:
        waiting.end(outcome)
