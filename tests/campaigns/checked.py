"""A server that is killed repeatedly under load, and its acknowledged uploads."""

import json
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from sqlalchemy import func, select

from loop.store import Store, tables
from tests.campaigns.served import Served
from tests.helpers import phones
from tests.helpers.phones import Heard, Sent


@dataclass(frozen=True, slots=True)
class Found:
    """Acknowledged uploads that the store lacks or has changed, and contents that were stored twice."""

    lost: list[int]
    doubled: list[tuple[str, str]]
    stored: int


class Reaper(threading.Thread):
    """Calls ``strike`` after some more acknowledged uploads; afterwards the server runs again."""

    def __init__(self, heard: Heard, strike: Callable[[], None], times: int, apart: int, seed: int) -> None:
        super().__init__(daemon=True)
        self.heard, self.strike, self.left, self.apart = heard, strike, times, apart
        self.chance = np.random.default_rng(seed)
        self.error: Exception | None = None

    def run(self) -> None:
        """Run until all strikes are done; ``error`` is the exception of a failed one."""
        try:
            while self.left:
                until = len(self.heard.answers) + int(self.chance.integers(1, 2 * self.apart))
                while len(self.heard.answers) < until:
                    time.sleep(0.001)
                time.sleep(self.chance.random() * 0.02)  # anywhere in a batch
                self.strike()
                self.left -= 1
        except Exception as error:  # noqa: BLE001 (raised in the test)
            self.error = error


def struck(served: Served, strike: Callable[[], None], times: int, apart: int, seed: int) -> tuple[list[Sent], Heard]:
    """Send and resend on 64 connections while the server is struck ``times`` times, ``apart`` uploads apart on average.

    Returns the uploads and their answers. The server is stopped at the end.
    """
    sent = list(phones.uploads(served.prepare(), (2 * times + 2) * apart, sources=200, body="multipart"))
    served.start()
    heard = Heard()
    reaper = Reaper(heard, strike, times, apart, seed)
    reaper.start()
    phones.send(served.address, sent, 64, timeout_seconds=120, heard=heard)
    reaper.join(60)
    served.stop(signal.SIGTERM)
    served.close()
    assert (reaper.error, reaper.left) == (None, 0)
    assert set(heard.answers) == set(range(len(sent))), "some were never acknowledged"
    return sent, heard


def found(store: Store, sent: Sequence[Sent], heard: Heard) -> Found:
    """Compare the answers with the store."""
    named = select(tables.Correction.id, tables.Source.name, tables.Correction.key, tables.Correction.digest)
    with store.read() as tx:
        rows = {number: tuple(row) for number, *row in tx.execute(named.join(tables.Source))}
        assert tx.scalar(select(func.count()).select_from(tables.Arrival)) == len(rows)
        if store.is_sqlite:
            assert tx.connection().exec_driver_sql("PRAGMA integrity_check").scalar() == "ok"
    lost = []
    for place, body in heard.answers.items():
        receipt, upload = json.loads(body), sent[place]
        if (*rows.get(receipt["id"], ()), receipt["digest"]) != (upload.source, upload.key, *[upload.digest] * 2):
            lost.append(place)
    times = Counter((source, digest) for source, _, digest in rows.values())
    return Found(lost, [content for content, stored in times.items() if stored > 1], len(rows))
