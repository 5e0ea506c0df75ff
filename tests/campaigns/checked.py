"""A server that is struck down under load, again and again, and what it acknowledged."""

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
    """Places of uploads that were acknowledged and are not in the store as they were sent; contents stored twice."""

    lost: list[int]
    doubled: list[tuple[str, str]]
    stored: int


class Reaper(threading.Thread):
    """Strikes when some more uploads have been acknowledged; ``strike`` has the server running again."""

    def __init__(self, heard: Heard, strike: Callable[[], None], times: int, apart: int, seed: int) -> None:
        super().__init__(daemon=True)
        self.heard, self.strike, self.left, self.apart = heard, strike, times, apart
        self.chance = np.random.default_rng(seed)
        self.error: Exception | None = None

    def run(self) -> None:
        """Until all strikes are done; ``error`` says what kept one from being done."""
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
    """Phones send on 64 connections, and resend, while the server is struck so many times, ``apart`` uploads apart on
    average; what they sent and heard. The server is stopped in the end.
    """
    sent = list(phones.uploads(served.prepare(), (2 * times + 2) * apart, sources=200, body="multipart"))
    served.start()
    heard = Heard()
    reaper = Reaper(heard, strike, times, apart, seed)
    reaper.start()
    phones.send(served.address, sent, 64, patience=120, heard=heard)
    reaper.join(60)
    served.stop(signal.SIGTERM)
    served.close()
    assert (reaper.error, reaper.left) == (None, 0)
    assert set(heard.answers) == set(range(len(sent))), "some were never acknowledged"
    return sent, heard


def found(store: Store, sent: Sequence[Sent], heard: Heard) -> Found:
    """Hold what the phones heard against what is stored."""
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
