"""Many phones in one process: requests built beforehand, sent over keep-alive connections, and resent until answered.

It uses little time compared with the server (uvloop, no HTTP library), because both share the machine in the benchmark.
"""

import asyncio
import base64
import json
import secrets
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import uvloop

from loop import access
from loop.data import corpus, digits

BOUNDARY = "digit-loop-phones"
RETRY_SECONDS = 0.05  # after a connection that was refused or lost


@dataclass(frozen=True, slots=True)
class Sent:
    """One upload as bytes on the wire, with its expected row: its source's name, key and image digest."""

    wire: bytes
    source: str
    key: str
    digest: str


@dataclass(slots=True)
class Heard:
    """The answers: the body of each 2xx by the upload's place, and the duration of its request.

    ``replays`` of these repeat a first answer: the upload had been stored, but its answer was lost.
    """

    answers: dict[int, bytes] = field(default_factory=dict)
    latencies: list[float] = field(default_factory=list)
    refusals: Counter[int] = field(default_factory=Counter)
    replays: int = 0
    reconnects: int = 0
    seconds: float = 0.0

    def latency(self, share: float) -> float:
        """The quantile of the latencies, in milliseconds."""
        return float(np.quantile(self.latencies, share) * 1000)


def uploads(api_key: str, count: int, *, sources: int, body: str, first: int = 0) -> Iterator[Sent]:
    """``count`` corrections of different pictures, from ``sources`` phones with different secrets.

    ``body`` is ``multipart`` or ``json``; ``first`` is the number of the first picture.
    """
    drawn = corpus.digits()
    phones = [secrets.token_urlsafe(32) for _ in range(sources)]
    names = [access.source_name(secret) for secret in phones]
    for number in range(first, first + count):
        pixels, label = _picture(drawn, number)
        key = f"{number}-{secrets.token_hex(8)}"
        fields = {"label": label, "predicted": (label + 1) % 10, "confidence": 0.61, "version": 1}
        kind, content = _multipart(fields, pixels) if body == "multipart" else _json(fields, pixels)
        head = (
            f"POST /v1/corrections HTTP/1.1\r\nHost: loop\r\nAuthorization: Bearer {api_key}\r\n"
            f"Loop-Source: {phones[number % sources]}\r\nIdempotency-Key: {key}\r\n"
            f"Content-Type: {kind}\r\nContent-Length: {len(content)}\r\n\r\n"
        )
        yield Sent(head.encode() + content, names[number % sources], key, digits.digit(pixels).digest)


def send(
    address: tuple[str, int],
    sent: Sequence[Sent],
    connections: int,
    timeout_seconds: float = 60.0,
    heard: Heard | None = None,
) -> Heard:
    """Send all uploads, each repeatedly until it gets a 2xx or 4xx; answers are recorded in ``heard``.

    Raises ``TimeoutError`` after ``timeout_seconds`` without an answer.
    """
    return uvloop.run(_send(address, sent, connections, timeout_seconds, heard or Heard()))


async def _send(
    address: tuple[str, int], sent: Sequence[Sent], connections: int, timeout_seconds: float, heard: Heard
) -> Heard:
    todo = iter(range(len(sent)))
    began = time.perf_counter()
    await asyncio.gather(*(_phone(address, sent, todo, heard, timeout_seconds) for _ in range(connections)))
    heard.seconds = time.perf_counter() - began
    return heard


async def _phone(
    address: tuple[str, int], sent: Sequence[Sent], todo: Iterator[int], heard: Heard, timeout_seconds: float
) -> None:
    """Use one connection at a time; after a lost connection the current upload is sent again on the next one."""
    loop = asyncio.get_running_loop()
    at_hand: int | None = next(todo, None)
    alive = time.monotonic()  # the time of the last answer
    while at_hand is not None:
        line = _Line(sent, todo, heard, at_hand)
        try:
            await loop.create_connection(lambda line=line: line, *address)
            at_hand = await line.ended
            alive = max(alive, line.answered_at)
        except OSError:
            heard.reconnects += 1
        if at_hand is not None:
            if time.monotonic() - alive > timeout_seconds:
                raise TimeoutError(f"no answer within {timeout_seconds:g} s")
            await asyncio.sleep(RETRY_SECONDS)


class _Line(asyncio.Protocol):
    """A connection that sends the next upload after the answer to the last one. ``ended``: the unanswered upload."""

    def __init__(self, sent: Sequence[Sent], todo: Iterator[int], heard: Heard, at_hand: int) -> None:
        self.sent, self.todo, self.heard = sent, todo, heard
        self.at_hand: int | None = at_hand
        self.ended: asyncio.Future[int | None] = asyncio.get_running_loop().create_future()
        self.answered_at = 0.0
        self.data = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start sending."""
        self.transport = transport
        self.write()

    def write(self) -> None:
        """Send the current upload."""
        self.began = time.perf_counter()
        self.transport.write(self.sent[self.at_hand].wire)

    def data_received(self, data: bytes) -> None:
        """Receive a piece of an answer; after a complete answer, send the next upload."""
        self.data += data
        head, blank, body = self.data.partition(b"\r\n\r\n")
        if not blank or len(body) < _length(head):
            return
        self.data = b""
        self.answered_at = time.monotonic()
        status = int(head[9:12])
        if status >= 500:  # sent again, on a new connection
            self.heard.refusals[status] += 1
            self.transport.close()
            return
        self.heard.latencies.append(time.perf_counter() - self.began)
        if status < 300:
            self.heard.answers[self.at_hand] = body
            self.heard.replays += b"\r\nidempotency-replayed: true" in head.lower()
        else:
            self.heard.refusals[status] += 1
        self.at_hand = next(self.todo, None)
        if self.at_hand is None:
            self.transport.close()
        else:
            self.write()

    def connection_lost(self, error: Exception | None) -> None:
        """Return the unanswered upload."""
        self.heard.reconnects += self.at_hand is not None
        self.ended.set_result(self.at_hand)


def _length(head: bytes) -> int:
    return int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])


def _picture(drawn: corpus.Corpus, number: int) -> tuple[np.ndarray, int]:
    """A bundled digit, moved and dimmed so that no two numbers below 300,000 give the same picture."""
    rest, place = divmod(number, len(drawn.train_images))
    rest, down = divmod(rest, 7)
    dimmer, right = divmod(rest, 7)
    pixels = np.roll(drawn.train_images[place], (down - 3, right - 3), (0, 1))
    return np.minimum(pixels, 255 - 8 * dimmer), int(drawn.train_labels[place])


def _json(fields: dict[str, object], pixels: np.ndarray) -> tuple[str, bytes]:
    image = base64.b64encode(digits.to_png(pixels)).decode()
    return "application/json", json.dumps(fields | {"image": image}).encode()


def _multipart(fields: dict[str, object], pixels: np.ndarray) -> tuple[str, bytes]:
    parts = [f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{fields[name]}' for name in fields]
    parts.append(
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="image"; filename="digit.png"\r\n'
        "Content-Type: image/png\r\n\r\n"
    )
    content = "\r\n".join(parts).encode() + digits.to_png(pixels) + f"\r\n--{BOUNDARY}--\r\n".encode()
    return f"multipart/form-data; boundary={BOUNDARY}", content
