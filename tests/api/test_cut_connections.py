"""Phones that lose the connection and try again with the same key: nothing lost, nothing doubled, on both databases."""

import json
import random
import socket
import struct
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import pytest

from loop.data import digits
from loop.home.sections import Serving
from loop.store import tables
from tests.api import wire
from tests.api.conftest import Phone, Server, opened, picture, serving
from tests.api.test_corrections import correction

LINGER = struct.pack("ii", 1, 0)  # close with a reset, at once
WAYS = ("in the head", "in the body", "before the answer", "reset before the answer", "in the answer")


@dataclass(slots=True)
class Sender:
    """One phone that uploads over one connection as long as it lasts."""

    server: Server
    number: int
    n: int
    phone: Phone
    cut: Counter[str] = field(default_factory=Counter)
    statuses: Counter[int] = field(default_factory=Counter)
    ids: dict[int, int] = field(default_factory=dict)
    replayed: int = 0

    def run(self) -> "Sender":
        """Send everything, cutting a tenth of the connections, until each upload is answered."""
        rng = random.Random(self.number)  # noqa: S311  (repeatable)
        line = wire.connect(self.server.url)
        for seed in range(self.n):
            request = self.request(seed)
            if rng.random() < 0.1:
                self.fail(line, request, rng)
                line = wire.connect(self.server.url)
            line.sendall(request)
            answer = wire.read(line)
            assert answer is not None
            self.statuses[answer.status] += 1
            self.replayed += "idempotency-replayed" in answer.headers
            if answer.status == 201:
                self.ids[seed] = json.loads(answer.body)["id"]
        line.close()
        return self

    def request(self, seed: int) -> bytes:
        """One upload; the same bytes for the same seed."""
        body = json.dumps(correction(self.number * self.n + seed)).encode()
        known = {**self.phone.headers, "Content-Type": "application/json", "Idempotency-Key": f'"{seed}"'}
        headers = [(name.encode(), value.encode()) for name, value in known.items()]
        return wire.request("POST", b"/v1/corrections", headers, body)

    def fail(self, line: socket.socket, request: bytes, rng: random.Random) -> None:
        """Lose the connection in one of five ways."""
        way = rng.choice(WAYS)
        self.cut[way] += 1
        head = request.index(b"\r\n\r\n")
        ends = {"in the head": rng.randrange(head), "in the body": rng.randrange(head + 4, len(request))}
        line.sendall(request[: ends.get(way, len(request))])
        if way == "in the answer":
            line.recv(rng.randrange(1, 40))
        if way.startswith("reset") or rng.random() < 0.5:
            line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER)
        line.close()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("phones", "each"), [(16, 20), pytest.param(64, 200, marks=pytest.mark.campaign)], ids=["short", "campaign"]
)
def test_cut_connections(url: str, tmp_path_factory: pytest.TempPathFactory, phones: int, each: int) -> None:
    """Every upload is stored once, its phone has its id, and no answer is a 5xx."""
    limits = Serving(source_per_minute=10_000, sources_per_minute=10_000)
    with serving(opened(url, tmp_path_factory.mktemp("cut"), serve=limits)) as server:
        senders = [Sender(server, number, each, server.phone()) for number in range(phones)]
        with ThreadPoolExecutor(phones) as pool:
            done = list(pool.map(Sender.run, senders))
        with server.home.store.read() as tx:
            rows = tx.query(tables.Source.name, tables.Correction.id, tables.Correction.digest).join(
                tables.Correction, tables.Correction.source_id == tables.Source.id
            )
            found = {(name, id_): digest for name, id_, digest in rows}
    cut = sum((sender.cut for sender in done), Counter[str]())
    statuses = sum((sender.statuses for sender in done), Counter[int]())
    replayed = sum(sender.replayed for sender in done)
    print(f"{phones} × {each}: cut {dict(cut)}, {dict(statuses)}, {replayed} replayed")  # noqa: T201
    acknowledged = {
        (sender.phone.source, id_): digits.read(picture(sender.number * each + seed)).digest
        for sender in done
        for seed, id_ in sender.ids.items()
    }
    assert statuses == {201: phones * each}
    assert set(cut) == set(WAYS)
    assert 0 < replayed < cut.total()  # some had been stored before their connection was cut, and some had not
    assert found == acknowledged
    assert len(found) == phones * each
